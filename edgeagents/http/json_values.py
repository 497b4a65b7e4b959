"""JSON as states, results of calls and responses carry it: one rule for all of them.

Plain values, and the kinds of Python value that have one obvious form: dataclasses, pydantic models, datetimes, dates,
times, UUIDs and the members of an Enum, which are written as what they stand for. What has two forms, such as a
timedelta, or none is refused with the place where it stands.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from edgeagents.http.places import place_of_fault, step

__all__ = ["explained", "is_too_deep", "to_jsonable", "write_json"]


def to_jsonable(value: Any) -> Any:
    """Return ``value`` as something JSON has a form for, or raise TypeError.

    A class may say for itself what its values are in JSON, with a method ``__json__``.
    """
    own = getattr(type(value), "__json__", None)
    if own is not None:
        return own(value)
    if is_model(value):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"A value of type {type(value).__name__} has no form in JSON. {_advice(value)}")


def _advice(value: object) -> str:
    if isinstance(value, timedelta):
        return "Use its total_seconds()."
    if isinstance(value, Decimal):
        return "Use str() or float() of it."
    if isinstance(value, bytes | bytearray | memoryview):
        return "Make text of it, such as base64."
    if isinstance(value, Iterator | range | set | frozenset) or callable(getattr(value, "tolist", None)):
        return "Make a list of it."
    return "Make it a dict, or give its class a method __json__."


def explained(value: object, error: Exception) -> Exception:
    """Return what to raise for ``error``, with which ``value`` could not be written: it says where the fault is."""
    found = place_of_fault(value, _parts)
    if found is None:
        return error
    place, fault = found
    kind = TypeError if isinstance(fault, TypeError) else ValueError
    return kind(str(fault) if place == "$" else f"{fault} It stands at {place}.")


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if value is None or isinstance(value, str | int):
        return ()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"The number {value!r} has no form in JSON.")
        return ()
    if isinstance(value, dict):
        return [(_step(key), item) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return [("", to_jsonable(value))]


def _step(key: object) -> str:
    if key is not None and not isinstance(key, str | int | float):
        raise TypeError(f"A key of type {type(key).__name__} has no form in JSON: {key!r}. Use text for it.")
    return step(key)


def is_too_deep(text: str | bytes, value: Any, depth: int) -> bool:
    """Whether ``value``, which ``text`` is in JSON, nests deeper than ``depth`` levels."""
    # Each level is a bracket that opens and one that closes: most texts are too short, or have too few of them.
    if len(text) <= 2 * depth:
        return False
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return len(data.translate(None, _ALL_BUT_OPENING)) > depth and _nests_deeper(value, depth)


_ALL_BUT_OPENING = bytes(set(range(256)) - set(b"[{"))
_CONTAINERS = frozenset({dict, list})


def _nests_deeper(value: Any, depth: int) -> bool:
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(depth):
        if not level:
            return False
        items = chain.from_iterable([each.values() if type(each) is dict else each for each in level])
        level = [item for item in items if type(item) in _CONTAINERS]
    return bool(level)


def is_model(value: Any) -> bool:
    """Whether ``value`` is a pydantic model. Pydantic itself is not needed for the answer."""
    return hasattr(type(value), "__pydantic_validator__") and callable(getattr(value, "model_dump", None))


def write_json(data: object) -> bytes:
    """Return ``data`` in JSON. What JSON has no form for raises TypeError, a number that is not finite ValueError."""
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=to_jsonable)
    except (TypeError, ValueError) as error:
        raise explained(data, error) from error
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates can be written in JSON as escapes only.
        return json.dumps(data, separators=(",", ":"), allow_nan=False, default=to_jsonable).encode()
