"""Which emails were written by a machine, so that an agent does not answer an answering machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

__all__ = ["is_auto_reply_email"]


def is_auto_reply_email(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> bool:
    """Return whether these headers are those of an automatic answer or of mass mail.

    That is: ``Auto-Submitted`` other than ``no`` (RFC 3834), any ``X-Auto-Response-Suppress``, or a ``Precedence`` of
    ``bulk``, ``junk`` or ``list``.
    """
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    return any(_is_automatic(name.lower(), value.strip().lower()) for name, value in pairs)


def _is_automatic(name: str, value: str) -> bool:
    match name:
        case "auto-submitted":
            return value != "no"
        case "precedence":
            return value in ("bulk", "junk", "list")
        case _:
            return name == "x-auto-response-suppress"
