"""Structured clones: what is stored, or sent to another object or worker.

JavaScript's values become the runtime's plain ones, so that what a Python Worker stores, an agent of edgeagents reads,
and the other way round. What plain types would lose, such as which typed array some bytes are, stands in the classes of
``cloned``, each of which is a plain type too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, cast

from wrangler_compat.cloned import (
    ArrayData,
    BoxedData,
    BufferData,
    DateData,
    ErrorData,
    HeadersData,
    MapData,
    ObjectData,
    RegExpData,
    SetData,
    ViewData,
)
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import TYPED_ARRAYS, JsArrayBuffer, JsDataView, TypedArray
from wrangler_compat.host.model.collections import JsMap, JsSet, LiteralMap
from wrangler_compat.host.model.convert import number
from wrangler_compat.host.model.date import JsBoolean, JsDate, JsNumber, JsString, from_milliseconds
from wrangler_compat.host.model.errors import ERRORS, DomException, JsException, data_clone_error
from wrangler_compat.host.model.proxy import JsObject, jsnull
from wrangler_compat.host.model.regexp import JsRegExp
from wrangler_compat.host.model.shared import JsSharedArrayBuffer
from wrangler_compat.host.web.headers import Headers

__all__ = ["FromData", "ToData", "from_data", "structured_clone", "to_data"]

_ERRORS: Final = {kind._js_name: kind for kind in ERRORS}


def to_data(value: Any) -> Any:
    """Return data for ``value``. Raises ``DataCloneError`` for what is none."""
    return ToData().convert(value)


def from_data(value: Any) -> Any:
    """Return JavaScript's value for data. Bytes of no kind become an ``ArrayBuffer``."""
    return FromData().convert(value)


def structured_clone(value: Any) -> Any:
    """Return a copy that shares nothing with ``value``. Raises ``DataCloneError`` for what cannot be copied."""
    return None if value is None else from_data(_Copying().convert(value))


class ToData:
    """From JavaScript's values to data. What stands in a value twice does so in the data."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._alone: dict[int, ViewData] = {}
        """Views that show all of a buffer which nothing else was seen to have, by that buffer."""

    def convert(self, value: Any) -> Any:
        """Return the data for ``value``."""
        if value is None or value is jsnull:
            return None
        if isinstance(value, str | bool | int):
            return value
        if isinstance(value, float):
            return number(value) if math.isfinite(value) else value
        if id(value) in self._made:
            return self._made[id(value)]
        convert = _convert_by(type(value))
        return self.other(value) if convert is None else convert(self, value)

    def other(self, value: Any) -> Any:
        """Return what stands for a value that is no data, or raise."""
        raise data_clone_error(value)

    def _keep(self, value: Any, made: Any) -> Any:
        self._made[id(value)] = made
        return made

    def view(self, value: TypedArray | JsDataView) -> Any:
        """Return the data of a view of a buffer."""
        buffer = value.buffer
        if value.byteLength == len(buffer) and id(buffer) not in self._made and id(buffer) not in self._alone:
            made = self._alone[id(buffer)] = ViewData(value._js_name, buffer.to_bytes())
        else:
            made = ViewData.part_of(self.convert(buffer), value._js_name, value.byteOffset, value.byteLength)
        return self._keep(value, made)

    def buffer(self, value: JsArrayBuffer) -> Any:
        """Return the data of an ArrayBuffer."""
        if isinstance(value, JsSharedArrayBuffer):
            raise JsException("Unable to deserialize cloned data.")
        made = BufferData(value._memory)
        if id(value) in self._alone:
            self._alone[id(value)].buffer = made
        return self._keep(value, made)

    def date(self, value: JsDate) -> Any:
        """Return the data of a Date."""
        try:
            return from_milliseconds(value.getTime())
        except (OverflowError, ValueError):
            return DateData(value.getTime())

    def boxed(self, value: JsNumber | JsString | JsBoolean) -> Any:
        """Return the data of an object that stands for one value."""
        return self._keep(value, BoxedData(value.valueOf()))

    def pattern(self, value: JsRegExp) -> Any:
        """Return the data of a regular expression."""
        return RegExpData(value.source, value.flags)

    def error(self, value: JsException) -> Any:
        """Return the data of an error."""
        made = self._keep(value, ErrorData(name=value.name, message=value.message))
        made.class_name, made.stack = value._js_name, value.stack
        own = ((name, item) for name, item in vars(value).items() if name[0] != "_" and name != "stack")
        made.update((name, self.convert(item)) for name, item in own)
        return made

    def headers(self, value: Headers) -> Any:
        """Return the data of Headers."""
        return self._keep(value, HeadersData([list(pair) for pair in value]))

    def array(self, value: JsArray | list[Any]) -> Any:
        """Return the data of an array."""
        undefined = [n for n, item in enumerate(value._items) if item is None] if isinstance(value, JsArray) else ()
        made: list[Any] = self._keep(value, ArrayData() if undefined else [])
        if isinstance(made, ArrayData):
            made.undefined = frozenset(undefined)
        made.extend(map(self.convert, value))
        return made

    def map(self, value: JsMap) -> Any:
        """Return the data of a Map."""
        made = self._keep(value, MapData())
        made.fill((self.convert(key), self.convert(item)) for key, item in value._items.items())
        return made

    def set(self, value: JsSet) -> Any:
        """Return the data of a Set."""
        made = self._keep(value, SetData())
        made.fill(map(self.convert, value))
        return made

    def object(self, value: JsObject) -> Any:
        """Return the data of a plain object."""
        undefined = [name for name, item in value._props.items() if item is None]
        made: dict[str, Any] = self._keep(value, ObjectData() if undefined else {})
        if isinstance(made, ObjectData):
            made.undefined = frozenset(undefined)
        made.update((key, self.convert(item)) for key, item in value._props.items())
        return made

    def mapping(self, value: Mapping[Any, Any]) -> Any:
        """Return the data of Python's dict."""
        made = self._keep(value, {})
        made.update((key, self.convert(item)) for key, item in value.items())
        return made

    def plain_set(self, value: Any) -> Any:
        """Return the data of Python's set."""
        return {self.convert(item) for item in value}

    def plain(self, value: Any) -> Any:
        """Return what is data as it is."""
        return bytes(value) if isinstance(value, bytearray | memoryview) else value


class _Copying(ToData):
    """For copies within a worker, which may share memory that is there to be shared."""

    def view(self, value: TypedArray | JsDataView) -> Any:
        if not isinstance(value.buffer, JsSharedArrayBuffer):
            return super().view(value)
        size = value.byteLength if isinstance(value, JsDataView) else len(value)
        return self._keep(value, type(value)(value.buffer, value.byteOffset, size))

    def buffer(self, value: JsArrayBuffer) -> Any:
        return value if isinstance(value, JsSharedArrayBuffer) else super().buffer(value)


_TO_DATA: Final[tuple[tuple[type, Callable[[Any, Any], Any]], ...]] = (
    (JsObject, lambda to, value: to.object(value)),
    (JsArray, lambda to, value: to.array(value)),
    (TypedArray, lambda to, value: to.view(value)),
    (JsDataView, lambda to, value: to.view(value)),
    (JsArrayBuffer, lambda to, value: to.buffer(value)),
    (JsDate, lambda to, value: to.date(value)),
    (JsMap, lambda to, value: to.map(value)),
    (JsSet, lambda to, value: to.set(value)),
    (JsNumber, lambda to, value: to.boxed(value)),
    (JsString, lambda to, value: to.boxed(value)),
    (JsBoolean, lambda to, value: to.boxed(value)),
    (JsRegExp, lambda to, value: to.pattern(value)),
    (JsException, lambda to, value: to.error(value)),
    (Headers, lambda to, value: to.headers(value)),
    (list, lambda to, value: to.array(value)),
    (dict, lambda to, value: to.mapping(value)),
    (set, lambda to, value: to.plain_set(value)),
    (frozenset, lambda to, value: to.plain_set(value)),
    (bytes, lambda to, value: to.plain(value)),
    (bytearray, lambda to, value: to.plain(value)),
    (memoryview, lambda to, value: to.plain(value)),
    (datetime, lambda to, value: to.plain(value)),
)
_known: dict[type, Callable[[Any, Any], Any] | None] = dict(_TO_DATA)


def _convert_by(kind: type) -> Callable[[Any, Any], Any] | None:
    try:
        return _known[kind]
    except KeyError:
        found = next((convert for base, convert in _TO_DATA if issubclass(kind, base)), None)
        return _known.setdefault(kind, found)


class FromData:
    """From data to JavaScript's values. What stands in the data twice does so in the value."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def convert(self, value: Any) -> Any:
        """Return the value for ``value``."""
        if value is None:
            return jsnull
        if isinstance(value, str | bool | int):
            return value
        if isinstance(value, float):
            return number(value)
        if id(value) in self._made:
            return self._made[id(value)]
        if type(value) is dict and all(type(key) is str for key in value):
            return self._object(value)
        if isinstance(value, list | tuple):
            return self._array(value)
        if isinstance(value, dict):
            return self._of_dict(value)
        if isinstance(value, ViewData):
            return self._keep(value, self._view(value))
        if isinstance(value, BufferData):
            return self._keep(value, JsArrayBuffer(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return JsArrayBuffer(value)  # Equal bytes may be one object to Python: no two share a buffer for that.
        if isinstance(value, datetime):
            return JsDate(value)
        if isinstance(value, set | frozenset):
            made = self._keep(value, JsSet())
            made._items.update(dict.fromkeys(map(self.convert, getattr(value, "parts", lambda: value)())))
            return made
        if isinstance(value, BoxedData):
            return self._keep(value, _boxed(value.value))
        if isinstance(value, DateData):
            return JsDate(value.milliseconds)
        if isinstance(value, RegExpData):
            return JsRegExp(value.source, value.flags)
        return self.other(value)

    def other(self, value: Any) -> Any:
        """Return what stands for a value that is no data."""
        return value

    def _keep(self, value: Any, made: Any) -> Any:
        self._made[id(value)] = made
        return made

    def _array(self, value: list[Any] | tuple[Any, ...]) -> Any:
        if isinstance(value, HeadersData):
            return self._keep(value, Headers(value))
        array = self._made[id(value)] = JsArray()
        array._items.extend(map(self.convert, value))
        if isinstance(value, ArrayData):
            for n in value.undefined:
                array._items[n] = None
        return array

    def _object(self, value: dict[str, Any]) -> LiteralMap:
        made = self._made[id(value)] = LiteralMap()
        props, convert = made._props, self.convert
        for key, item in value.items():
            props[key] = convert(item)
        return made

    def _view(self, value: ViewData) -> Any:
        buffer = JsArrayBuffer(value) if value.buffer is None else self.convert(value.buffer)
        if value.name == "DataView":
            return JsDataView(buffer, value.offset, len(value))
        kind = TYPED_ARRAYS[value.name]
        return kind(buffer, value.offset, len(value) // struct.calcsize(kind._format))

    def _of_dict(self, value: dict[Any, Any]) -> Any:
        if isinstance(value, ErrorData):
            return self._error(value)
        if isinstance(value, MapData) or not all(isinstance(key, str) for key in value):
            mapping = self._keep(value, JsMap())
            pairs = value.pairs() if isinstance(value, MapData) else value.items()
            mapping._items.update((self.convert(key), self.convert(item)) for key, item in pairs)
            return mapping
        made = self._object(value)
        if isinstance(value, ObjectData):
            for name in value.undefined:
                made._props[name] = None
        return made

    def _error(self, value: ErrorData) -> Any:
        if value.class_name == "DOMException":
            made: Any = DomException(value["message"], value["name"])
        else:
            made = _ERRORS.get(value.class_name, JsException)(value["message"])
        self._keep(value, made)
        vars(made).update((name, self.convert(item)) for name, item in value.items())
        made.stack = value.stack
        return made


def _boxed(value: Any) -> Any:
    if isinstance(value, str):
        return JsString(value)
    return (JsBoolean if isinstance(value, bool) else JsNumber)(cast("Any", value))
