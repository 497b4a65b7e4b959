"""A watch over a reply from which nothing comes any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeagents.objects.clock import Clock

__all__ = ["StallWatch"]


class StallWatch:
    """Calls ``on_stall`` when ``touch`` was not called for ``timeout_ms``. Never, when that is 0 or None."""

    def __init__(self, clock: Clock, timeout_ms: float | None, on_stall: Callable[[], object]) -> None:
        self._clock, self._on_stall = clock, on_stall
        self.timeout_ms = timeout_ms or 0
        self.has_stalled = False
        self._last = clock.monotonic()
        self._timer: Any = None
        if self.timeout_ms > 0:
            self._arm(self.timeout_ms / 1000)

    def touch(self) -> None:
        """Something came."""
        if self._timer is not None:
            self._last = self._clock.monotonic()

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        self._timer = self._clock.call_later(seconds, self._look)

    def _look(self) -> None:
        # One timer for the whole reply: to set another for each chunk would cost more than the chunk.
        left = self._last + self.timeout_ms / 1000 - self._clock.monotonic()
        if left > 0:
            self._arm(left)
        else:
            self._timer = None
            self.has_stalled = True
            self._on_stall()
