"""Kinds: subclasses of lists, dicts, sets and bytes that come back as what they are.

``values`` gives a subclass back as the type that it derives from. One that says more than that type is written down
here under a name that never changes, and says what it is made of. A program that knows nothing of it still finds the
dict, list, set or bytes that it is. Unlike a record it may change, stand in a value twice, and hold itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from edgeagents.objects.records import fields_of, make_record, record_name

__all__ = ["Unmade", "kind", "kind_name", "made_whole"]

T = TypeVar("T", bound=type)

_types: dict[str, type] = {}
_names: dict[type, str] = {}


def kind(name: str) -> Callable[[T], T]:
    """Make values of a class come back as what they are: ``@kind("js-map")``.

    The class has ``parts()``, a list of data, and either ``fill(parts)``, which makes an empty one what the parts were
    taken of, or, where it cannot change, the class method ``of(parts)``.
    """

    def write_down(cls: T) -> T:
        other = _types.get(name)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"Two classes are the kind {name!r}: {other.__qualname__} and {cls.__qualname__}.")
        _types[name], _names[cls] = cls, name
        return cls

    return write_down


def kind_name(cls: type) -> str | None:
    """Return the name that ``cls`` is kept under, or None when it is no kind."""
    return _names.get(cls)


class Unmade:
    """One that was read, but not made yet: its parts may hold itself. Where it stands again it has no name."""

    __slots__ = ("name", "parts")

    def __init__(self, name: str | None, parts: list[Any]) -> None:
        self.name, self.parts = name, parts


def made_whole(value: Any) -> Any:
    """Return ``value`` with each ``Unmade`` in it made. Raises ValueError for a kind that nothing here knows."""
    return _Making().whole(value)


class _Making:
    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        """By the list of its parts."""
        self._seen: set[int] = set()

    def whole(self, value: Any) -> Any:
        if isinstance(value, Unmade):
            return self._make(value)
        if isinstance(value, list | dict):
            self._go_through(cast("list[Any] | dict[Any, Any]", value))
            return value
        if record_name(type(value)) is not None:
            name = cast(str, record_name(type(value)))
            return make_record(name, {field: self.whole(item) for field, item in fields_of(value).items()})
        if isinstance(value, tuple | set | frozenset):
            return type(value)(map(self.whole, value))
        return value

    def _make(self, unmade: Unmade) -> Any:
        if unmade.name is None:
            return self._made[id(unmade.parts)]
        cls: Any = _types.get(unmade.name)
        if cls is None:
            raise ValueError(f"a {unmade.name!r}, which nothing here knows; is the program missing that kept it?")
        if hasattr(cls, "of"):
            made = cls.of([self.whole(part) for part in unmade.parts])
            self._made[id(unmade.parts)] = made
            return made
        made = self._made[id(unmade.parts)] = cls()
        made.fill([self.whole(part) for part in unmade.parts])
        return made

    def _go_through(self, value: list[Any] | dict[Any, Any]) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, list):
            value[:] = map(self.whole, value)
        else:
            items = [(self.whole(key), self.whole(item)) for key, item in value.items()]
            value.clear()
            value.update(items)
