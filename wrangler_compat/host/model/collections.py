"""Maps and sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, python

__all__ = ["JsMap", "JsSet", "LiteralMap"]


class JsMap(JsProxy):
    """``Map``: pairs in the order of their coming."""

    class Statics(JsProxy.Statics):
        """Map.groupBy."""

        def groupBy(values: Any, group: Callable[..., Any]) -> JsMap:
            """Return a map with the values of each group, which ``group`` names."""
            made = JsMap()
            for n, value in enumerate(values):
                made._items.setdefault(call_relaxed(group, value, n), JsArray()).append(value)
            return made

    def __init__(self, entries: Iterable[Any] | None = None) -> None:
        self._items: dict[Any, Any] = {}
        if not is_nullish(entries):
            pairs = entries.items() if isinstance(entries, dict) else entries or ()
            self._items.update((key, value) for key, value in pairs)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[JsArray]:
        return self.entries()

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._items[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._items[key]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._items)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of ``key``, or undefined."""
        return self._items.get(key, default)

    def set(self, key: Any, value: Any) -> JsMap:
        """Set the value of ``key``."""
        self._items[key] = value
        return self

    def has(self, key: Any) -> bool:
        """Whether there is a value of ``key``."""
        return key in self._items

    def delete(self, key: Any) -> bool:
        """Remove ``key``; return whether it was there."""
        return self._items.pop(key, _nothing) is not _nothing

    def clear(self) -> None:
        """Remove all."""
        self._items.clear()

    def keys(self) -> Iterator[Any]:
        """Iterate over the keys."""
        return iter(self._items)

    def values(self) -> Iterator[Any]:
        """Iterate over the values."""
        return iter(self._items.values())

    def entries(self) -> Iterator[JsArray]:
        """Iterate over pairs."""
        return (JsArray(pair) for pair in self._items.items())

    def getOrInsert(self, key: Any, value: Any) -> Any:
        """Return the value of ``key``, which is ``value`` from now on if there was none."""
        return self._items.setdefault(key, value)

    def getOrInsertComputed(self, key: Any, make: Callable[..., Any]) -> Any:
        """Return the value of ``key``, which ``make`` makes if there was none."""
        if key not in self._items:
            self._items[key] = call_relaxed(make, key)
        return self._items[key]

    @python
    def items(self) -> Any:
        """Return the pairs, for Python."""
        return self._items.items()

    @python
    def pop(self, key: Any, *default: Any) -> Any:
        """Take the value of ``key`` out, as a dict does."""
        return self._items.pop(key, *default)

    @python
    def popitem(self) -> tuple[Any, Any]:
        """Take the last pair out."""
        return self._items.popitem()

    @python
    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of ``key``, which is ``default`` from now on if there was none."""
        return self._items.setdefault(key, default)

    @python
    def update(self, *others: Any, **values: Any) -> None:
        """Set the values of a mapping, or of pairs."""
        self._items.update(*others, **values)

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each value and key."""
        for key, value in tuple(self._items.items()):
            call_relaxed(fn, value, key, self)


class JsSet(JsProxy):
    """``Set``: values in the order of their coming."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self._items: dict[Any, None] = {} if is_nullish(values) else dict.fromkeys(values or ())

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(self._items))

    def __contains__(self, value: object) -> bool:
        return value in self._items

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._items)

    def add(self, value: Any) -> JsSet:
        """Put ``value`` in."""
        self._items[value] = None
        return self

    def has(self, value: Any) -> bool:
        """Whether ``value`` is in."""
        return value in self._items

    def delete(self, value: Any) -> bool:
        """Take ``value`` out; return whether it was in."""
        return self._items.pop(value, _nothing) is not _nothing

    def clear(self) -> None:
        """Take all out."""
        self._items.clear()

    def keys(self) -> Iterator[Any]:
        """Iterate over the values."""
        return iter(self._items)

    def values(self) -> Iterator[Any]:
        """Iterate over the values."""
        return iter(self._items)

    def entries(self) -> Iterator[JsArray]:
        """Iterate over the values, each twice."""
        return (JsArray((value, value)) for value in self._items)

    def union(self, other: Any) -> JsSet:
        """Return the values of both."""
        return JsSet((*self._items, *other))

    def intersection(self, other: Any) -> JsSet:
        """Return the values that are in both."""
        theirs = set(other)
        return JsSet(value for value in self._items if value in theirs)

    def difference(self, other: Any) -> JsSet:
        """Return the values that are here alone."""
        theirs = set(other)
        return JsSet(value for value in self._items if value not in theirs)

    def symmetricDifference(self, other: Any) -> JsSet:
        """Return the values that are in one alone."""
        theirs = JsSet(other)
        return JsSet((*self.difference(theirs), *theirs.difference(self)))

    def isSubsetOf(self, other: Any) -> bool:
        """Whether all values are in ``other``."""
        return set(self._items) <= set(other)

    def isSupersetOf(self, other: Any) -> bool:
        """Whether all values of ``other`` are in here."""
        return set(self._items) >= set(other)

    def isDisjointFrom(self, other: Any) -> bool:
        """Whether no value is in both."""
        return set(self._items).isdisjoint(other)

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each value."""
        for value in tuple(self._items):
            call_relaxed(fn, value, value, self)


class LiteralMap(JsObject):
    """What ``to_js`` makes of a dict: a plain object that can also be read as a Map."""

    __slots__ = ()
    _js_name = "Object"

    def get(self, key: Any) -> Any:
        """Return a property, or undefined."""
        return self._props.get(key)

    def has(self, key: Any) -> bool:
        """Whether there is such a property."""
        return key in self._props

    def set(self, key: Any, value: Any) -> LiteralMap:
        """Set a property."""
        setattr(self, key, value)
        return self

    def keys(self) -> Iterator[Any]:
        """Iterate over the names."""
        return iter(self._props)

    def values(self) -> Iterator[Any]:
        """Iterate over the values."""
        return iter(self._props.values())

    def entries(self) -> Iterator[JsArray]:
        """Iterate over pairs."""
        return (JsArray(pair) for pair in self._props.items())


_nothing = object()
