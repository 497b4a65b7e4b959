"""Time, chance and threads that a seed decides: an event loop that never waits, and runs the same way each time.

Callbacks keep the order that asyncio promises. What is up to chance is how long each of them takes, how long a thread
gets before the next one does, and when a step is the last one: so timers, threads and clients fall between the steps
of an object in another way with each seed. Work of executors runs in real threads, but one at a time: a thread runs
when the loop hands it the baton, and gives it back before each statement on a database.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

__all__ = ["Crash", "Deadlock", "VirtualClock", "VirtualLoop", "pause", "simulate_locks"]

_STEP_SECONDS = 0.0002
_THREAD_SECONDS = 0.003
_MOST_STEPS = 30_000
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Crash(BaseException):
    """Leaves the loop in mid-work: the process is no more."""


class Deadlock(Exception):
    """Nothing is ready and nothing will be."""


class _Gone(BaseException):
    """Ends a thread of a process that is no more."""


_current = threading.local()


def pause() -> None:
    """Give the baton back, in a thread of a virtual loop; elsewhere do nothing."""
    work: _Work | None = getattr(_current, "work", None)
    if work is not None:
        work.pause()


class _Thread:
    """A thread that runs one work after another: to start one for each would cost more than most of them do."""

    _idle: ClassVar[list[_Thread]] = []

    def __init__(self) -> None:
        # Locks that whoever waits takes and the other end gives: a semaphore of Python's costs several of them.
        self.resume, self.paused = threading.Lock(), threading.Lock()
        self.resume.acquire()
        self.paused.acquire()
        self.work: _Work | None = None
        threading.Thread(target=self._run, daemon=True).start()

    @classmethod
    def take(cls) -> _Thread:
        return cls._idle.pop() if cls._idle else cls()

    def let_go(self) -> None:
        self.work = None
        self._idle.append(self)

    def _run(self) -> None:
        while True:
            self.resume.acquire()
            assert self.work is not None
            _current.work = self.work
            contextvars.Context().run(self.work.run)
            _current.work = None
            self.paused.release()


class _Work:
    """What an executor was given: it runs in a thread when that has the baton."""

    def __init__(self, loop: VirtualLoop, fn: Callable[[], Any]) -> None:
        self._loop, self._fn = loop, fn
        self.future: asyncio.Future[Any] = loop.create_future()
        self._outcome: Callable[[], None] | None = None
        self.waits_for: _Lock | None = None
        self._is_gone = False
        self._thread = _Thread.take()
        self._thread.work = self

    def step(self) -> None:
        """Let the thread run up to its next pause, and again after a while."""
        self.go_on()
        if self._outcome is None:
            self._loop.call_later(self._loop.rng.random() * _THREAD_SECONDS, self.step)
            return
        self._thread.let_go()
        self._loop.working.remove(self)
        if not self.future.done():
            self._outcome()

    def go_on(self) -> None:
        """Let the thread run up to its next pause, if it has not ended."""
        if self._outcome is None:
            self._thread.resume.release()
            self._thread.paused.acquire()

    def pause(self) -> None:
        self._thread.paused.release()
        self._thread.resume.acquire()
        if self._is_gone:
            raise _Gone

    def end(self) -> None:
        """The process is gone."""
        self._is_gone = True
        while self._outcome is None:
            self.go_on()
        self._thread.let_go()

    def run(self) -> None:
        try:
            if self._is_gone:
                raise _Gone
            result = self._fn()
        except BaseException as error:
            self._outcome = lambda error=error: self.future.set_exception(error)
        else:
            self._outcome = lambda: self.future.set_result(result)


class _Lock:
    """A lock, also a re-entrant one. Whoever waits for it lets the thread go on that has it."""

    def __init__(self) -> None:
        self._owner: int | None = None
        self._work: _Work | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = threading.get_ident()
        while self._owner not in (None, me):
            if not blocking:
                return False
            work: _Work | None = getattr(_current, "work", None)
            if work is not None:
                work.waits_for = self
                pause()
                work.waits_for = None
                continue
            holder = self._work
            while holder is not None and holder.waits_for is not None and holder.waits_for._owner is not None:
                holder = holder.waits_for._work
            if holder is None:
                raise Deadlock("a thread has a lock that the loop waits for, and waits for one that the loop has")
            holder.go_on()
        self._owner, self._work = me, getattr(_current, "work", None)
        self._depth += 1
        return True

    def locked(self) -> bool:
        return self._owner is not None

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = self._work = None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def simulate_locks() -> None:
    """Make all locks that edgeagents makes from now on know of the baton."""
    shim = SimpleNamespace(**{**vars(threading), "Lock": _Lock, "RLock": _Lock})
    for name, module in sys.modules.items():
        if name.startswith("edgeagents.") and getattr(module, "threading", None) is threading:
            module.threading = shim  # type: ignore[attr-defined]


class VirtualLoop(asyncio.BaseEventLoop):
    """See above. ``crash_after`` steps ``Crash`` leaves ``run_until_complete``."""

    def __init__(self, rng: random.Random, now: float = 0.0, crash_after: int | None = None) -> None:
        super().__init__()
        self.rng, self.now, self.crash_after = rng, now, crash_after
        self.steps = 0
        self.working: list[_Work] = []
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        work = _Work(self, lambda: func(*args))
        self.working.append(work)
        self.call_later(self.rng.random() * _THREAD_SECONDS, work.step)
        return work.future

    def abandon(self) -> None:
        """End all threads: the process is gone. Tasks are left where they are."""
        for work in tuple(self.working):
            work.end()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        ready: Any = self._ready  # type: ignore[attr-defined]
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not ready:
            if not scheduled:
                raise Deadlock(f"nothing will ever happen again ({len(self.working)} threads)")
            self.now = max(self.now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self.now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        self.steps += 1
        if self.crash_after is not None and self.steps > self.crash_after:
            raise Crash
        if self.steps > _MOST_STEPS:
            raise Deadlock(f"there is no end to it after {_MOST_STEPS} steps")
        handle = ready.popleft()
        if not handle._cancelled:
            self.now += self.rng.random() * _STEP_SECONDS
            handle._run()

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""


class VirtualClock:
    """The loop's time as a ``Clock``. ``jump`` is what the wall clock was set ahead or back by."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.jump = timedelta()

    def now(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._loop.now) + self.jump

    def monotonic(self) -> float:
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, fn: Callable[[], object]) -> Any:
        return self._loop.call_later(max(seconds, 0.0), fn)
