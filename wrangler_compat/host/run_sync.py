"""``run_sync``: synchronous code waits for what is asynchronous, while the event loop goes on.

A worker's coroutine runs in a greenlet. When code below it calls ``run_sync``, that greenlet stands still, and the task
that drives it awaits in its place. Other tasks go on meanwhile. Nothing is switched for code that never asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Final, Literal

import greenlet

__all__ = ["Suspendable", "can_run_sync", "run_sync"]

_SPARE: Final = 16


class _Greenlet(greenlet.greenlet):
    """Runs a step of one coroutine after the other.

    To make one takes far longer than to switch to it, for Python gives each a stack of its own. What drives it is found
    by the code that runs, whatever context that runs in.
    """

    driver: Suspendable | None

    def __init__(self) -> None:
        super().__init__(self._run)

    def _run(self) -> None:
        while True:
            assert self.driver is not None
            self.driver.advance()
            assert self.parent is not None
            # Nothing of the step may stay in this frame: it stands here until the next one, if there is one.
            self.parent.switch()


class _Spare(threading.local):
    """The greenlets of a thread that have nothing to do."""

    def __init__(self) -> None:
        self.greenlets: list[_Greenlet] = []


_spare = _Spare()


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
    assert current.driver is not None
    return current.driver.wait_for(awaitable)


class Suspendable:
    """Awaitable that runs a coroutine so that code below it may call ``run_sync``."""

    __slots__ = ("_coroutine", "_greenlet", "_kind", "_value")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._greenlet: _Greenlet | None = None
        # What the next step is given, and then what has come of it.
        self._kind: Literal["send", "throw", "yield", "wait", "return", "raise"] = "send"
        self._value: Any = None

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            while True:
                self._step()
                while self._kind == "wait":
                    # What run_sync waits for is awaited here, in the task itself.
                    try:
                        self._kind, self._value = "send", (yield from _awaited(self._value))
                    except BaseException as error:
                        self._kind, self._value = "throw", error
                    self._switch()
                self._let_go()
                if self._kind == "return":
                    return self._value
                if self._kind == "raise":
                    raise self._value
                try:
                    self._kind, self._value = "send", (yield self._value)
                except BaseException as error:
                    self._kind, self._value = "throw", error
        finally:
            self._value = None
            self._coroutine.close()

    def _step(self) -> None:
        spare = _spare.greenlets
        self._greenlet = made = spare.pop() if spare else _Greenlet()
        made.driver = self
        # A greenlet has context variables of its own unless it is given the task's.
        made.gr_context = greenlet.getcurrent().gr_context
        self._switch()

    def _switch(self) -> None:
        assert self._greenlet is not None
        self._greenlet.parent = greenlet.getcurrent()
        self._greenlet.switch()

    def _let_go(self) -> None:
        done, self._greenlet = self._greenlet, None
        assert done is not None
        done.driver = done.gr_context = None
        if len(_spare.greenlets) < _SPARE:
            _spare.greenlets.append(done)

    # What is called in the coroutine's greenlet.

    def advance(self) -> None:
        """Take a step."""
        value, self._value = self._value, None
        try:
            coroutine = self._coroutine
            self._value = coroutine.send(value) if self._kind == "send" else coroutine.throw(value)
            self._kind = "yield"
        except StopIteration as stop:
            self._kind, self._value = "return", stop.value
        except greenlet.GreenletExit:
            raise  # Nobody will ever drive this any more.
        except BaseException as error:
            self._kind, self._value = "raise", error

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Stand still until ``awaitable`` has settled."""
        assert self._greenlet is not None
        assert self._greenlet.parent is not None
        self._kind, self._value = "wait", awaitable
        # The task is left to the loop meanwhile, which must not think that this code still runs in it.
        self._greenlet.parent.switch()
        value, self._value = self._value, None
        if self._kind == "throw":
            raise value
        return value


def _awaited(awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    if asyncio.iscoroutine(awaitable):
        # A task of its own, as promises are: it may itself be suspended by run_sync.
        awaitable = asyncio.ensure_future(awaitable)
    return (yield from awaitable.__await__())
