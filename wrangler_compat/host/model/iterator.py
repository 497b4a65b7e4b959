"""Iterators: what ``keys()`` and the like give, and what can be made of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wrangler_compat.host.model.convert import truthy
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.proxy import JsObject, JsProxy

__all__ = ["JsIterator", "iteration"]


def iteration(iterator: Iterator[Any]) -> JsObject:
    """Return the next step of ``iterator`` as JavaScript has it."""
    try:
        return JsObject({"value": next(iterator), "done": False})
    except StopIteration:
        return JsObject({"value": None, "done": True})


class JsIterator(JsProxy):
    """``Iterator``: an iterator of Python's too. What is made of one takes from it as it is asked."""

    class Statics(JsProxy.Statics):
        """Iterator.from."""

        def from_(values: Any) -> JsIterator:
            """Return an iterator over what can be iterated, or over what has ``next``."""
            if hasattr(values, "__iter__"):
                return JsIterator(values)
            step = getattr(values, "next", None)
            if not callable(step):
                raise JsTypeError(f"{values!r} is not an object")
            return JsIterator(_steps(step))

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        if values is None:
            raise JsTypeError("Abstract class Iterator not directly constructable")
        self._values = iter(values)

    def __iter__(self) -> JsIterator:
        return self

    def __next__(self) -> Any:
        return next(self._values)

    def next(self) -> JsObject:
        """Return ``{value, done}``."""
        return iteration(self)

    def return_(self, value: Any = None) -> JsObject:
        """End it; return ``{value, done}``."""
        self._values = iter(())
        return JsObject({"value": value, "done": True})

    def toArray(self) -> Any:
        """Return what is left, as an array."""
        from wrangler_compat.host.model.array import JsArray

        return JsArray(self)

    def map(self, change: Callable[..., Any]) -> JsIterator:
        """Iterate over what ``change`` makes of each."""
        return JsIterator(call_relaxed(change, value, n) for n, value in enumerate(self))

    def filter(self, test: Callable[..., Any]) -> JsIterator:
        """Iterate over those for which ``test`` says yes."""
        return JsIterator(value for n, value in enumerate(self) if truthy(call_relaxed(test, value, n)))

    def flatMap(self, change: Callable[..., Any]) -> JsIterator:
        """Iterate over what is in what ``change`` makes of each."""
        return JsIterator(itertools.chain.from_iterable(self.map(change)))

    def take(self, count: Any) -> JsIterator:
        """Iterate over the first ``count``."""
        return JsIterator(itertools.islice(self, _count(count)))

    def drop(self, count: Any) -> JsIterator:
        """Iterate over those after the first ``count``."""
        return JsIterator(itertools.islice(self, _count(count), None))

    def reduce(self, fn: Callable[..., Any], *start: Any) -> Any:
        """Fold what is left."""
        values = itertools.chain(start[:1], self)
        try:
            so_far = next(values)
        except StopIteration:
            raise JsTypeError("Reduce of a done iterator with no initial value") from None
        for n, value in enumerate(values, 0 if start else 1):
            so_far = call_relaxed(fn, so_far, value, n)
        return so_far

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each."""
        for n, value in enumerate(self):
            call_relaxed(fn, value, n)

    def some(self, test: Callable[..., Any]) -> bool:
        """Whether ``test`` says yes for one; takes no more than that needs."""
        return any(truthy(call_relaxed(test, value, n)) for n, value in enumerate(self))

    def every(self, test: Callable[..., Any]) -> bool:
        """Whether ``test`` says yes for all; takes no more than that needs."""
        return all(truthy(call_relaxed(test, value, n)) for n, value in enumerate(self))

    def find(self, test: Callable[..., Any]) -> Any:
        """Return the first for which ``test`` says yes, or undefined."""
        return next((value for n, value in enumerate(self) if truthy(call_relaxed(test, value, n))), None)

    def _keys(self) -> list[str]:
        return []


def _steps(step: Callable[[], Any]) -> Iterator[Any]:
    while not truthy(getattr(made := step(), "done", None)):
        yield getattr(made, "value", None)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise JsRangeError(f"{value} must be positive")
    return value
