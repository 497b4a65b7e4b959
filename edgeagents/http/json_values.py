"""JSON as responses carry it: plain values, and the few kinds of Python value that have one obvious form."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime
from itertools import chain
from typing import Any
from uuid import UUID

__all__ = ["is_too_deep", "to_jsonable", "write_json"]


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
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"A {type(value).__name__} has no form in JSON.")


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
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=to_jsonable)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates can be written in JSON as escapes only.
        return json.dumps(data, separators=(",", ":"), allow_nan=False, default=to_jsonable).encode()
