"""JSON schemas that a program wrote: what of a value is not as they ask.

Checked are the words that schemas for models use: types, fields, items, choices, limits, and how schemas are put
together. A word that is not known asks for nothing, as the standard has it: ``format`` and ``default`` among them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from edgeagents.models.parts import Json

__all__ = ["problems_of", "resolve"]

_IS: dict[str, Callable[[Json], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
_WORDS = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_LIMITS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (operator.ge, "at least"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "maximum": (operator.le, "at most"),
    "exclusiveMaximum": (operator.lt, "less than"),
}
_LENGTHS: dict[str, tuple[type, Callable[[int, int], bool], str]] = {
    "minLength": (str, operator.ge, "at least"),
    "maxLength": (str, operator.le, "at most"),
    "minItems": (list, operator.ge, "at least"),
    "maxItems": (list, operator.le, "at most"),
    "minProperties": (dict, operator.ge, "at least"),
    "maxProperties": (dict, operator.le, "at most"),
}


def problems_of(schema: Mapping[str, Json], value: Json, where: str = "answer") -> list[str]:
    """Return what is wrong with ``value``, a sentence each; none when it is as ``schema`` asks."""
    return list(_Check(schema).problems(schema, value, where))


def resolve(schema: Json, root: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the schema that ``schema`` refers to within ``root``, or itself. Raises ``ValueError``."""
    while isinstance(schema, Mapping) and "$ref" in schema:
        found: Any = root
        reference = str(cast("Mapping[str, Json]", schema)["$ref"])
        try:
            for step in reference.removeprefix("#").removeprefix("/").split("/") if reference != "#" else ():
                found = found[step.replace("~1", "/").replace("~0", "~")]
        except (LookupError, TypeError):
            raise ValueError(f"The JSON schema has nothing at {reference!r}, to which it refers.") from None
        schema = found
    return cast("Mapping[str, Json]", schema)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Check:
    def __init__(self, root: Mapping[str, Json]) -> None:
        self._root = root

    def problems(self, schema: Json, value: Json, where: str) -> Iterator[str]:
        if schema is True:
            return
        if schema is False:
            yield f"{where} is not known"
            return
        schema = resolve(schema, self._root)
        kinds = schema.get("type")
        if kinds is not None:
            kinds = cast("Sequence[str]", [kinds] if isinstance(kinds, str) else kinds)
            if not any(_IS[kind](value) for kind in kinds):
                yield f"{where} must be {' or '.join(_WORDS[kind] for kind in kinds)}, not {value!r}"
                return
        yield from self._choices(schema, value, where)
        yield from self._limits(schema, value, where)
        if isinstance(value, dict):
            yield from self._fields(schema, cast("dict[str, Json]", value), where)
        if isinstance(value, list):
            yield from self._items(schema, cast("list[Json]", value), where)
        yield from self._combined(schema, value, where)

    def _choices(self, schema: Mapping[str, Json], value: Json, where: str) -> Iterator[str]:
        choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if choices is not None and not any(_equal(choice, value) for choice in choices):
            wanted = ("one of " if len(choices) > 1 else "") + ", ".join(map(repr, choices))
            yield f"{where} must be {wanted}, not {value!r}"

    def _limits(self, schema: Mapping[str, Json], value: Json, where: str) -> Iterator[str]:
        for keyword, (holds, words) in _LIMITS.items():
            if keyword in schema and _is_number(value) and not holds(value, schema[keyword]):
                yield f"{where} must be {words} {schema[keyword]!r}, not {value!r}"
        for keyword, (kind, fits, words) in _LENGTHS.items():
            if keyword in schema and isinstance(value, kind) and not fits(len(value), schema[keyword]):
                yield f"{where} must have a length of {words} {schema[keyword]!r}, not {value!r}"
        if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where} must match {schema['pattern']!r}, not {value!r}"

    def _fields(self, schema: Mapping[str, Json], value: Mapping[str, Json], where: str) -> Iterator[str]:
        yield from (f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        for name, each in value.items():
            yield from self.problems(known.get(name, others), each, f"{where}.{name}")

    def _items(self, schema: Mapping[str, Json], value: Sequence[Json], where: str) -> Iterator[str]:
        first = schema.get("prefixItems", ())
        for position, each in enumerate(value):
            item = first[position] if position < len(first) else schema.get("items", True)
            yield from self.problems(item, each, f"{where}[{position}]")
        if schema.get("uniqueItems") and any(_equal(a, b) for i, a in enumerate(value) for b in value[:i]):
            yield f"{where} must hold nothing twice"

    def _combined(self, schema: Mapping[str, Json], value: Json, where: str) -> Iterator[str]:
        for each in schema.get("allOf", ()):
            yield from self.problems(each, value, where)
        if "anyOf" in schema:
            tries = [list(self.problems(each, value, where)) for each in schema["anyOf"]]
            if all(tries):
                yield ", or ".join("; ".join(problems) for problems in tries)
        if "oneOf" in schema:
            tries = [list(self.problems(each, value, where)) for each in schema["oneOf"]]
            if all(tries):
                yield ", or ".join("; ".join(problems) for problems in tries)
            elif sum(not problems for problems in tries) > 1:
                yield f"{where} must be one kind of value only, but {value!r} is of several"
        if "not" in schema and not list(self.problems(schema["not"], value, where)):
            yield f"{where} must not be {value!r}"


def _equal(a: Json, b: Json) -> bool:
    # To Python True is 1, to JSON it is not.
    return a == b and isinstance(a, bool) == isinstance(b, bool)
