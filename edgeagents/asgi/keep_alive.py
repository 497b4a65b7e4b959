"""Keeping a silent event stream alive: a comment between events, so that nobody on the way takes it for dead."""

from __future__ import annotations

import asyncio

from edgeagents.asgi.types import Send
from edgeagents.objects import Clock

__all__ = ["EventStreamSender"]

COMMENT = b": keep-alive\n\n"
EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")


class EventStreamSender:
    """Sends the chunks of an event stream, and comments when there are none for ``interval`` seconds.

    A comment is sent between two events only: an event may be cut over several chunks.
    """

    def __init__(self, send: Send, clock: Clock, interval: float) -> None:
        self._send = send
        self._clock = clock
        self._interval = interval
        self._lock = asyncio.Lock()
        self._sent_at = clock.monotonic()
        self._tail = b"\n\n"

    async def __call__(self, chunk: bytes) -> None:
        """Send ``chunk``."""
        async with self._lock:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._tail = chunk[-3:] if len(chunk) >= 3 else (self._tail + chunk)[-3:]
            self._sent_at = self._clock.monotonic()

    async def keep_alive(self) -> None:
        """Send comments, until this is cancelled."""
        while True:
            silent_for = self._clock.monotonic() - self._sent_at
            if silent_for < self._interval:
                await self._clock.sleep(self._interval - silent_for)
            elif self._lock.locked() or not self._tail.endswith(EVENT_ENDS):
                # A reader that is slow is not silent, and half an event must be followed by its other half.
                await self._clock.sleep(self._interval)
            else:
                await self(COMMENT)
