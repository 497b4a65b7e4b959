"""The functions of JavaScript's global scope that read or write text: of URLs, and of numbers."""

from __future__ import annotations

import math
import re
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
        *(encodeURIComponent, encodeURI, decodeURIComponent, decodeURI),
        *(isNaN, isFinite, parseInt, parseFloat),
    )
}
