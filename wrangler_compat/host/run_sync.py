"""``run_sync``: synchronous code waits for what is asynchronous, while the event loop goes on.

A worker's coroutine runs in a greenlet. When code below it calls ``run_sync``, that greenlet stands still, and the task
that drives it awaits in its place. Other tasks go on meanwhile. Nothing is switched for code that never asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

import greenlet

__all__ = ["Suspendable", "can_run_sync", "run_sync"]


class _Greenlet(greenlet.greenlet):
    """One step of a coroutine. What drives it is found by the code that runs, whatever context that runs in."""

    driver: Suspendable


def can_run_sync() -> bool:
    """Whether ``run_sync`` would work here."""
    return isinstance(greenlet.getcurrent(), _Greenlet)


def run_sync(awaitable: Awaitable[Any]) -> Any:
    """Return what ``awaitable`` comes to, or raise its error. The caller stands still, other tasks do not.

    Raises RuntimeError("No suspender") in code that no worker's event runs.
    """
    current = greenlet.getcurrent()
    if not isinstance(current, _Greenlet):
        raise RuntimeError("No suspender")
    return current.driver.wait_for(awaitable)


class Suspendable:
    """Awaitable that runs a coroutine so that code below it may call ``run_sync``."""

    __slots__ = ("_coroutine", "greenlet")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.greenlet: _Greenlet | None = None

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Stand still until ``awaitable`` has settled. Called in the coroutine's greenlet."""
        assert self.greenlet is not None
        assert self.greenlet.parent is not None
        # The task is left to the loop meanwhile, which must not think that this code still runs in it.
        kind, value = self.greenlet.parent.switch(("wait", awaitable))
        if kind == "error":
            raise value
        return value

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        kind: str = "send"
        value: Any = None
        try:
            while True:
                step = self._step(coroutine, kind, value)
                while step[0] == "wait":
                    # What run_sync waits for is awaited here, in the task itself.
                    try:
                        answer = ("value", (yield from _awaited(step[1])))
                    except BaseException as error:
                        answer = ("error", error)
                    assert self.greenlet is not None
                    self.greenlet.parent = greenlet.getcurrent()
                    step = self.greenlet.switch(answer)
                outcome, result = step
                if outcome == "return":
                    return result
                if outcome == "raise":
                    raise result
                try:
                    kind, value = "send", (yield result)
                except BaseException as error:
                    kind, value = "throw", error
        finally:
            coroutine.close()

    def _step(self, coroutine: Coroutine[Any, Any, Any], kind: str, value: Any) -> tuple[str, Any]:
        def run() -> tuple[str, Any]:
            try:
                return "yield", coroutine.send(value) if kind == "send" else coroutine.throw(value)
            except StopIteration as stop:
                return "return", stop.value
            except BaseException as error:
                return "raise", error

        self.greenlet = _Greenlet(run)
        self.greenlet.driver = self
        # A greenlet has context variables of its own unless it is given the task's.
        self.greenlet.gr_context = greenlet.getcurrent().gr_context
        return self.greenlet.switch()


def _awaited(awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    if asyncio.iscoroutine(awaitable):
        # A task of its own, as promises are: it may itself be suspended by run_sync.
        awaitable = asyncio.ensure_future(awaitable)
    return (yield from awaitable.__await__())
