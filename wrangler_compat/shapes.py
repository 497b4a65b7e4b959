"""Shapes: what a value in a configuration may be, as data.

A table of keys (``keys``, ``binding_kinds``) is made of these; each writes what it refuses into ``Diagnostics``, at the
path of the field, and looks on. No shape knows a key by name, and none changes a value.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeGuard, cast

from wrangler_compat.diagnostics import Diagnostics, did_you_mean

__all__ = [
    "ANYTHING",
    "DATE_REFUSED",
    "FLAG",
    "NUMBER",
    "TEXT",
    "TEXTS",
    "Checked",
    "Either",
    "ListOf",
    "MapOf",
    "Nullable",
    "Number",
    "OneOf",
    "Record",
    "Shape",
    "Text",
    "describe",
    "is_table",
    "record",
]


class Shape(Protocol):
    """What a value may be."""

    def check(self, value: object, here: Diagnostics) -> bool:
        """Write what is wrong with ``value`` to ``here``, and return whether it can be used."""
        ...


def describe(value: object) -> str:
    """Return ``value`` in a few words, for the end of a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value) if len(value) <= 60 else f"{value[:57]!r}..."
        case int() | float():
            return str(value)
        case datetime.date() | datetime.time():
            return f"the date {value}; put it in quotes"
        case _ if is_table(value):
            return "an object"
        case _ if isinstance(value, Sequence):
            return "a list"
        case _:
            return type(value).__name__


def is_table(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _refuse(here: Diagnostics, expected: str, value: object) -> bool:
    here.error("invalid", f"expected {expected}, found {describe(value)}")
    return False


@dataclass(frozen=True)
class _Anything:
    def check(self, value: object, here: Diagnostics) -> bool:
        return True


@dataclass(frozen=True)
class _DateRefused:
    """Any value that JSON has too."""

    def check(self, value: object, here: Diagnostics) -> bool:
        if isinstance(value, datetime.date | datetime.time):
            return _refuse(here, "a value that JSON has too", value)
        return True


@dataclass(frozen=True)
class Text:
    """A string; ``pattern`` must match the whole of it, and ``says`` tells in words what that means."""

    pattern: str | None = None
    says: str = "a string"

    def check(self, value: object, here: Diagnostics) -> bool:
        if not isinstance(value, str) or (self.pattern is not None and not re.fullmatch(self.pattern, value)):
            return _refuse(here, self.says, value)
        return True


@dataclass(frozen=True)
class Number:
    """A number; ``1.0`` is whole, and ``true`` is none."""

    least: float | None = None
    most: float | None = None
    whole: bool = False

    def check(self, value: object, here: Diagnostics) -> bool:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (self.whole and not (math.isfinite(value) and value == int(value)))
            or (self.least is not None and not value >= self.least)
            or (self.most is not None and not value <= self.most)
        ):
            return _refuse(here, self._says(), value)
        return True

    def _says(self) -> str:
        noun = "a whole number" if self.whole else "a number"
        if self.least is not None and self.most is not None:
            return f"{noun} from {self.least:g} to {self.most:g}"
        return noun if self.least is None else f"{noun} of at least {self.least:g}"


@dataclass(frozen=True)
class _Flag:
    def check(self, value: object, here: Diagnostics) -> bool:
        return True if isinstance(value, bool) else _refuse(here, "true or false", value)


@dataclass(frozen=True)
class OneOf:
    """One of a few strings or numbers."""

    values: tuple[str | int, ...]

    def check(self, value: object, here: Diagnostics) -> bool:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value not in self.values:
            words = [f'"{v}"' if isinstance(v, str) else str(v) for v in self.values]
            near = did_you_mean(value, [str(v) for v in self.values]) if isinstance(value, str) else ""
            expected = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
            here.error("invalid", f"expected {expected}, found {describe(value)}.{near}".rstrip("."))
            return False
        return True


@dataclass(frozen=True)
class ListOf:
    """A list whose items are all of one shape."""

    item: Shape
    least: int = 0

    def check(self, value: object, here: Diagnostics) -> bool:
        if isinstance(value, str) and isinstance(self.item, Text):
            here.error("invalid", f'expected a list, found {describe(value)}; put it in brackets: ["{value}"]')
            return False
        if not isinstance(value, list):
            return _refuse(here, "a list", value)
        items = cast("list[object]", value)
        if len(items) < self.least:
            here.error("invalid", f"expected at least {self.least} in the list")
            return False
        fits = True
        for index, item in enumerate(items):
            fits &= self.item.check(item, here.at(index))
        return fits


@dataclass(frozen=True)
class MapOf:
    """An object of any keys whose values are all of one shape."""

    value: Shape

    def check(self, value: object, here: Diagnostics) -> bool:
        if not is_table(value):
            return _refuse(here, "an object", value)
        fits = True
        for key, item in value.items():
            fits &= self.value.check(item, here.at(key))
        return fits


@dataclass(frozen=True)
class Nullable:
    """A shape, or null."""

    shape: Shape

    def check(self, value: object, here: Diagnostics) -> bool:
        return value is None or self.shape.check(value, here)


@dataclass(frozen=True)
class Either:
    """The first of several shapes that fits; ``says`` tells in words what they are."""

    shapes: tuple[Shape, ...]
    says: str

    def check(self, value: object, here: Diagnostics) -> bool:
        for shape in self.shapes:
            trial = Diagnostics()
            if shape.check(value, trial.at()) and not trial.errors:
                return True
        return _refuse(here, self.says, value)


@dataclass(frozen=True)
class Checked:
    """A shape with a rule of its own, asked only of values that have the shape."""

    shape: Shape
    rule: Callable[[Any, Diagnostics], bool | None]

    def check(self, value: object, here: Diagnostics) -> bool:
        # A rule that has nothing to return has said what it had to say.
        return self.shape.check(value, here) and self.rule(value, here) is not False


@dataclass(frozen=True)
class Record:
    """An object of known fields. ``unknown`` says what becomes of others."""

    fields: Mapping[str, Shape]
    required: frozenset[str] = field(default_factory=frozenset[str])
    unknown: Literal["warn", "pass", "refuse"] = "warn"

    def check(self, value: object, here: Diagnostics) -> bool:
        if not is_table(value):
            return _refuse(here, "an object", value)
        fits = True
        for name in self.fields:
            if name in self.required and name not in value:
                here.at(name).error("invalid", f"is required here{self._other_name(name, value)}")
                fits = False
        for name, item in value.items():
            shape = self.fields.get(name)
            if shape is not None:
                fits &= shape.check(item, here.at(name))
            elif self.unknown == "refuse":
                here.at(name).error("invalid", f"is not allowed here.{did_you_mean(name, self.fields)}")
                fits = False
            elif self.unknown == "warn":
                here.at(name).warning("unexpected-field", f"is not known here.{did_you_mean(name, self.fields)}")
        return fits

    def _other_name(self, name: str, value: Mapping[str, Any]) -> str:
        # Kinds of binding differ in this, and everybody mixes it up.
        other = {"name": "binding", "binding": "name"}.get(name, "")
        return f": what is called {other!r} elsewhere" if other in value and other not in self.fields else ""


def record(fields: Mapping[str, Shape], *, unknown: Literal["warn", "pass", "refuse"] = "warn") -> Record:
    """Return a ``Record``; a name that ends in ``!`` is required."""
    return Record(
        {name.removesuffix("!"): shape for name, shape in fields.items()},
        frozenset(name.removesuffix("!") for name in fields if name.endswith("!")),
        unknown,
    )


ANYTHING = _Anything()
DATE_REFUSED = _DateRefused()
FLAG = _Flag()
NUMBER = Number()
TEXT = Text()
TEXTS = ListOf(TEXT)
