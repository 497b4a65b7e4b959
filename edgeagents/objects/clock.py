"""Time, handed in: what an object may know of the clock.

Nothing in ``objects``, ``agents`` or ``models`` reads the system's time or sleeps by itself, so a test
moves the clock and a simulation can run a whole server on a virtual one.
``edgeagents.testing.ManualClock`` is the clock that a test moves by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "TimerHandle"]


class TimerHandle(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Make the call not happen. Harmless when it has happened."""
        ...


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> datetime:
        """Return the present, aware and in UTC. It may jump when the system's clock is set."""
        ...

    def monotonic(self) -> float:
        """Return seconds from some origin. Never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        ...

    def call_later(self, seconds: float, fn: Callable[[], object]) -> TimerHandle:
        """Call ``fn`` on the event loop after ``seconds``."""
        ...


class SystemClock:
    """The machine's clock and the running event loop's timers."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    # As it is: streams ask it after each chunk.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, fn: Callable[[], object]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(max(seconds, 0.0), fn)
