"""From a file's bytes to text, as a browser would read them: UTF-8, whatever the bytes are."""

from __future__ import annotations

import codecs

from edgeagents.errors import ConfigError

__all__ = ["SyntaxFault", "decode"]

_REFUSED = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class SyntaxFault(ConfigError):
    """A text is not of the language that it claims to be. ``line`` and ``column`` count from 1, where known."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        self.line, self.column = line, column
        super().__init__(message)


def decode(data: bytes) -> str:
    """Return ``data`` as text. One UTF-8 byte order mark is dropped, and what is not UTF-8 becomes U+FFFD.

    A byte order mark of UTF-16 or UTF-32 raises ``SyntaxFault``.
    """
    for mark, name in _REFUSED.items():
        if data.startswith(mark):
            raise SyntaxFault(f"the file is encoded as {name}; save it as UTF-8", 1, 1)
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
