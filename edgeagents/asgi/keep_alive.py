"""Keeping a silent event stream alive: a comment between events, so that nobody on the way takes it for dead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from edgeagents.objects import Clock

__all__ = ["Silence"]

COMMENT = b": keep-alive\n\n"
EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")


class Silence:
    """The time between two chunks of an event stream. After each ``interval`` seconds of it a comment is sent.

    Whoever sends a chunk waits for ``comment``, if there is one, sets ``is_over``, and says afterwards what the silence
    ``begins_after``. A comment is sent between two events only: an event may be cut over several chunks.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]], clock: Clock, interval: float) -> None:
        self.comment: asyncio.Event | None = None
        """Set when the comment that is being sent has gone out."""
        self.is_over = False
        """Whether a chunk is being sent."""
        self._send = send
        self._sleep, self._now = clock.sleep, clock.monotonic
        self._interval = interval
        self._since = self._now()
        self._last = b"\n\n"

    def begins_after(self, chunk: bytes) -> None:
        """Take note that ``chunk`` has been sent."""
        self.is_over = False
        self._last = chunk if len(chunk) >= 3 else self._last[-3:] + chunk
        self._since = self._now()

    async def keep_alive(self) -> None:
        """Send comments, until this is cancelled."""
        while True:
            silent_for = self._now() - self._since
            if silent_for < self._interval:
                await self._sleep(self._interval - silent_for)
            elif self.is_over or not self._last.endswith(EVENT_ENDS):
                # A reader that is slow is not silent, and half an event must be followed by its other half.
                await self._sleep(self._interval)
            else:
                self.comment = asyncio.Event()
                try:
                    await self._send(COMMENT)
                finally:
                    self.comment.set()
                    self.comment = None
                self._since = self._now()
