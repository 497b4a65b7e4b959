"""Headers of a message: read without its body, and put before it."""

from __future__ import annotations

from collections.abc import Mapping
from email import policy
from email.parser import BytesHeaderParser

__all__ = ["header_lines", "read_all_headers", "read_headers"]


def read_all_headers(raw: bytes) -> list[tuple[str, str]]:
    """Return the headers of a message in their order."""
    return [(name, str(value)) for name, value in BytesHeaderParser(policy=policy.default).parsebytes(raw).items()]


def read_headers(raw: bytes) -> dict[str, str]:
    """Return the headers of a message by their names in lower case. Of several of one name, the first."""
    found: dict[str, str] = {}
    for name, value in read_all_headers(raw):
        found.setdefault(name.lower(), value)
    return found


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Return ``headers`` as they stand before those of a message. Raises ``ValueError`` for more than one line."""
    for name, value in headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError(f"The header {name!r} of a forwarded email cannot have more than one line.")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
