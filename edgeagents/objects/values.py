"""Values: what can be kept in storage and sent between objects, as bytes.

Data only, and always a copy: None, bool, int of any size, float, str, bytes, bytearray, list, tuple, dict, set,
frozenset, datetime, date, time, timedelta, Decimal and UUID, nested at will, and the ``records`` of edgeagents, such as
the ``Schedule`` of an agent. A list or dict that stands in a value twice, or in itself, does so in the copy. A subclass
comes back as the type it derives from, unless it is one of the ``kinds``, a time zone as its offset.

The bytes are CBOR (RFC 8949). Reading them makes these types and nothing else, so bytes from a broken or foreign file
can raise but never run anything.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar, cast
from uuid import UUID

import cbor2
from cbor2 import CBORTag

from edgeagents.errors import DataCloneError, StorageError
from edgeagents.http.places import place_of_fault, step
from edgeagents.objects.kinds import Unmade, kind_name, made_whole
from edgeagents.objects.records import fields_of, make_record, record_name

__all__ = ["MAX_DEPTH", "clone", "decode", "encode"]

T = TypeVar("T")

MAX_DEPTH = 250
"""How deep a value may nest."""

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})

# Registered tags: 28 marks what may be referred to again, 29 refers to it, 37 is a UUID, 258 a set.
_SHAREABLE, _SHARED, _UUID, _SET = 28, 29, 37, 258
# Ours, from the range that is free for anybody.
_TUPLE, _FROZENSET, _BYTEARRAY, _SURROGATES, _DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL = range(60_832, 60_841)
_RECORD, _KIND, _KIND_AGAIN, _WITH_KINDS = range(60_841, 60_845)


def encode(value: Any) -> bytes:
    """Return ``value`` as bytes. Raises ``DataCloneError`` when it is, or holds, something that is not data."""
    try:
        if type(value) in _SCALARS or _is_tree(value, set(), 0):
            return cbor2.dumps(value)
    except UnicodeEncodeError:
        pass  # Text with lone surrogates: UTF-8 has no form for it.
    marked = _Marked()
    try:
        whole = marked.mark(value, 0)
    except DataCloneError as error:
        found = place_of_fault(value, _parts)
        if found is None or found[0] == "$":
            raise
        raise DataCloneError(f"{found[1]} It stands at {found[0]}.") from error
    return cbor2.dumps(CBORTag(_WITH_KINDS, whole) if marked.has_kinds else whole)


def decode(data: bytes) -> Any:
    """Return a new value from what ``encode`` made. Raises ``StorageError`` for other bytes."""
    try:
        return cbor2.loads(data, semantic_decoders=_DECODERS, tag_hook=_refuse_tag, max_depth=8 * MAX_DEPTH)
    except cbor2.CBORDecodeError as error:
        raise StorageError(f"These bytes are not a stored value: {error.__cause__ or error}") from error


def clone(value: T) -> T:
    """Return a copy of ``value`` that shares nothing with it that could change."""
    if type(value) in _SCALARS:
        return value
    try:
        return cast(T, _copy_tree(value, set(), 0))
    except _NotATree:
        return decode(encode(value))


# Most values are trees as JSON has them: lists and dicts with text for keys, none of them twice. They need no marks.


def _is_tree(value: Any, seen: set[int], depth: int) -> bool:
    kind = type(value)
    if kind is dict:
        items = value.values()
        for key in value:
            if type(key) is not str:
                return False
    elif kind is list:
        items = value
    else:
        return False
    if id(value) in seen or depth > MAX_DEPTH:
        return False
    seen.add(id(value))
    for item in items:  # noqa: SIM110  (a generator takes twice as long)
        if type(item) not in _SCALARS and not _is_tree(item, seen, depth + 1):
            return False
    return True


class _NotATree(Exception):
    pass


def _copy_tree(value: Any, seen: set[int], depth: int) -> Any:
    if id(value) in seen or depth > MAX_DEPTH:
        raise _NotATree
    seen.add(id(value))
    kind = type(value)
    if kind is dict:
        copy: dict[str, Any] = {}
        for key, item in value.items():
            if type(key) is not str:
                raise _NotATree
            copy[key] = item if type(item) in _SCALARS else _copy_tree(item, seen, depth + 1)
        return copy
    if kind is list:
        return [item if type(item) in _SCALARS else _copy_tree(item, seen, depth + 1) for item in value]
    raise _NotATree


class _Marked:
    """One value on its way to CBOR: what CBOR has no type for gets a tag, what stands there twice a number."""

    has_kinds = False

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._parts: list[Any] = []

    def mark(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise DataCloneError(
                f"A value nests deeper than {MAX_DEPTH} levels, or a tuple in it holds itself. Keep it in parts."
            )
        kind = kind_name(type(value))
        if kind is not None:
            return self._mark_kind(kind, value, depth)
        if isinstance(value, dict | list):
            number = self._numbers.get(id(value))
            if number is not None:
                return CBORTag(_SHARED, number)
            self._numbers[id(value)] = len(self._numbers)
            deeper = depth + 1
            if isinstance(value, list):
                return CBORTag(_SHAREABLE, [self.mark(item, deeper) for item in value])
            items = dict.items(cast("dict[Any, Any]", value))
            return CBORTag(_SHAREABLE, {self.mark(key, deeper): self.mark(item, deeper) for key, item in items})
        name = record_name(type(value))
        if name is not None:
            fields = {field: self.mark(item, depth + 1) for field, item in fields_of(value).items()}
            return CBORTag(_RECORD, (name, fields))
        if isinstance(value, tuple):
            return CBORTag(_TUPLE, tuple(self.mark(item, depth + 1) for item in value))
        if isinstance(value, set | frozenset):
            tag = _SET if isinstance(value, set) else _FROZENSET
            return CBORTag(tag, tuple(self.mark(item, depth + 1) for item in value))
        return _mark_leaf(value)

    def _mark_kind(self, kind: str, value: Any, depth: int) -> Any:
        number = self._numbers.get(id(value))
        if number is not None:
            return CBORTag(_KIND_AGAIN, CBORTag(_SHARED, number))
        self.has_kinds = True
        self._numbers[id(value)] = len(self._numbers)
        parts: list[Any] = value.parts()
        # Held until all is marked: what was made for the parts alone must not give its id away.
        self._parts.append(parts)
        return CBORTag(_KIND, (kind, CBORTag(_SHAREABLE, [self.mark(part, depth + 1) for part in parts])))


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if kind_name(type(value)) is not None:
        return [(f"[{index}]", part) for index, part in enumerate(value.parts())]
    if isinstance(value, dict):
        items = list(dict.items(cast("dict[Any, Any]", value)))
        keys = [(f" (the key {key!r})", key) for key, _ in items if type(key) not in _SCALARS]
        return [*keys, *((step(key), item) for key, item in items)]
    if record_name(type(value)) is not None:
        return [(step(name), item) for name, item in fields_of(value).items()]
    if isinstance(value, list | tuple):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [("[...]", item) for item in value]
    _mark_leaf(value)
    return ()


def _mark_leaf(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case enum.Enum() if not isinstance(value, str | int | float):
            raise _refusal(value)
        case str():
            text = str.__str__(value)
            try:
                text.encode()
            except UnicodeEncodeError:
                return CBORTag(_SURROGATES, text.encode("utf-8", "surrogatepass"))
            return text
        case int():
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case bytes():
            return b"".join((value,))
        case bytearray():
            return CBORTag(_BYTEARRAY, bytes(value))
        case memoryview():
            return value.tobytes()
        case datetime():
            return CBORTag(_DATETIME, value.isoformat())
        case date():
            return CBORTag(_DATE, value.isoformat())
        case time():
            return CBORTag(_TIME, value.isoformat())
        case timedelta():
            return CBORTag(_TIMEDELTA, (value.days, value.seconds, value.microseconds))
        case Decimal():
            return CBORTag(_DECIMAL, str(value))
        case UUID():
            return CBORTag(_UUID, value.bytes)
        case _:
            raise _refusal(value)


def _refusal(value: Any) -> DataCloneError:
    kind = cast("type[Any]", type(value))
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, enum.Enum):
        advice = "Use its .value."
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        advice = "Use dataclasses.asdict() on it."
    elif getattr(kind, "_stays_here", False):
        advice = "It stays in the process that has it: only data crosses from one to another."
    elif callable(getattr(kind, "model_dump", None)):
        advice = "Use its model_dump()."
    elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType | types.ModuleType):
        advice = "Code stays where it is: use a name for it."
    elif isinstance(value, Iterator | range) or callable(getattr(value, "tolist", None)):
        advice = "Make a list of it."
    else:
        advice = "Make it a dict, list or another type that is data."
    return DataCloneError(f"A value of type {name} cannot be stored or sent. {advice}")


def _reader(make: Callable[[Any], Any]) -> Callable[[Any, bool], Any]:
    return lambda content, immutable: make(content)


def _refuse(content: Any, immutable: bool) -> Any:
    raise ValueError("a tag that stored values do not have")


def _refuse_tag(tag: CBORTag, immutable: bool) -> Any:
    raise ValueError(f"tag {tag.tag}, which stored values do not have")


_DECODERS: dict[int, Callable[[Any, bool], Any]] = {
    # What cbor2 reads by itself and nothing here writes: dates, fractions, regular expressions, MIME, addresses.
    **dict.fromkeys((0, 1, 4, 5, 25, 30, 35, 36, 52, 54, 100, 256, 260, 261, 1004, 43_000, 55_799), _refuse),
    _TUPLE: _reader(tuple),
    _FROZENSET: _reader(frozenset),
    _BYTEARRAY: _reader(bytearray),
    _SURROGATES: _reader(lambda data: data.decode("utf-8", "surrogatepass")),
    _DATETIME: _reader(datetime.fromisoformat),
    _DATE: _reader(date.fromisoformat),
    _TIME: _reader(time.fromisoformat),
    _TIMEDELTA: _reader(lambda parts: timedelta(*parts)),
    _DECIMAL: _reader(Decimal),
    _RECORD: _reader(lambda parts: make_record(*parts)),
    _KIND: _reader(lambda content: Unmade(*content)),
    _KIND_AGAIN: _reader(lambda parts: Unmade(None, parts)),
    _WITH_KINDS: _reader(made_whole),
}
