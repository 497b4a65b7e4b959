"""Arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from wrangler_compat.host.model.convert import same, to_text, truthy
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, python

__all__ = ["JsArray"]


class JsArray(JsProxy):
    """``Array``. Python indexes it from both ends and by slices."""

    _callable_without_new = True

    class Statics(JsProxy.Statics):
        """Array.of and the like."""

        def of(*items: Any) -> JsArray:
            """Make an array of the arguments."""
            return JsArray(items)

        def from_(items: Any = None, change: Any = None) -> JsArray:
            """Make an array of what can be iterated."""
            values = list(items or ())
            return (
                JsArray(_call(change, value, n) for n, value in enumerate(values))
                if callable(change)
                else JsArray(values)
            )

        async def fromAsync(items: Any = None, change: Any = None) -> JsArray:
            """Make an array of what comes, one after the other."""
            from wrangler_compat.host.model.promise import settle_with

            values: list[Any] = []
            if hasattr(items, "__aiter__"):
                async for value in items:
                    values.append(value)  # noqa: PERF401  (what came is kept when the rest fails)
            else:
                values.extend([await settle_with(value) for value in items or ()])
            if callable(change):
                values = [await settle_with(_call(change, value, n)) for n, value in enumerate(values)]
            return JsArray(values)

        def isArray(value: Any = None) -> bool:
            """Whether ``value`` is an array."""
            return isinstance(getattr(value, "_target", value), JsArray)

    def __init__(self, items: Any = (), *more: Any) -> None:
        if more:
            items = (items, *more)
        elif isinstance(items, int) and not isinstance(items, bool):
            items = (None,) * items
        elif is_nullish(items):
            items = ()
        self._items: list[Any] = list(cast("Iterable[Any]", items))

    # Python's ways

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __contains__(self, value: object) -> bool:
        return any(same(item, value) for item in self._items)

    def __getitem__(self, index: Any) -> Any:
        return JsArray(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._items[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._items[index]

    @python
    def append(self, value: Any) -> None:
        """Add ``value`` at the end."""
        self._items.append(value)

    @python
    def extend(self, values: Iterable[Any]) -> None:
        """Add ``values`` at the end."""
        self._items.extend(values)

    @python
    def insert(self, index: int, value: Any) -> None:
        """Put ``value`` before the item at ``index``."""
        self._items.insert(index, value)

    @python
    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return where ``value`` is. Raises ValueError when it is not there."""
        for n in range(*slice(start, stop).indices(len(self._items))):
            if same(self._items[n], value):
                return n
        raise ValueError(f"{value!r} is not in array")

    @python
    def count(self, value: Any) -> int:
        """Return how often ``value`` is there."""
        return sum(same(item, value) for item in self._items)

    @python
    def remove(self, value: Any) -> None:
        """Take the first ``value`` out. Raises ValueError when it is not there."""
        del self._items[self.index(value)]

    @python
    def pop(self, *index: int) -> Any:
        """Take from the end, or at ``index``. Of an empty one, undefined."""
        return self._items.pop(*index) if index or self._items else None

    # JavaScript's

    @property
    def length(self) -> int:
        """How many there are."""
        return len(self._items)

    def _keys(self) -> list[str]:
        return [str(n) for n in range(len(self._items))]

    @python
    def object_values(self) -> JsArray:
        """Return the items."""
        return JsArray(self._items)

    @python
    def object_entries(self) -> JsArray:
        """Return pairs of index and item."""
        return JsArray(JsArray((str(n), item)) for n, item in enumerate(self._items))

    def toString(self) -> str:
        """The items, with commas between."""
        return self.join()

    def at(self, index: Any) -> Any:
        """Return one item, or undefined."""
        return self._items[index] if -len(self._items) <= index < len(self._items) else None

    def push(self, *items: Any) -> int:
        """Add to the end; return the length."""
        self._items.extend(items)
        return len(self._items)

    def shift(self) -> Any:
        """Take from the beginning."""
        return self._items.pop(0) if self._items else None

    def unshift(self, *items: Any) -> int:
        """Add to the beginning; return the length."""
        self._items[:0] = items
        return len(self._items)

    def slice(self, start: Any, end: Any) -> JsArray:
        """Return a part."""
        return JsArray(self._items[slice(start, end)])

    def splice(self, start: Any = 0, count: Any = None, *items: Any) -> JsArray:
        """Replace a part; return what was there."""
        start = slice(start, None).indices(len(self._items))[0]
        end = len(self._items) if count is None else start + max(count, 0)
        removed = JsArray(self._items[start:end])
        self._items[start:end] = items
        return removed

    def concat(self, *others: Any) -> JsArray:
        """Return an array of these and those."""
        items = list(self._items)
        for other in others:
            items.extend(other) if isinstance(other, JsArray) else items.append(other)
        return JsArray(items)

    def join(self, separator: Any = None) -> str:
        """Return the items as text."""
        between = "," if separator is None else to_text(separator)
        return between.join("" if is_nullish(item) else to_text(item) for item in self._items)

    def includes(self, value: Any) -> bool:
        """Whether ``value`` is an item."""
        return value in self

    def indexOf(self, value: Any) -> int:
        """Return where ``value`` is, or -1."""
        return next((n for n, item in enumerate(self._items) if same(item, value)), -1)

    def lastIndexOf(self, value: Any) -> int:
        """Return where ``value`` is last, or -1."""
        return next((n for n in reversed(range(len(self._items))) if same(self._items[n], value)), -1)

    def reverse(self) -> JsArray:
        """Turn it round."""
        self._items.reverse()
        return self

    def sort(self, compare: Any = None) -> JsArray:
        """Sort it by ``compare``, or else as text."""
        self._items.sort(key=functools.cmp_to_key(cast("Any", compare)) if callable(compare) else to_text)
        return self

    def flat(self, depth: Any = 1) -> JsArray:
        """Return the items, and those of arrays in it."""
        items: list[Any] = []
        for item in self._items:
            items.extend(item.flat(depth - 1) if isinstance(item, JsArray) and depth > 0 else (item,))
        return JsArray(items)

    def fill(self, value: Any, start: Any = None, end: Any = None) -> JsArray:
        """Put ``value`` everywhere, or from ``start`` to ``end``."""
        for n in range(*slice(start, end).indices(len(self._items))):
            self._items[n] = value
        return self

    def copyWithin(self, target: Any, start: Any = None, end: Any = None) -> JsArray:
        """Put a part of it over what is at ``target``."""
        part = self._items[slice(start, end)]
        first = slice(target, None).indices(len(self._items))[0]
        part = part[: len(self._items) - first]
        self._items[first : first + len(part)] = part
        return self

    def flatMap(self, change: Callable[..., Any]) -> JsArray:
        """Return what ``change`` makes of each, and what is in arrays that it makes."""
        return self.map(change).flat()

    def toReversed(self) -> JsArray:
        """Return the items from the end to the beginning."""
        return JsArray(reversed(self._items))

    def toSorted(self, compare: Any = None) -> JsArray:
        """Return the items sorted."""
        return JsArray(self._items).sort(compare)

    def toSpliced(self, start: Any = 0, count: Any = None, *items: Any) -> JsArray:
        """Return the items with a part replaced."""
        made = JsArray(self._items)
        made.splice(start, count, *items)
        return made

    def with_(self, index: Any, value: Any) -> JsArray:
        """Return the items with another one at ``index``."""
        made = JsArray(self._items)
        made[index] = value
        return made

    def map(self, change: Callable[..., Any]) -> JsArray:
        """Return what ``change`` makes of each."""
        return JsArray(_call(change, item, n, self) for n, item in enumerate(self._items))

    def filter(self, test: Callable[..., Any]) -> JsArray:
        """Return those for which ``test`` says yes."""
        return JsArray(item for n, item in enumerate(self._items) if truthy(_call(test, item, n, self)))

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each."""
        for n, item in enumerate(tuple(self._items)):
            _call(fn, item, n, self)

    def find(self, test: Callable[..., Any]) -> Any:
        """Return the first for which ``test`` says yes."""
        return next((item for n, item in enumerate(self._items) if truthy(_call(test, item, n, self))), None)

    def findIndex(self, test: Callable[..., Any]) -> int:
        """Return where the first is for which ``test`` says yes, or -1."""
        return next((n for n, item in enumerate(self._items) if truthy(_call(test, item, n, self))), -1)

    def findLast(self, test: Callable[..., Any]) -> Any:
        """Return the last for which ``test`` says yes."""
        at = self.findLastIndex(test)
        return self._items[at] if at >= 0 else None

    def findLastIndex(self, test: Callable[..., Any]) -> int:
        """Return where the last is for which ``test`` says yes, or -1."""
        places = reversed(range(len(self._items)))
        return next((n for n in places if truthy(_call(test, self._items[n], n, self))), -1)

    def some(self, test: Callable[..., Any]) -> bool:
        """Whether ``test`` says yes for one."""
        return self.findIndex(test) >= 0

    def every(self, test: Callable[..., Any]) -> bool:
        """Whether ``test`` says yes for all."""
        return all(truthy(_call(test, item, n, self)) for n, item in enumerate(self._items))

    def reduce(self, fn: Callable[..., Any], *start: Any) -> Any:
        """Fold the items."""
        return functools.reduce(lambda so_far, item: _call(fn, so_far, item), self._items, *start)

    def reduceRight(self, fn: Callable[..., Any], *start: Any) -> Any:
        """Fold the items from the end."""
        return JsArray(reversed(self._items)).reduce(fn, *start)

    def keys(self) -> Iterator[int]:
        """Iterate over the indexes."""
        return iter(range(len(self._items)))

    def values(self) -> Iterator[Any]:
        """Iterate over the items."""
        return iter(self._items)

    def entries(self) -> Iterator[Any]:
        """Iterate over pairs."""
        return (JsArray(pair) for pair in enumerate(self._items))


def _call(function: Callable[..., Any], *args: Any) -> Any:
    from wrangler_compat.host.model.functions import call_relaxed

    return call_relaxed(function, *args)
