"""Python types as JSON sees them: a schema from a type hint, and a value read by it.

Known are the scalars, ``None``, ``Literal``, enums, ``date`` and ``datetime``, lists, sets and tuples of one type,
``dict[str, ...]``, unions, ``Annotated[..., "description"]``, dataclasses, ``TypedDict`` and pydantic models (by
their own methods, so pydantic need not be installed). Anything else is a TypeError when the schema is made, not
when a model calls.

``Annotated`` sets limits too, with anything that has an attribute of that name: ``ge``, ``gt``, ``le``, ``lt``,
``min_length``, ``max_length``. Those of ``annotated_types``, ``msgspec.Meta`` and ``pydantic.Field`` have.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple, Union, cast

import typing_extensions

from edgeagents.models.parts import Json

__all__ = ["InvalidValue", "read_value", "schema_of"]

_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_SEQUENCES = (list, set, frozenset, Sequence, MutableSequence, AbstractSet)
_MAPPINGS = (dict, Mapping, MutableMapping)
_WORDS = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class _Limit(NamedTuple):
    keyword: str
    holds: Callable[[Any, Any], bool]
    words: str


_NUMBER_LIMITS = {
    "ge": _Limit("minimum", operator.ge, "at least"),
    "gt": _Limit("exclusiveMinimum", operator.gt, "more than"),
    "le": _Limit("maximum", operator.le, "at most"),
    "lt": _Limit("exclusiveMaximum", operator.lt, "less than"),
}
_LENGTH_LIMITS = {
    "min_length": _Limit("min", operator.ge, "at least"),
    "max_length": _Limit("max", operator.le, "at most"),
}

_COUNTED: Mapping[str | None, str] = {"array": "Items", "object": "Properties"}


class InvalidValue(ValueError):
    """A value is not what its type asks for. The message is meant for whoever wrote the value: a model, often."""


class _Field(NamedTuple):
    hint: Any
    required: bool
    default: Any


_NO_DEFAULT = object()


def schema_of(hint: Any) -> dict[str, Json]:
    """Return the JSON schema of ``hint``. Raises TypeError when JSON has no such type."""
    return _with_definitions(_schema_of(hint))


def object_schema(members: Mapping[str, _Field]) -> dict[str, Json]:
    """Return the schema of an object with these fields and no others."""
    return _with_definitions(_object_schema(members))


def _schema_of(hint: Any, *, _inside: tuple[Any, ...] = ()) -> dict[str, Json]:
    if hint is Any or hint is object:
        return {}
    if hint is None:
        return {"type": "null"}
    if isinstance(hint, type) and hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if hint in (datetime, date):
        return {"type": "string", "format": "date-time" if hint is datetime else "date"}
    if hint in _inside:
        raise TypeError(f"{_name(hint)} contains itself, which is not supported.")
    inside = (*_inside, hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        schema = _schema_of(args[0], _inside=_inside)
        for keyword, _, _, limit in _limits(args[1:], schema.get("type")):
            # A date has limits too, but no schema has a word for them.
            if isinstance(limit, int | float):
                schema = {**schema, keyword: limit}
        description = next((text for text in args[1:] if isinstance(text, str)), None)
        return {**schema, "description": description} if description else schema
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema_of(arg, _inside=inside) for arg in args]}
    if origin is Literal:
        return {"enum": list(args)}
    base = origin or hint
    if base in _SEQUENCES:
        schema = {"type": "array", "items": _schema_of(args[0], _inside=inside) if args else {}}
        return {**schema, "uniqueItems": True} if base in (set, frozenset, AbstractSet) else schema
    if base is tuple and len(args) == 2 and args[1] is ...:
        return {"type": "array", "items": _schema_of(args[0], _inside=inside)}
    if base in _MAPPINGS:
        if args and args[0] is not str:
            raise TypeError(f"{_name(hint)} has keys that are not strings.")
        return {"type": "object", "additionalProperties": _schema_of(args[1], _inside=inside) if args else True}
    if isinstance(hint, type):
        if _is_pydantic(hint):
            return cast(Any, hint).model_json_schema()
        if issubclass(hint, enum.Enum):
            return {"enum": [member.value for member in hint]}
        members = _fields(hint)
        if members is not None:
            return _object_schema(members, _inside=inside)
    raise TypeError(f"JSON has no type for {_name(hint)}.")


def _object_schema(members: Mapping[str, _Field], *, _inside: tuple[Any, ...] = ()) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    for name, member in members.items():
        schema = _schema_of(member.hint, _inside=_inside)
        if member.default is None or isinstance(member.default, str | int | float | bool):
            schema = {**schema, "default": member.default}
        properties[name] = schema
    required = [name for name, member in members.items() if member.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def member(hint: Any, default: Any = _NO_DEFAULT) -> _Field:
    """Return a field of an object; it is required when it has no default."""
    return _Field(hint, default is _NO_DEFAULT, default)


def read_value(hint: Any, value: Json, where: str = "input") -> Any:
    """Return ``value``, which came as JSON, as the Python value that ``hint`` asks for. Raises ``InvalidValue``."""
    if hint is Any or hint is object:
        return value
    if hint is None:
        hint = type(None)
    if isinstance(hint, type) and hint in _SCALARS:
        return _read_scalar(hint, value, where)
    if hint in (datetime, date):
        try:
            return hint.fromisoformat(value)
        except (TypeError, ValueError):
            raise InvalidValue(f"{where} must be a {hint.__name__} in ISO 8601, not {value!r}") from None
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        found = read_value(args[0], value, where)
        for _, holds, words, limit in _limits(args[1:]):
            if not holds(found, limit):
                raise InvalidValue(f"{where} must {words} {limit!r}, not {value!r}")
        return found
    if origin in (Union, types.UnionType):
        return _read_union(args, value, where)
    if origin is Literal:
        for arg in args:
            if arg == value and type(arg) is type(value):
                return arg
        raise InvalidValue(f"{where} must be one of {', '.join(map(repr, args))}, not {value!r}")
    base = origin or hint
    if base in _SEQUENCES or base is tuple:
        if not isinstance(value, list):
            raise InvalidValue(f"{where} must be a list, not {value!r}")
        items = cast("list[Json]", value)
        found = [read_value(args[0] if args else Any, item, f"{where}[{i}]") for i, item in enumerate(items)]
        if base in (set, AbstractSet):
            return set(found)
        return base(found) if base in (tuple, frozenset) else found
    if base in _MAPPINGS:
        entries = _entries(value, where)
        return {key: read_value(args[1] if args else Any, item, f"{where}.{key}") for key, item in entries.items()}
    if _is_pydantic(hint):
        try:
            return hint.model_validate(value)
        except ValueError as error:
            raise InvalidValue(f"{where}: {error}") from None
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        for each in hint:
            if each.value == value:
                return each
        raise InvalidValue(f"{where} must be one of {', '.join(repr(m.value) for m in hint)}, not {value!r}")
    members = _fields(hint)
    if members is None:
        raise TypeError(f"JSON has no type for {_name(hint)}.")
    return hint(**read_object(members, value, where))


def read_object(members: Mapping[str, _Field], value: Json, where: str) -> dict[str, Any]:
    """Return the fields of an object, each as its type asks for. Those left out are left out."""
    entries = _entries(value, where)
    problems = [f"{where}.{name} is missing" for name, m in members.items() if m.required and name not in entries]
    problems += [f"{where}.{name} is not known" for name in entries if name not in members]
    found: dict[str, Any] = {}
    for name, item in entries.items():
        if name in members:
            try:
                found[name] = read_value(members[name].hint, item, f"{where}.{name}")
            except InvalidValue as error:
                problems.append(str(error))
    if problems:
        # All at once: a model that is told one problem at a time needs a step for each.
        raise InvalidValue("; ".join(problems))
    return found


def _read_scalar(hint: Any, value: Json, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not hint:
        raise InvalidValue(f"{where} must be {_WORDS[hint]}, not {value!r}")
    return value


def _read_union(args: Sequence[Any], value: Json, where: str) -> Any:
    problems: list[str] = []
    for arg in args:
        try:
            return read_value(arg, value, where)
        except InvalidValue as error:
            problems.append(str(error))
    raise InvalidValue(", or ".join(problems))


def _entries(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise InvalidValue(f"{where} must be an object, not {value!r}")
    return cast("dict[str, Json]", value)


def _fields(hint: Any) -> dict[str, _Field] | None:
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        found: dict[str, _Field] = {}
        for f in dataclasses.fields(hint):
            if f.init:
                required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
                default = _NO_DEFAULT if f.default is dataclasses.MISSING else f.default
                found[f.name] = _Field(hints[f.name], required, default)
        return found
    if typing_extensions.is_typeddict(hint):
        hints = typing_extensions.get_type_hints(hint, include_extras=True)
        # Under postponed annotations the class itself knows only of total=, not of NotRequired.
        found = {}
        for name, each in hints.items():
            mark = typing.get_origin(each)
            marks = (typing_extensions.Required, typing_extensions.NotRequired)
            required = mark is marks[0] if mark in marks else name in hint.__required_keys__
            found[name] = _Field(typing.get_args(each)[0] if mark in marks else each, required, _NO_DEFAULT)
        return found
    return None


def _limits(
    metadata: Sequence[Any], kind: str | None = None
) -> Iterator[tuple[str, Callable[[Any, Any], bool], str, Any]]:
    """Yield each limit that ``Annotated`` sets: the schema's keyword, whether a value keeps it, the words for it."""
    for each in metadata:
        # pydantic's Field keeps its limits in a list.
        for mark in (each, *(getattr(each, "metadata", None) or ())):
            for name, (keyword, holds, words) in _NUMBER_LIMITS.items():
                limit = getattr(mark, name, None)
                if limit is not None and not callable(limit):
                    yield keyword, holds, f"be {words}", limit
            for name, (keyword, holds, words) in _LENGTH_LIMITS.items():
                limit = getattr(mark, name, None)
                if isinstance(limit, int):
                    fits = lambda value, limit, holds=holds: holds(len(value), limit)  # noqa: E731
                    yield keyword + _COUNTED.get(kind, "Length"), fits, f"have a length of {words}", limit


def _with_definitions(schema: dict[str, Json]) -> dict[str, Json]:
    """Return ``schema`` with the definitions of pydantic models where their references look for them: at its top."""
    definitions: dict[str, Json] = {}

    def lift(value: Json) -> Json:
        if isinstance(value, list):
            return [lift(each) for each in cast("list[Json]", value)]
        if not isinstance(value, dict):
            return value
        found = {key: lift(each) for key, each in cast("dict[str, Json]", value).items()}
        for name, definition in (found.pop("$defs", None) or {}).items():
            if definitions.setdefault(name, definition) != definition:
                raise TypeError(f"Two types are called {name!r}; rename one of them.")
        return found

    lifted = lift(schema)
    if not definitions:
        return lifted
    reference = lifted.get("$ref")
    if isinstance(reference, str):
        # A type that contains itself. Models want an object at the top, and not a reference to one.
        lifted = {**definitions[reference.rpartition("/")[2]], **{k: v for k, v in lifted.items() if k != "$ref"}}
    return {**lifted, "$defs": definitions}


def _is_pydantic(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "model_json_schema") and hasattr(hint, "model_validate")


def _name(hint: Any) -> str:
    return getattr(hint, "__qualname__", None) or repr(hint)
