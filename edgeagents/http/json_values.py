"""JSON as responses carry it: plain values, and the few kinds of Python value that have one obvious form."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime
from typing import Any
from uuid import UUID

__all__ = ["to_jsonable", "write_json"]


def to_jsonable(value: Any) -> Any:
    """Return ``value`` as something JSON has a form for, or raise TypeError."""
    if is_model(value):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"A {type(value).__name__} has no form in JSON.")


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
