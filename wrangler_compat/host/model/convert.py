"""Conversions between JavaScript's values and Python's: text, truth, ``to_js``, ``to_py``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from wrangler_compat.host.model.proxy import JsObject, JsProxy, jsnull

__all__ = [
    "ConversionError",
    "from_json",
    "json_complaint",
    "number",
    "same",
    "to_js",
    "to_py",
    "to_text",
    "truthy",
    "utf8",
]

Converter = Callable[[Any, Callable[[Any], Any], Callable[[Any, Any], None]], Any]

_LARGEST_EXACT = 2**53


class ConversionError(Exception):
    """A value has no form in JavaScript."""


def to_text(value: Any) -> str:
    """Return ``value`` as JavaScript's ``String()`` does."""
    if isinstance(value, str):
        return value
    if value is None:
        return "undefined"
    if value is jsnull:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, JsProxy):
        return value.toString()
    return str(value)


def utf8(text: str) -> bytes:
    """Return ``text`` in UTF-8. Halves of letters, which JavaScript's texts may have, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    if 1e-6 <= abs(value) < 1e-4:
        return f"{Decimal(repr(value)):f}"
    mantissa, e, exponent = repr(value).partition("e")
    # JavaScript writes 1e-7 where Python writes 1e-07.
    return f"{mantissa}{e}{exponent[:1]}{exponent[1:].lstrip('0')}" if e else mantissa


def number(value: float) -> int | float:
    """Return a number as it is read: whole ones are int."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    return value


def truthy(value: Any) -> bool:
    """Return ``value`` as JavaScript's ``Boolean()`` does."""
    if isinstance(value, JsProxy):
        return True
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value) if value is jsnull or isinstance(value, str | int | float | None) else True


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to JavaScript: objects by identity, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, str | int | float) and isinstance(other, str | int | float):
        return (
            type(one) is type(other) and one == other
            if isinstance(one, str) or isinstance(other, str)
            else one == other
        )
    return one is other


def to_js(
    obj: Any,
    /,
    *,
    depth: int = -1,
    pyproxies: Any = None,
    create_pyproxies: bool = True,
    dict_converter: Callable[[Iterable[Any]], Any] | None = None,
    default_converter: Converter | None = None,
    eager_converter: Converter | None = None,
) -> Any:
    """Return a JavaScript value for ``obj``, and for what is in it, as Pyodide's ``to_js`` does.

    What has none goes to ``default_converter``; what that leaves is passed as it is, or raises ``ConversionError``
    without ``create_pyproxies``.
    """
    return _ToJs(pyproxies, create_pyproxies, dict_converter, default_converter, eager_converter).convert(obj, depth)


class _ToJs:
    def __init__(
        self,
        pyproxies: Any,
        create_pyproxies: bool,
        dict_converter: Callable[[Iterable[Any]], Any] | None,
        default_converter: Converter | None,
        eager_converter: Converter | None,
    ) -> None:
        self._pyproxies, self._create_pyproxies = pyproxies, create_pyproxies
        self._dict_converter, self._default, self._eager = dict_converter, default_converter, eager_converter
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []

    def convert(self, obj: Any, depth: int) -> Any:
        if self._eager is not None:
            return self._eager(obj, lambda value: self._convert(value, depth), self._cache)
        return self._convert(obj, depth)

    def _cache(self, obj: Any, made: Any) -> None:
        self._made[id(obj)] = made
        self._kept.append(obj)

    def _convert(self, obj: Any, depth: int) -> Any:
        from wrangler_compat.host.model.array import JsArray
        from wrangler_compat.host.model.buffers import from_buffer
        from wrangler_compat.host.model.collections import JsSet

        if obj is None or obj is jsnull or isinstance(obj, str | int | float | JsProxy):
            return obj
        if id(obj) in self._made:
            return self._made[id(obj)]
        if isinstance(obj, bytes | bytearray | memoryview):
            return from_buffer(obj)
        if depth == 0:
            return self._leave(obj)
        if isinstance(obj, list | tuple):
            array = JsArray()
            self._cache(obj, array)
            array._items.extend(self.convert(item, depth - 1) for item in obj)
            return array
        if isinstance(obj, dict):
            return self._dict(obj, depth)
        if isinstance(obj, set | frozenset):
            made = JsSet(self.convert(item, depth - 1) for item in obj)
            self._cache(obj, made)
            return made
        if hasattr(obj, "__array_interface__"):
            return from_buffer(memoryview(obj))
        if self._default is not None:
            return self._default(obj, lambda value: self.convert(value, depth - 1), self._cache)
        return self._leave(obj)

    def _dict(self, obj: dict[Any, Any], depth: int) -> Any:
        from wrangler_compat.host.model.array import JsArray
        from wrangler_compat.host.model.collections import LiteralMap

        if self._dict_converter is not None:
            made = self._dict_converter(
                JsArray((self.convert(key, depth - 1), self.convert(value, depth - 1))) for key, value in obj.items()
            )
            self._cache(obj, made)
            return made
        literal = LiteralMap()
        self._cache(obj, literal)
        for key, value in obj.items():
            if not isinstance(key, str | int | float):
                raise ConversionError(f"Cannot use {key!r} as a key of a JavaScript object.")
            literal._props[to_text(key)] = self.convert(value, depth - 1)
        return literal

    def _leave(self, obj: Any) -> Any:
        if not self._create_pyproxies:
            raise ConversionError(f"No conversion known for {obj!r}.")
        if self._pyproxies is not None:
            self._pyproxies.append(obj)
        return obj


def to_py(value: Any, *, depth: int = -1, default_converter: Converter | None = None) -> Any:
    """Return Python's value for a JavaScript one, and for what is in it, as a proxy's ``to_py`` does."""
    return _ToPy(default_converter).convert(value, depth)


class _ToPy:
    def __init__(self, default: Converter | None) -> None:
        self._default = default
        self._made: dict[int, Any] = {}

    def convert(self, value: Any, depth: int) -> Any:
        from wrangler_compat.host.model.array import JsArray
        from wrangler_compat.host.model.buffers import Buffer
        from wrangler_compat.host.model.collections import JsMap, JsSet

        if not isinstance(value, JsProxy) or depth == 0:
            return value
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, JsArray):
            items: list[Any] = []
            self._made[id(value)] = items
            items.extend(self.convert(item, depth - 1) for item in value)
            return items
        if isinstance(value, JsMap):
            return self._mapping(value, value._items, depth)
        if isinstance(value, JsObject):
            return self._mapping(value, value._props, depth)
        if isinstance(value, JsSet):
            return {self.convert(item, depth - 1) for item in value}
        if isinstance(value, Buffer):
            return value.to_memoryview()
        if self._default is not None:
            return self._default(value, lambda inner: self.convert(inner, depth - 1), self._cache)
        return value

    def _mapping(self, value: Any, items: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self._made[id(value)] = made
        made.update((key, self.convert(item, depth - 1)) for key, item in items.items())
        return made

    def _cache(self, value: Any, made: Any) -> None:
        self._made[id(value)] = made


def from_json(text: str) -> Any:
    """Return what ``text`` says as JavaScript's ``JSON.parse`` does. Raises ValueError."""
    return _of_json(json.loads(text))


_CONTEXT = 10


def json_complaint(error: ValueError) -> str:
    """Return what JavaScript says of text that is no JSON."""
    if not isinstance(error, json.JSONDecodeError):
        return f"Unexpected token in JSON: {error}"
    text, at = error.doc, error.pos
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if at >= len(text):
        return "Unexpected end of JSON input"
    begin, end = max(at - _CONTEXT, 0), at + _CONTEXT
    if len(text) <= 2 * _CONTEXT:
        begin, end = 0, len(text)
    before, after = "..." if begin else "", "..." if end < len(text) else ""
    return f"Unexpected token '{text[at]}', {before}\"{text[begin:end]}\"{after} is not valid JSON"


def _of_json(value: Any) -> Any:
    from wrangler_compat.host.model.array import JsArray

    if value is None:
        return jsnull
    if isinstance(value, list):
        return JsArray(map(_of_json, value))
    if isinstance(value, dict):
        return JsObject({key: _of_json(item) for key, item in value.items()})
    return number(value) if isinstance(value, float) else value
