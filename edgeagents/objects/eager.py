"""Starting a coroutine at once: most events end without waiting for anything, and then need no turn of the event loop.

``begin_now`` runs a coroutine up to where it first waits, within the call. From there on it is a task like any other.
``Standby`` does so for coroutines that come one after another, as a task that is there already and waits for them.
Their code cannot tell the difference: it has one task and one context from its first line to its last.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context, copy_context
from sys import getrefcount
from types import CoroutineType
from typing import Any, Final, TypeVar

__all__ = [
    "NOTHING",
    "Ready",
    "Rest",
    "Standby",
    "begin_now",
    "is_too_deep",
    "running_task",
    "should_let_others_run",
]

# For those who make tasks of their own: https://docs.python.org/3/library/asyncio-extending.html
_enter = asyncio.tasks._enter_task
_leave = asyncio.tasks._leave_task
if sys.version_info >= (3, 12):
    running_task = asyncio.current_task
else:
    # Where current_task is not written in C yet, it takes ten times as long as what it looks at.
    running_task = asyncio.tasks._current_tasks.get  # pyright: ignore[reportAttributeAccessIssue]

T = TypeVar("T")

_DEPTH: Final = 8
_ROW: Final = 256

_depth = 0
_row = 0


def begin_now(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Future[T]:
    """Return what becomes of ``coroutine``, which has begun: done if it did not wait, else its task.

    Who knows the running loop spares the asking, which is a system call before Python 3.12.
    """
    global _depth, _row
    _depth += 1
    _row += 1
    try:
        return _begin(coroutine, loop or asyncio.get_running_loop())
    finally:
        _depth -= 1


def is_too_deep() -> bool:
    """Whether so many have begun within each other that the next must not: those that answer each other at once would
    fill the stack."""
    return _depth >= _DEPTH


def should_let_others_run() -> bool:
    """Whether many have begun one after another. Who begins again and again must then give way, once it may wait."""
    global _row
    if _row < _ROW:
        return False
    _row = 0
    return True


class Ready:
    """Awaitable: gives ``value`` without waiting. May be left unawaited."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._value
        yield


NOTHING: Final = Ready(None)


class Standby:
    """The task that makes this: where it waits, it lends itself to coroutines that are begun at once."""

    __slots__ = ("_context", "_loop", "_task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._context, self._loop = task, copy_context(), task.get_loop()

    def begin(self, work: Awaitable[None]) -> Rest | None:
        """Run ``work`` up to where it first waits. Return what is left of it, for the task to await, if anything.

        Raises what it raises.
        """
        coroutine: Coroutine[Any, Any, None] = work if type(work) is CoroutineType else _awaited(work)
        loop = self._loop
        caller = running_task(loop)
        if caller is not None:
            _leave(loop, caller)
        _enter(loop, self._task)
        try:
            return Rest(coroutine, self._context, self._context.run(coroutine.send, None))
        except StopIteration:
            return None
        finally:
            _leave(loop, self._task)
            if caller is not None:
                _enter(loop, caller)

    def interrupt(self) -> None:
        """Cancel the task in what it waits for. When it has caught that it must ask ``is_cancelled``."""
        self._task.cancel()

    def is_cancelled(self) -> bool:
        """Whether somebody else has cancelled the task, beside ``interrupt``."""
        return self._task.uncancel() > 0


async def _awaited(work: Awaitable[None]) -> None:
    await work


class Rest:
    """What is left of a coroutine that has been run up to its first wait. To be awaited once."""

    __slots__ = ("_context", "_coroutine", "_then", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], context: Context, waits_for: Any) -> None:
        self._coroutine, self._context, self._waits_for = coroutine, context, waits_for
        self._then: Rest | None = None

    def then(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Go on with ``coroutine``, which has not begun, when this has ended."""
        self._then = Rest(coroutine, self._context, None)

    def close(self) -> None:
        """Give up what has not been awaited."""
        self._context.run(self._coroutine.close)
        if self._then is not None:
            self._then.close()

    def __await__(self) -> Generator[Any, Any, None]:
        run, coroutine, waits_for = self._context.run, self._coroutine, self._waits_for
        try:
            if waits_for is None:
                # It has yet to begin, or only lets others run, and they have.
                waits_for = run(coroutine.send, None)
            while True:
                try:
                    yield waits_for
                except BaseException as error:
                    waits_for = run(coroutine.throw, error)
                else:
                    waits_for = run(coroutine.send, None)
        except StopIteration:
            pass
        if self._then is not None:
            yield from self._then.__await__()


if sys.version_info >= (3, 12):

    def _begin(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _begin(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        global _spare
        steps, _spare = _spare, None
        if steps is None or not steps.can_be_used(loop):
            steps = _Steps(loop)
        task = steps.task
        steps.context = context = copy_context()
        caller = running_task(loop)
        if caller is not None:
            _leave(loop, caller)
        _enter(loop, task)
        try:
            steps.go_on(coroutine, context.run(coroutine.send, None))
            return task
        except StopIteration as stop:
            ended: asyncio.Future[T] = asyncio.Future(loop=loop)
            ended.set_result(stop.value)
        except asyncio.CancelledError:
            ended = asyncio.Future(loop=loop)
            ended.cancel()
        except Exception as error:
            ended = asyncio.Future(loop=loop)
            ended.set_exception(error)
        finally:
            _leave(loop, task)
            if caller is not None:
                _enter(loop, caller)
        if _spare is None and getrefcount(task) == steps.references:
            # Nobody can tell that it was this one: it may be the next one's too.
            _spare = steps
        else:
            steps.end()
        return ended

    class _Steps(Coroutine[Any, Any, Any]):
        """What a task runs that coroutines are begun as: the rest of the one that has to wait, after it was begun.

        Until there is one the task stands by.
        """

        __slots__ = ("_coroutine", "_has_ended", "_loop", "_stands_by", "_waits_for", "context", "references", "task")

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self._loop = loop
            self._coroutine: Coroutine[Any, Any, Any] | None = None
            self._waits_for: Any = None
            self._stands_by: asyncio.Future[None] | None = None
            self._has_ended = False
            self.context = copy_context()
            self.task = task = asyncio.Task(self, loop=loop)
            # That it stands by when the loop is closed is no news.
            task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
            self.references = getrefcount(task)
            """How many references there are to the task when only the loop and this have it."""

        def can_be_used(self, loop: asyncio.AbstractEventLoop) -> bool:
            """Whether the task still stands by, and on ``loop``."""
            return loop is self._loop and not self.task.cancelling() and not self.task.done()

        def go_on(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
            """Go on with ``coroutine`` when what it waits for is done."""
            self._coroutine, self._waits_for = coroutine, waits_for
            self._wake()

        def end(self) -> None:
            """End the task: there will be nothing to go on with."""
            self._has_ended = True
            self._wake()

        def _wake(self) -> None:
            stands_by, self._stands_by = self._stands_by, None
            if stands_by is not None and not stands_by.done():
                stands_by.set_result(None)

        def send(self, value: Any, /) -> Any:
            coroutine = self._coroutine
            if coroutine is None:
                if self._has_ended:
                    raise StopIteration
                self._stands_by = self._loop.create_future()
                self._stands_by._asyncio_future_blocking = True
                return self._stands_by
            waits_for, self._waits_for = self._waits_for, None
            return self.context.run(coroutine.send, value) if waits_for is None else waits_for

        def throw(self, *error: Any) -> Any:
            coroutine = self._coroutine
            if coroutine is None:
                raise error[0]
            waits_for, self._waits_for = self._waits_for, None
            # Cancelled before the task has seen what it waits for: as from a task, that is what is cancelled.
            if isinstance(waits_for, asyncio.Future) and waits_for.cancel():
                return waits_for
            return self.context.run(coroutine.throw, *error)

        def close(self) -> None:
            if self._coroutine is not None:
                self.context.run(self._coroutine.close)

        def __await__(self) -> Any:
            raise TypeError("The steps of a task are its own.")

        # For who asks a task where it stands.

        @property
        def cr_frame(self) -> Any:
            return getattr(self._coroutine, "cr_frame", None)

        @property
        def cr_code(self) -> Any:
            return getattr(self._coroutine, "cr_code", None)

        @property
        def cr_await(self) -> Any:
            return getattr(self._coroutine, "cr_await", None)

        @property
        def cr_running(self) -> bool:
            return getattr(self._coroutine, "cr_running", False)

    _spare: _Steps | None = None
    """A task that stands by for the next coroutine that is begun."""
