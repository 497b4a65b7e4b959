"""Starting a coroutine at once: most events end without waiting for anything, and then need no turn of the event loop.

``begin_now`` runs a coroutine up to where it first waits, within the call. From there on it is a task like any other.
``Standby`` does so for coroutines that come one after another, as a task that is there already and waits for them.
Their code cannot tell the difference: it has one task and one context from its first line to its last.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

__all__ = ["Standby", "begin_now"]

# For those who make tasks of their own: https://docs.python.org/3/library/asyncio-extending.html
_enter = asyncio.tasks._enter_task
_leave = asyncio.tasks._leave_task

T = TypeVar("T")

_DEPTH: Final = 8
"""How many may have begun within each other: objects that answer each other must not fill the stack."""

_ROW: Final = 256
"""How many may begin between two turns of the event loop: what calls objects in a loop must let others run."""

_depth = 0
_row = 0
_loop_of_row: asyncio.AbstractEventLoop | None = None


def begin_now(coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Return what becomes of ``coroutine``, which has begun: done if it did not wait, else its task."""
    global _depth, _row, _loop_of_row
    loop = asyncio.get_running_loop()
    if loop is not _loop_of_row:
        _loop_of_row, _row = loop, 0
    if _depth >= _DEPTH or _row >= _ROW:
        return loop.create_task(coroutine)
    if not _row:
        loop.call_soon(_end_row)
    _row += 1
    _depth += 1
    try:
        return _begin(coroutine, loop)
    finally:
        _depth -= 1


def _end_row() -> None:
    global _row
    _row = 0


class Standby:
    """The task that makes this: where it waits, it lends itself to coroutines that are begun at once."""

    __slots__ = ("_context", "_task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._context = task, copy_context()

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> Rest | None:
        """Run ``coroutine`` up to where it first waits. Return what is left of it, for the task to await, if anything.

        Raises what the coroutine raises.
        """
        loop = asyncio.get_running_loop()
        caller = asyncio.current_task(loop)
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


class Rest:
    """What is left of a coroutine that has been run up to its first wait. To be awaited once."""

    __slots__ = ("_context", "_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], context: Context, waits_for: Any) -> None:
        self._coroutine, self._context, self._waits_for = coroutine, context, waits_for

    def close(self) -> None:
        """Give up what has not been awaited."""
        self._context.run(self._coroutine.close)

    def __await__(self) -> Generator[Any, Any, None]:
        run, coroutine, waits_for = self._context.run, self._coroutine, self._waits_for
        try:
            while True:
                try:
                    yield waits_for
                except BaseException as error:
                    waits_for = run(coroutine.throw, error)
                else:
                    waits_for = run(coroutine.send, None)
        except StopIteration:
            return


if sys.version_info >= (3, 12):

    def _begin(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _begin(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        begun: _Begun[T] = _Begun(coroutine)
        context = copy_context()
        # When it is its turn the coroutine has begun, and mostly ended.
        task = asyncio.Task(begun, loop=loop, context=context)
        caller = asyncio.current_task(loop)
        if caller is not None:
            _leave(loop, caller)
        _enter(loop, task)
        try:
            begun.waits_for = context.run(coroutine.send, None)
            begun.has_ended = False
            return task
        except StopIteration as stop:
            ended: asyncio.Future[T] = loop.create_future()
            ended.set_result(stop.value)
        except asyncio.CancelledError:
            ended = loop.create_future()
            ended.cancel()
        except Exception as error:
            ended = loop.create_future()
            ended.set_exception(error)
        finally:
            _leave(loop, task)
            if caller is not None:
                _enter(loop, caller)
        return ended

    class _Begun(Coroutine[Any, Any, T]):
        """The rest of a coroutine that has been run up to its first wait."""

        __slots__ = ("_coroutine", "_is_handed_over", "has_ended", "waits_for")

        def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
            self._coroutine = coroutine
            self._is_handed_over = False
            self.has_ended = True
            self.waits_for: Any = None

        def send(self, value: Any, /) -> Any:
            if self.has_ended:
                raise StopIteration
            if not self._is_handed_over:
                self._is_handed_over = True
                if self.waits_for is not None:
                    return self.waits_for
            return self._coroutine.send(value)

        def throw(self, *error: Any) -> Any:
            if self.has_ended:
                raise StopIteration
            if not self._is_handed_over:
                self._is_handed_over = True
                # Cancelled before the task has seen what it waits for: as from a task, that is what is cancelled.
                if isinstance(self.waits_for, asyncio.Future) and self.waits_for.cancel():
                    return self.waits_for
            return self._coroutine.throw(*error)

        def close(self) -> None:
            self._coroutine.close()

        def __await__(self) -> Any:
            raise TypeError("The rest of a coroutine is its task's alone.")
