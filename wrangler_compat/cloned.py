"""What a structured clone keeps and Python's own types do not: maps, typed arrays, errors and their kind, as data.

Each is the dict, list, set or bytes that a program in Python would have in its place, so an agent of edgeagents need
not know of them; and each is stored and sent as what it is. ``host/clone.py`` makes JavaScript's values of them, and
``v8_values.py`` makes them of what workerd has kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from edgeagents.objects import record
from edgeagents.objects.kinds import kind

__all__ = [
    "ArrayData",
    "BoxedData",
    "BufferData",
    "ByIdentity",
    "DateData",
    "ErrorData",
    "HeadersData",
    "MapData",
    "ObjectData",
    "RegExpData",
    "SetData",
    "ViewData",
]

_FORMATS: Final = {"Float32Array": "f", "Float64Array": "d"}


class ByIdentity:
    """Stands in a dict or set of Python for a value that JavaScript finds there by what it is, such as an object."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _findable(value: Any) -> Any:
    return ByIdentity(value) if isinstance(value, list | dict | set) else value


def _found(key: Any) -> Any:
    return key.value if isinstance(key, ByIdentity) else key


@kind("js-map")
class MapData(dict[Any, Any]):
    """A ``Map``: a dict whose keys may be anything."""

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over keys and values."""
        return ((_found(key), value) for key, value in self.items())

    def parts(self) -> list[Any]:
        """Return what ``fill`` is given."""
        return [[key, value] for key, value in self.pairs()]

    def fill(self, parts: Iterable[Any]) -> None:
        """Put in pairs of keys and values."""
        self.update((_findable(key), value) for key, value in parts)


@kind("js-set")
class SetData(set[Any]):
    """A ``Set``: one that knows the order in which its members came, and whose members may be anything."""

    _order: dict[Any, None] | None = None

    def parts(self) -> list[Any]:
        """Return the members in their order."""
        known = [item for item in self._order or () if item in self]
        return list(map(_found, (*known, *(self - set(known)))))

    def fill(self, parts: Iterable[Any]) -> None:
        """Put in members."""
        self._order = dict.fromkeys(map(_findable, parts))
        self.update(self._order)


@kind("js-object")
class ObjectData(dict[str, Any]):
    """An object with properties that are ``undefined``, as others are null."""

    undefined: frozenset[str] = frozenset()

    def parts(self) -> list[Any]:
        """Return the properties, and which of them are undefined."""
        return [dict(self), list(self.undefined)]

    def fill(self, parts: Iterable[Any]) -> None:
        """Put in properties."""
        properties, undefined = parts
        self.update(properties)
        self.undefined = frozenset(undefined)


@kind("js-array")
class ArrayData(list[Any]):
    """An array with elements that are ``undefined``, as others are null."""

    undefined: frozenset[int] = frozenset()

    def parts(self) -> list[Any]:
        """Return the elements, and where undefined ones are."""
        return [list(self), list(self.undefined)]

    def fill(self, parts: Iterable[Any]) -> None:
        """Put in elements."""
        elements, undefined = parts
        self.extend(elements)
        self.undefined = frozenset(undefined)


@kind("js-error")
class ErrorData(dict[str, Any]):
    """An error: ``name``, ``message`` and what else it has of its own. ``class_name`` says which class it is of."""

    class_name: str = "Error"
    stack: str = ""

    def parts(self) -> list[Any]:
        """Return what ``fill`` is given."""
        return [self.class_name, self.stack, dict(self)]

    def fill(self, parts: Iterable[Any]) -> None:
        """Put in what it has."""
        self.class_name, self.stack, own = parts
        self.update(own)


@kind("js-headers")
class HeadersData(list[Any]):
    """``Headers``: pairs of names and values."""

    def parts(self) -> list[Any]:
        """Return the pairs."""
        return [*self]

    def fill(self, parts: Iterable[Any]) -> None:
        """Put in pairs."""
        self.extend(parts)


@kind("js-buffer")
class BufferData(bytes):
    """An ``ArrayBuffer``, which several views may share."""

    def parts(self) -> list[Any]:
        """Return the bytes."""
        return [bytes(self)]

    @classmethod
    def of(cls, parts: Iterable[Any]) -> Self:
        """Return one with these bytes."""
        return cls(*parts)


@kind("js-view")
class ViewData(bytes):
    """The bytes that a typed array or ``DataView`` shows of a buffer, from ``offset``. ``name`` says what it is.

    ``buffer`` is None for one that shows all of a buffer which nothing else has.
    """

    name: str
    buffer: bytes | None
    offset: int

    def __new__(cls, name: str, content: bytes, buffer: bytes | None = None, offset: int = 0) -> Self:
        """Make one with this content, which is a part of ``buffer``."""
        made = super().__new__(cls, content)
        made.name, made.buffer, made.offset = name, buffer, offset
        return made

    @classmethod
    def part_of(cls, buffer: bytes, name: str, offset: int, length: int) -> Self:
        """Return one that shows ``length`` bytes."""
        return cls(name, buffer[offset : offset + length], buffer, offset)

    @property
    def format(self) -> str:
        """What ``struct`` calls its numbers: ``f`` or ``d`` where they are floats, else ``B``."""
        return _FORMATS.get(self.name, "B")

    def parts(self) -> list[Any]:
        """Return what it shows of which buffer."""
        return [self.name, bytes(self)] if self.buffer is None else [self.name, self.buffer, self.offset, len(self)]

    @classmethod
    def of(cls, parts: Iterable[Any]) -> Self:
        """Return one made of parts."""
        name, content, *place = parts
        return cls.part_of(content, name, *place) if place else cls(name, content)


@record("js-boxed")
@dataclass(frozen=True, slots=True)
class BoxedData:
    """``new Number(1)``, or a text or boolean so made."""

    value: str | bool | int | float


@record("js-date")
@dataclass(frozen=True, slots=True)
class DateData:
    """A ``Date`` that ``datetime`` has no form for: an invalid one, or one of a year far away."""

    milliseconds: float


@record("js-regexp")
@dataclass(frozen=True, slots=True)
class RegExpData:
    """A regular expression."""

    source: str
    flags: str
