"""Structured clones: what is stored, or sent to another object or worker.

JavaScript's values become the runtime's plain ones, so that what a Python Worker stores, an agent of edgeagents reads,
and the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import Buffer, JsArrayBuffer
from wrangler_compat.host.model.collections import JsMap, JsSet, LiteralMap
from wrangler_compat.host.model.convert import number
from wrangler_compat.host.model.date import JsBoolean, JsDate, JsNumber, JsString, from_milliseconds
from wrangler_compat.host.model.errors import JsException, data_clone_error
from wrangler_compat.host.model.proxy import JsObject, jsnull

__all__ = ["FromData", "ToData", "from_data", "to_data"]


def to_data(value: Any) -> Any:
    """Return plain data for ``value``. Raises ``DataCloneError`` for what is none."""
    return ToData().convert(value)


def from_data(value: Any) -> Any:
    """Return JavaScript's value for plain data. Bytes become an ``ArrayBuffer``."""
    return FromData().convert(value)


class ToData:
    """From JavaScript's values to data. What stands in a value twice does so in the data."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

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
        if isinstance(value, Buffer):
            return value.to_bytes()
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, JsDate):
            return from_milliseconds(value.getTime())
        if isinstance(value, datetime):
            return value
        if isinstance(value, JsNumber | JsString | JsBoolean):
            return value.valueOf()
        if isinstance(value, JsArray | list):
            items: list[Any] = []
            self._made[id(value)] = items
            items.extend(map(self.convert, value))
            return items
        if isinstance(value, JsMap):
            return self._mapping(value, value._items)
        if isinstance(value, JsObject):
            return self._mapping(value, value._props)
        if isinstance(value, dict):
            return self._mapping(value, value)
        if isinstance(value, JsSet | set | frozenset):
            return {self.convert(item) for item in value}
        return self.other(value)

    def other(self, value: Any) -> Any:
        """Return what stands for a value that is no data, or raise."""
        if isinstance(value, JsException):
            return {"name": value.name, "message": value.message}
        raise data_clone_error(value)

    def _mapping(self, value: Any, items: Mapping[Any, Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self._made[id(value)] = made
        made.update((key, self.convert(item)) for key, item in items.items())
        return made


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
        if isinstance(value, bytes | bytearray):
            return JsArrayBuffer(value)
        if isinstance(value, datetime):
            return JsDate(value)
        if isinstance(value, list | tuple):
            array = JsArray()
            self._made[id(value)] = array
            array._items.extend(map(self.convert, value))
            return array
        if isinstance(value, dict):
            return self._mapping(value)
        if isinstance(value, set | frozenset):
            return JsSet(map(self.convert, value))
        return self.other(value)

    def other(self, value: Any) -> Any:
        """Return what stands for a value that is no data."""
        return value

    def _mapping(self, value: dict[Any, Any]) -> Any:
        if all(isinstance(key, str) for key in value):
            made = LiteralMap()
            self._made[id(value)] = made
            made._props.update((key, self.convert(item)) for key, item in value.items())
            return made
        mapping = JsMap()
        self._made[id(value)] = mapping
        mapping._items.update((key, self.convert(item)) for key, item in value.items())
        return mapping
