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
from wrangler_compat.host.model.collections import JsMap, JsSet
from wrangler_compat.host.model.convert import number
from wrangler_compat.host.model.date import JsBoolean, JsDate, JsNumber, JsString, from_milliseconds
from wrangler_compat.host.model.errors import JsException, data_clone_error
from wrangler_compat.host.model.proxy import JsObject, jsnull

__all__ = ["from_data", "to_data"]


def to_data(value: Any) -> Any:
    """Return plain data for ``value``. Raises ``DataCloneError`` for what is none."""
    return _ToData().convert(value)


class _ToData:
    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def convert(self, value: Any) -> Any:
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
        if isinstance(value, JsException):
            return {"name": value.name, "message": value.message}
        raise data_clone_error(value)

    def _mapping(self, value: Any, items: Mapping[Any, Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self._made[id(value)] = made
        made.update((key, self.convert(item)) for key, item in items.items())
        return made


def from_data(value: Any) -> Any:
    """Return JavaScript's value for plain data. Bytes become an ``ArrayBuffer``."""
    if value is None:
        return jsnull
    if isinstance(value, float):
        return number(value)
    if isinstance(value, bytes | bytearray):
        return JsArrayBuffer(value)
    if isinstance(value, datetime):
        return JsDate(value)
    if isinstance(value, list | tuple):
        return JsArray(map(from_data, value))
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return JsObject({key: from_data(item) for key, item in value.items()})
        return JsMap((key, from_data(item)) for key, item in value.items())
    if isinstance(value, set | frozenset):
        return JsSet(map(from_data, value))
    return value
