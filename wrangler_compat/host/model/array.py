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

        def isArray(value: Any = None) -> bool:
            """Whether ``value`` is an array."""
            return isinstance(value, JsArray)

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

    def pop(self) -> Any:
        """Take from the end."""
        return self._items.pop() if self._items else None

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

    def fill(self, value: Any) -> JsArray:
        """Put ``value`` everywhere."""
        self._items[:] = [value] * len(self._items)
        return self

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

    def some(self, test: Callable[..., Any]) -> bool:
        """Whether ``test`` says yes for one."""
        return self.findIndex(test) >= 0

    def every(self, test: Callable[..., Any]) -> bool:
        """Whether ``test`` says yes for all."""
        return all(truthy(_call(test, item, n, self)) for n, item in enumerate(self._items))

    def reduce(self, fn: Callable[..., Any], *start: Any) -> Any:
        """Fold the items."""
        return functools.reduce(lambda so_far, item: _call(fn, so_far, item), self._items, *start)

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
