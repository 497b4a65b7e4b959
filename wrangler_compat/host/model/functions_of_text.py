"""The functions of JavaScript's global scope that read or write text: of URLs, and of numbers."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import parse_float, parse_int, to_number
from wrangler_compat.host.model.errors import JsURIError
from wrangler_compat.host.model.proxy import js_function

__all__ = ["FUNCTIONS_OF_TEXT"]

_KEPT: Final = "-_.!~*'()"
_KEPT_IN_URIS: Final = _KEPT + ";/?:@&=+$,#"


def encodeURIComponent(text: Any = None) -> str:
    """Return ``text`` as a part of a URL."""
    return _encoded(text, _KEPT)


def encodeURI(text: Any = None) -> str:
    """Return ``text``, which is a URL, with what no URL has encoded."""
    return _encoded(text, _KEPT_IN_URIS)


def decodeURIComponent(text: Any = None) -> str:
    """Return what a part of a URL says."""
    return _decoded(to_text(text))


def decodeURI(text: Any = None) -> str:
    """Return what a URL says; what would change its parts stays encoded."""
    kept = re.split(r"(%(?:3B|2F|3F|3A|40|26|3D|2B|24|2C|23))", to_text(text), flags=re.IGNORECASE)
    return "".join(part if n % 2 else _decoded(part) for n, part in enumerate(kept))


def escape(text: Any = None) -> str:
    """Return ``text`` as URLs were written before they had UTF-8."""
    return re.sub(r"[^A-Za-z0-9@*_+\-./]", lambda letter: _units(letter[0]), to_text(text))


def _units(letter: str) -> str:
    units = struct.iter_unpack("<H", letter.encode("utf-16-le", "surrogatepass"))
    return "".join(f"%{unit:02X}" if unit < 256 else f"%u{unit:04X}" for (unit,) in units)


def unescape(text: Any = None) -> str:
    """Return what ``escape`` was given."""
    written = re.sub(r"%u([0-9A-Fa-f]{4})|%([0-9A-Fa-f]{2})", lambda of: chr(int(of[1] or of[2], 16)), to_text(text))
    return written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _encoded(text: Any, kept: str) -> str:
    try:
        return quote(to_text(text), safe=kept)
    except UnicodeEncodeError:
        raise JsURIError("URI malformed") from None


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise JsURIError("URI malformed")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise JsURIError("URI malformed") from None


def isNaN(value: Any = None) -> bool:
    """Whether ``value`` is no number."""
    return math.isnan(to_number(value))


def isFinite(value: Any = None) -> bool:
    """Whether ``value`` is a number, and not an infinite one."""
    return math.isfinite(to_number(value))


def parseInt(text: Any = None, radix: Any = None) -> Any:
    """Return the whole number that ``text`` begins with."""
    return parse_int(text, radix)


def parseFloat(text: Any = None) -> Any:
    """Return the number that ``text`` begins with."""
    return parse_float(text)


FUNCTIONS_OF_TEXT: Final[Mapping[str, Any]] = {
    function.__name__: js_function(function)
    for function in (
        *(encodeURIComponent, encodeURI, decodeURIComponent, decodeURI, escape, unescape),
        *(isNaN, isFinite, parseInt, parseFloat),
    )
}
