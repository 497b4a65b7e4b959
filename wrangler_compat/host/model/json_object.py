"""``JSON`` and ``Math``."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import from_json, number, to_text
from wrangler_compat.host.model.date import JsBoolean, JsNumber, JsString
from wrangler_compat.host.model.errors import JsSyntaxError, JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull

__all__ = ["JsJSON", "JsMath", "stringify"]


class JsJSON(JsProxy):
    """``JSON``."""

    def parse(self, text: Any, _: Any = None) -> Any:
        """Return what ``text`` says. Raises ``SyntaxError``."""
        try:
            return from_json(to_text(text))
        except ValueError as error:
            raise JsSyntaxError(f"Unexpected token in JSON: {error}") from error

    def stringify(self, value: Any, _: Any = None, indent: Any = None) -> Any:
        """Return ``value`` as text, or undefined for what has no form."""
        return stringify(value, indent)


def stringify(value: Any, indent: Any = None) -> str | None:
    """Return ``value`` as JavaScript's ``JSON.stringify`` does. Python's dicts and lists count as what they mean."""
    plain = _plain(value, [])
    if plain is _left_out:
        return None
    if is_nullish(indent) or not indent:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(plain, ensure_ascii=False, indent=indent)


_left_out = object()


def _plain(value: Any, within: list[Any]) -> Any:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return number(value) if math.isfinite(value) else None
    if value is jsnull:
        return None
    if value is None or (callable(value) and not isinstance(value, JsObject)):
        return _left_out
    if isinstance(value, JsNumber | JsString | JsBoolean):
        return _plain(value.valueOf(), within)
    if any(value is outer for outer in within):
        raise JsTypeError("Converting circular structure to JSON")
    within = [*within, value]
    to_json: Callable[[], Any] | None = getattr(value, "toJSON", None)
    if callable(to_json):
        return _plain(to_json(), within)
    if isinstance(value, JsArray | list | tuple):
        return [None if (item := _plain(one, within)) is _left_out else item for one in value]
    if isinstance(value, JsObject):
        items: Any = value._props.items()
    elif isinstance(value, dict):
        # What Python's code gives: there None is null.
        items = ((key, jsnull if item is None else item) for key, item in value.items())
    elif isinstance(value, JsProxy):
        items = ((key, getattr(value, key)) for key in value._keys())
    else:
        raise JsTypeError(f"A {type(value).__name__} has no form in JSON.")
    made = ((to_text(key), _plain(item, within)) for key, item in items)
    return {key: item for key, item in made if item is not _left_out}


class JsMath(JsProxy):
    """``Math``."""

    _js_name = "Math"
    PI, E = math.pi, math.e

    def floor(self, value: Any) -> Any:
        """The whole number below."""
        return math.floor(value)

    def ceil(self, value: Any) -> Any:
        """The whole number above."""
        return math.ceil(value)

    def round(self, value: Any) -> Any:
        """The nearest whole number."""
        return math.floor(value + 0.5)

    def trunc(self, value: Any) -> Any:
        """The whole part."""
        return math.trunc(value)

    def abs(self, value: Any) -> Any:
        """Without its sign."""
        return abs(value)

    def sqrt(self, value: Any) -> Any:
        """The square root."""
        return number(math.sqrt(value)) if value >= 0 else math.nan

    def pow(self, base: Any, exponent: Any) -> Any:
        """A power."""
        return number(base**exponent)

    def log(self, value: Any) -> Any:
        """The natural logarithm."""
        return number(math.log(value)) if value > 0 else math.nan

    def max(self, *values: Any) -> Any:
        """The largest."""
        return max(values, default=-math.inf)

    def min(self, *values: Any) -> Any:
        """The smallest."""
        return min(values, default=math.inf)

    def random(self) -> float:
        """A number from 0 to 1."""
        return random.random()
