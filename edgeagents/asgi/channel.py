"""The client's side of one HTTP request: its body as it arrives, and the news that it has gone.

ASGI has one ``receive`` for both. A reader takes the body's chunks as it asks for them. A watcher, which runs only
when somebody wants to know, waits for ``http.disconnect``; what it meets of the body on the way it keeps for the
reader, up to a bound: beyond that it takes one piece a second, so a client that goes on sending is slowed down, and one
that has left is missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable

from edgeagents.asgi.types import Message, Receive
from edgeagents.errors import BodyTooLarge, ClientDisconnected
from edgeagents.http import AbortController, AbortSignal, Body
from edgeagents.objects import Clock, Limits

__all__ = ["ChannelBody", "RequestChannel"]

READ_AHEAD = 1024 * 1024
PATIENCE = 1.0

_log = logging.getLogger("edgeagents.asgi")


class RequestChannel:
    """What comes from one client. You must call ``close()`` when the request is over."""

    __slots__ = (
        "_clock",
        "_controller",
        "_held",
        "_held_limit",
        "_is_given_up",
        "_lock",
        "_on_gone",
        "_pending",
        "_receive",
        "_room",
        "_size",
        "_watcher",
        "gone",
        "is_complete",
        "limit",
    )

    def __init__(self, receive: Receive, limits: Limits, clock: Clock) -> None:
        self._receive, self._clock = receive, clock
        self._pending: deque[bytes] | None = None
        self._held = 0
        self._size = 0
        self._lock: asyncio.Lock | None = None
        self._room: asyncio.Event | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._controller: AbortController | None = None
        self._on_gone: Callable[[], object] | None = None
        self._is_given_up = False
        self.limit, self._held_limit = limits.body_bytes, limits.buffered_body_bytes
        self.is_complete = False
        self.gone = False

    # The body.

    async def next_chunk(self) -> bytes | None:
        """Return the next chunk of the body, or None at its end.

        Raises BodyTooLarge, and ClientDisconnected when the client left before the end.
        """
        while True:
            if self._pending:
                chunk = self._pending.popleft()
                self._held -= len(chunk)
                if self._room is not None:
                    self._room.set()
                return chunk
            if self.limit is not None and self._size > self.limit:
                raise BodyTooLarge(self.limit, "body_bytes")
            if self._is_given_up:
                raise BodyTooLarge(self._held_limit, "buffered_body_bytes")
            if self.is_complete:
                return None
            if self.gone:
                raise ClientDisconnected
            await self._receive_one()

    async def _receive_one(self) -> None:
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            # While this waited, the other one of reader and watcher may have got what is needed.
            if not (self._pending or self.is_complete or self.gone):
                self._take(await self._receive())

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.request":
            chunk = message.get("body", b"")
            if not message.get("more_body", False):
                self.is_complete = True
            if chunk:
                self._size += len(chunk)
                if self.limit is not None and self._size > self.limit:
                    # Nothing more of it is kept.
                    return
                if self._is_given_up or self._held > self._held_limit:
                    # Its reader has stopped, or is slower by far than even one piece a second.
                    self._is_given_up = True
                    return
                if self._pending is None:
                    self._pending = deque()
                self._pending.append(chunk)
                self._held += len(chunk)
        elif kind == "http.disconnect":
            self.lost()

    # The client.

    @property
    def signal(self) -> AbortSignal:
        """Aborted when the client has gone. Asking for it begins to watch."""
        if self._controller is None:
            self._controller = AbortController()
            if self.gone:
                self._controller.abort(ClientDisconnected())
            else:
                self.watch()
        return self._controller.signal

    def watch(self, on_gone: Callable[[], object] | None = None) -> None:
        """Begin to watch for the client's leaving. ``on_gone`` is called when it does, at once if it has."""
        if on_gone is not None:
            self._on_gone = on_gone
            if self.gone:
                on_gone()
        if self._watcher is None and not self.gone:
            self._watcher = asyncio.get_running_loop().create_task(
                self._watch(), name="edgeagents: watch for disconnect"
            )

    async def _watch(self) -> None:
        if self._lock is None:
            self._lock = asyncio.Lock()
        try:
            while not self.gone:
                if self._held >= READ_AHEAD or (self.limit is not None and self._size > self.limit):
                    await self._for_room()
                async with self._lock:
                    if not self.gone:
                        self._take(await self._receive())
        except Exception:
            # A server or middleware that cannot be asked any more. The response may still be on its way.
            _log.debug("The client cannot be watched any longer", exc_info=True)

    async def _for_room(self) -> None:
        self._room = asyncio.Event()
        # Nothing else tells that the client has left: servers take what is sent to nobody, without an error.
        timer = self._clock.call_later(PATIENCE, self._room.set)
        try:
            await self._room.wait()
        finally:
            timer.cancel()

    def lost(self) -> None:
        """Take note that the client has gone."""
        if self.gone:
            return
        self.gone = True
        if self._on_gone is not None:
            self._on_gone()
        if self._controller is not None:
            try:
                self._controller.abort(ClientDisconnected())
            except Exception:
                _log.exception("A listener of request.signal failed")

    def close(self) -> None:
        """Stop watching. ``receive`` may never return after a response, so it is not waited for."""
        self._on_gone = None
        if self._watcher is not None:
            self._watcher.cancel()


class ChannelBody(Body):
    """The body of a request that a server receives."""

    __slots__ = ("_channel",)

    def __init__(self, channel: RequestChannel) -> None:
        self._channel = channel
        self.data = self.form = None
        self.used = False

    def _open(self) -> AsyncIterator[bytes]:
        return _Chunks(self._channel)


class _Chunks(AsyncIterator[bytes]):
    __slots__ = ("_channel",)

    def __init__(self, channel: RequestChannel) -> None:
        self._channel = channel

    async def __anext__(self) -> bytes:
        chunk = await self._channel.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk
