"""Expressions on our host."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

from wrangler_compat.host.ffi import JsException
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import Buffer
from wrangler_compat.host.model.collections import JsMap, JsSet
from wrangler_compat.host.model.date import JsDate
from wrangler_compat.host.model.proxy import JsObject, JsProxy, jsnull
from wrangler_compat.host.model.regexp import JsRegExp
from wrangler_compat.host.model.symbol import JsSymbol
from wrangler_compat.host.web.blob import FormData
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.url import URL
from wrangler_compat.host.web.url_pattern import PARTS, URLPattern
from wrangler_compat.host.web.url_search_params import URLSearchParams

__all__ = ["answer_to"]


async def answer_to(case: str) -> Any:
    """Return what our host says to a case."""
    import js

    names: dict[str, Any] = {**vars(js), "true": True, "false": False, "null": jsnull, "undefined": None}
    code = re.sub(r"\bnew ([\w.]+)\(", r"\1.new(", case)
    code = re.sub(r"\.(from|for|is|or|and)\(", r".\1_(", code)
    *before, last = code.split("; ")
    try:
        exec("\n".join(before), names)
        value = eval(last, names)
        return _shown(await value if inspect.isawaitable(value) else value)
    except JsException as error:
        return {"$": "error", "name": error.name, "message": error.message}
    except Exception as error:
        return {"$": "error", "name": f"python: {type(error).__name__}", "message": str(error)}


def _shown(value: Any) -> Any:
    if value is jsnull:
        return None
    if value is None:
        return {"$": "undefined"}
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, JsSymbol):
        return {"$": "symbol", "of": value.toString()}
    if isinstance(value, JsDate):
        return {"$": "Date", "of": _number(value.getTime())}
    if isinstance(value, JsRegExp):
        return {"$": "RegExp", "of": value.toString()}
    if isinstance(value, JsException):
        return {"$": "Error", "of": str(value)}
    if isinstance(value, URL):
        return {"$": "URL", "of": value.href}
    if isinstance(value, URLPattern):
        return {part: getattr(value, part) for part in PARTS}
    if isinstance(value, Buffer):
        return {"$": value.constructor.name, "of": value.to_bytes().hex()}
    if isinstance(value, JsMap | Headers | URLSearchParams | FormData):
        return {"$": value.constructor.name, "of": [[_shown(item) for item in pair] for pair in value]}
    if isinstance(value, JsSet):
        return {"$": "Set", "of": [_shown(item) for item in value]}
    if isinstance(value, JsArray | list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    if callable(value):
        return {"$": "function"}
    if hasattr(value, "__iter__") and not isinstance(value, JsObject):
        return {"$": "iterator", "of": [_shown(item) for item in value]}
    assert isinstance(value, JsProxy), value
    return {name: _shown(item) for name, item in value.object_entries()}


def _number(value: float) -> Any:
    if math.isnan(value):
        return {"$": "NaN"}
    if math.isinf(value):
        return {"$": "Infinity" if value > 0 else "-Infinity"}
    if value == 0 and math.copysign(1, value) < 0:
        return {"$": "-0"}
    return value
