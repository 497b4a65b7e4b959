"""JSON with comments, as wrangler reads it: ``//`` and ``/* */``, one trailing comma, and nothing else that is lenient.

Comments and trailing commas are blanked out with spaces, so that a fault further on is reported at the line and
column where it stands in the file; strict JSON then does the reading.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from wrangler_compat.encoding import SyntaxFault

__all__ = ["parse_jsonc"]

# A string is matched so that what looks like a comment inside it is left alone. One that is not closed runs to the
# end of its line, where the JSON parser complains about it.
_TOKEN = re.compile(
    r"""
    (?P<string>"(?:\\.|[^"\\\r\n])*"?)
    | (?P<line>//[^\r\n]*)
    | (?P<block>/\*.*?\*/)
    | (?P<open>/\*)
    | (?P<space>[ \t\r\n]+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NOT_LINE_END = re.compile(r"[^\r\n]")


def parse_jsonc(text: str) -> object:
    """Return the value of ``text``. Raises ``SyntaxFault`` with line and column.

    Numbers are doubles, as in JavaScript: integers keep the type ``int``, with the value that a double would have.
    """
    try:
        return json.loads(
            _blanked(text), parse_int=_integer, parse_float=float, parse_constant=lambda name: _refuse(text, name)
        )
    except json.JSONDecodeError as fault:
        raise SyntaxFault(_sentence(fault), fault.lineno, fault.colno) from None
    except RecursionError:
        raise SyntaxFault("objects and arrays are nested too deeply") from None


def _blanked(text: str) -> str:
    """Return ``text`` with comments and trailing commas replaced by spaces; line ends stay."""
    parts: list[str] = []
    # The index in parts of a comma that becomes a trailing one if a bracket follows, and what stood before it.
    comma: int | None = None
    before = ""
    for token in _TOKEN.finditer(text):
        kind, piece = token.lastgroup, token[0]
        if kind == "open":
            line, column = _position(text, token.start())
            raise SyntaxFault("a comment that starts with /* is not closed", line, column)
        if kind in ("line", "block"):
            parts.append(_NOT_LINE_END.sub(" ", piece))
            continue
        if kind == "space":
            parts.append(piece)
            continue
        if piece in ("]", "}") and comma is not None:
            parts[comma] = " "
        # After an opening bracket, another comma or a colon there is no value that the comma could follow.
        comma = len(parts) if piece == "," and before not in ("", ",", "[", "{", ":") else None
        parts.append(piece)
        before = piece
    return "".join(parts)


def _integer(digits: str) -> int | float:
    number = float(digits)
    return int(number) if math.isfinite(number) else number


def _refuse(text: str, name: str) -> NoReturn:
    line, column = _position(text, max(_blanked(text).find(name), 0))
    raise SyntaxFault(f"{name} is not JSON", line, column)


def _position(text: str, offset: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


def _sentence(fault: json.JSONDecodeError) -> str:
    rest = fault.doc[fault.pos :].lstrip(" \t\r\n")
    found = repr(rest[0]) if rest else "the end of the file"
    if not fault.doc.strip():
        return "the file is empty; the least that it can hold is {}"
    message = fault.msg[:1].lower() + fault.msg[1:]
    if message.startswith(("expecting", "illegal trailing", "extra data")):
        message = message.replace("expecting", "expected", 1)
        message = message.replace("extra data", "expected nothing more after the value", 1)
        message = message.replace("illegal trailing comma before end of object", "expected a property name", 1)
        message = message.replace("illegal trailing comma before end of array", "expected a value", 1)
        return f"{message}, found {found}"
    return message
