"""``JSON`` and ``Math``."""

from __future__ import annotations

import functools
import json
import math
import random
import struct
from collections.abc import Callable
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import TypedArray
from wrangler_compat.host.model.convert import from_json, json_complaint, number, to_text
from wrangler_compat.host.model.date import JsBoolean, JsNumber, JsString
from wrangler_compat.host.model.errors import JsSyntaxError, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull
from wrangler_compat.host.model.symbol import JsSymbol

__all__ = ["JsJSON", "JsMath", "stringify"]


class JsJSON(JsProxy):
    """``JSON``."""

    def parse(self, text: Any, revive: Any = None) -> Any:
        """Return what ``text`` says, and what ``revive`` makes of each name and value. Raises ``SyntaxError``."""
        try:
            value = from_json(to_text(text))
        except ValueError as error:
            raise JsSyntaxError(json_complaint(error)) from error
        return _revived("", value, revive) if callable(revive) else value

    def stringify(self, value: Any, replace: Any = None, indent: Any = None) -> Any:
        """Return ``value`` as text, or undefined for what has no form.

        ``replace`` is an array of the names that are wanted, or gives what stands for each name and value.
        """
        if isinstance(replace, JsArray | list | tuple):
            names = frozenset(map(to_text, replace))
            return stringify(value, indent, lambda name, inner: inner if name in names else _left_out)
        return stringify(value, indent, functools.partial(call_relaxed, replace) if callable(replace) else None)


def _revived(name: str, value: Any, revive: Callable[..., Any]) -> Any:
    if isinstance(value, JsArray):
        value._items[:] = (_revived(str(n), item, revive) for n, item in enumerate(value._items))
    elif isinstance(value, JsObject):
        made = {key: _revived(key, item, revive) for key, item in value._props.items()}
        value._props.clear()
        value._props.update((key, item) for key, item in made.items() if item is not None)
    return call_relaxed(revive, name, value)


def stringify(value: Any, indent: Any = None, replace: Callable[[str, Any], Any] | None = None) -> str | None:
    """Return ``value`` as JavaScript's ``JSON.stringify`` does. Python's dicts and lists count as what they mean."""
    plain = _plain(value, [], replace)
    if plain is _left_out:
        return None
    if is_nullish(indent) or not indent:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(plain, ensure_ascii=False, indent=indent)


_left_out = object()


def _plain(value: Any, within: list[Any], replace: Callable[[str, Any], Any] | None) -> Any:
    if value is _left_out:
        return value
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return number(value) if math.isfinite(value) else None
    if value is jsnull:
        return None
    if value is None or isinstance(value, JsSymbol) or (callable(value) and not isinstance(value, JsObject)):
        return _left_out
    if isinstance(value, JsNumber | JsString | JsBoolean):
        return _plain(value.valueOf(), within, replace)
    if any(value is outer for outer in within):
        raise JsTypeError("Converting circular structure to JSON")
    within = [*within, value]
    to_json: Callable[[], Any] | None = getattr(value, "toJSON", None)
    if callable(to_json):
        return _plain(to_json(), within, replace)
    if isinstance(value, JsArray | list | tuple):
        # An array's own places are no names that are left out.
        return [None if (item := _plain(one, within, replace)) is _left_out else item for one in value]
    if isinstance(value, TypedArray):
        return {str(n): item for n, item in enumerate(value)}
    if isinstance(value, JsObject):
        items: Any = value._props.items()
    elif isinstance(value, dict):
        # What Python's code gives: there None is null.
        items = ((key, jsnull if item is None else item) for key, item in value.items())
    elif isinstance(value, JsProxy):
        items = ((key, getattr(value, key)) for key in value._keys())
    else:
        raise JsTypeError(f"A {type(value).__name__} has no form in JSON.")
    named = ((to_text(key), item) for key, item in items)
    replaced = ((key, item if replace is None else replace(key, item)) for key, item in named)
    made = ((key, _plain(item, within, replace)) for key, item in replaced)
    return {key: item for key, item in made if item is not _left_out}


class JsMath(JsProxy):
    """``Math``."""

    _js_name = "Math"
    PI, E = math.pi, math.e
    LN2, LN10, LOG2E, LOG10E = math.log(2), math.log(10), 1 / math.log(2), 1 / math.log(10)
    SQRT2, SQRT1_2 = math.sqrt(2), math.sqrt(0.5)

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

    def sign(self, value: Any) -> Any:
        """-1, 0 or 1."""
        return (value > 0) - (value < 0)

    def hypot(self, *values: Any) -> Any:
        """The root of the sum of squares."""
        return number(math.hypot(*values))

    def atan2(self, y: Any, x: Any) -> Any:
        """The angle of a point."""
        return number(math.atan2(y, x))

    def clz32(self, value: Any) -> int:
        """How many zeros a number of 32 bits begins with."""
        return 32 - (int(value) & 0xFFFFFFFF).bit_length()

    def imul(self, one: Any, other: Any) -> int:
        """Multiply as numbers of 32 bits."""
        product = int(one) * int(other) & 0xFFFFFFFF
        return product - (product >> 31 << 32)

    def f16round(self, value: Any) -> Any:
        """The nearest number of 16 bits."""
        return number(struct.unpack("e", struct.pack("e", value))[0])

    def sumPrecise(self, values: Any) -> Any:
        """The sum, rounded once."""
        return number(math.fsum(values))

    def fround(self, value: Any) -> Any:
        """The nearest number of 32 bits."""
        return number(struct.unpack("f", struct.pack("f", value))[0])

    def max(self, *values: Any) -> Any:
        """The largest."""
        return max(values, default=-math.inf)

    def min(self, *values: Any) -> Any:
        """The smallest."""
        return min(values, default=math.inf)

    def random(self) -> float:
        """A number from 0 to 1."""
        return random.random()


def _of_one(name: str) -> None:
    work = getattr(math, name)

    def ask(self: JsMath, value: Any = math.nan) -> Any:
        try:
            return number(work(value))
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    ask.__name__, ask.__doc__ = name, f"As ``math.{name}``; NaN where that is not defined."
    setattr(JsMath, name, ask)


for _name in (
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("exp", "expm1", "log1p", "log2", "log10", "cbrt"),
):
    _of_one(_name)
