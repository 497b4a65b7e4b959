"""Time that a test moves."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from edgeagents.objects import TimerHandle

__all__ = ["ManualClock", "settle"]


class _Timer:
    def __init__(self, fn: Callable[[], object]) -> None:
        self.fn: Callable[[], object] | None = fn

    def cancel(self) -> None:
        self.fn = None


class ManualClock:
    """A clock that stands still until ``advance`` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jump = timedelta()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self._jump

    def monotonic(self) -> float:
        return self._elapsed

    def set_now(self, when: datetime) -> None:
        """Set the wall clock, as an administrator or NTP would: timers do not notice."""
        self._jump += when - self.now()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, fn: Callable[[], object]) -> TimerHandle:
        timer = _Timer(fn)
        heapq.heappush(self._timers, (self._elapsed + max(seconds, 0.0), next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, running what falls due on the way and what that sets off."""
        await settle()
        until = self._elapsed + seconds
        while self._timers and self._timers[0][0] <= until:
            due, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, due)
            if timer.fn is not None:
                timer.fn()
                await settle()
        self._elapsed = until
        await settle()

    @property
    def next_timer(self) -> float | None:
        """Seconds until the next call that is due, or None."""
        waiting = [due for due, _, timer in self._timers if timer.fn is not None]
        return min(waiting) - self._elapsed if waiting else None


async def settle(rounds: int = 50) -> None:
    """Let everything that is ready on the event loop run."""
    for _ in range(rounds):
        await asyncio.sleep(0)
