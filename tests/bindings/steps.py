"""Steps of plays: each calls what ``do`` names, from an environment on (``KV.put``), or reads a property there.

What it gives can be kept under a name and used by later steps.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "NAN",
    "UNDEFINED",
    "Step",
    "call",
    "file",
    "headers",
    "many",
    "raw",
    "read",
    "ref",
    "special",
    "stream",
    "zeros",
]

Step = dict[str, Any]


def call(do: str, *with_: Any, keep: str | None = None, quiet: bool = False) -> Step:
    """Call a method. With ``keep`` what it gives has that name; ``quiet`` does not look at it."""
    return {"do": do, "with": list(with_), "as": keep, "quiet": quiet}


def read(do: str, *, keep: str | None = None) -> Step:
    """Read a property."""
    return {"do": do, "with": None, "as": keep, "quiet": False}


def special(kind: str, **of: Any) -> dict[str, Any]:
    """Return what JSON has no form for."""
    return {"$": kind, **of}


UNDEFINED: Final = special("undefined")
NAN: Final = special("number", of="NaN")


def raw(*values: int) -> dict[str, Any]:
    """Return an ArrayBuffer."""
    return special("bytes", bytes=list(values))


def zeros(length: int) -> dict[str, Any]:
    """Return an ArrayBuffer of zeros."""
    return special("zeros", length=length)


def many(of: str, times: int) -> dict[str, Any]:
    """Return a text that is repeated."""
    return special("text", of=of, times=times)


def ref(of: str) -> dict[str, Any]:
    """Return what a step has kept."""
    return special("ref", of=of)


def stream(of: str) -> dict[str, Any]:
    """Return a ReadableStream of known length."""
    return special("stream", of=of)


def headers(**of: str) -> dict[str, Any]:
    """Return a Headers."""
    return special("headers", of={name.replace("_", "-"): value for name, value in of.items()})


def file(of: str) -> dict[str, Any]:
    """Return a ReadableStream of bytes, given in Base64."""
    return special("file", of=of)
