"""Records: the few classes of immutable values that can be kept and sent as what they are.

A class is one by being written down as one, under a name that never changes: a frozen dataclass or a named tuple whose
fields are data. Reading finds it by that name and in no other way, so bytes cannot ask for a class of their choice. A
field that is added later needs a default, for what was kept before; one that was there is passed over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["fields_of", "make_record", "record", "record_name"]

T = TypeVar("T", bound=type)

_types: dict[str, type] = {}
_names: dict[type, str] = {}


def record(name: str) -> Callable[[T], T]:
    """Make the values of a class cross between objects as what they are: ``@record("schedule")``."""

    def write_down(cls: T) -> T:
        other = _types.get(name)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"Two classes are the record {name!r}: {other.__qualname__} and {cls.__qualname__}.")
        _field_names(cls)
        _types[name], _names[cls] = cls, name
        return cls

    return write_down


def record_name(cls: type) -> str | None:
    """Return the name that ``cls`` is kept under, or None when it is no record."""
    return _names.get(cls)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a record, by name."""
    return {name: getattr(value, name) for name in _field_names(type(value))}


def make_record(name: str, fields: Mapping[str, Any]) -> Any:
    """Return the record that was kept under ``name``. Raises ValueError when there is no such, or it lacks a field."""
    cls = _types.get(name)
    if cls is None:
        raise ValueError(f"a {name!r}, which nothing here knows; is the plugin missing that kept it?")
    known = {field: fields[field] for field in _field_names(cls) if field in fields}
    try:
        return cls(**known)
    except TypeError as error:
        raise ValueError(f"a {name!r} that lacks a field: {error}") from error


def _field_names(cls: type) -> tuple[str, ...]:
    if dataclasses.is_dataclass(cls):
        parameters: Any = getattr(cls, "__dataclass_params__")  # noqa: B009  (a type checker does not know it)
        if not parameters.frozen:
            raise TypeError(f"{cls.__qualname__} is no record: it could change.")
        return tuple(field.name for field in dataclasses.fields(cls))
    names: tuple[str, ...] | None = getattr(cls, "_fields", None)
    if not issubclass(cls, tuple) or names is None:
        raise TypeError(f"{cls.__qualname__} is no record: that is a frozen dataclass or a named tuple.")
    return names
