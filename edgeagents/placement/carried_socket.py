"""WebSockets whose client is connected to another process than the one that has the object.

The caller's process owns the end that faces its client (``Forwarded``), the object's process is the network of the
other one (``Carried``). What the object sends goes at once: where the client is connected, a bounded queue drops one
that stalls. What the client sends waits when the object falls behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

from edgeagents.objects import WebSocket
from edgeagents.placement.link import Link

__all__ = ["Carried", "Forwarded"]

_AHEAD: Final = 64
"""Messages of one client that may be under way to the object."""
_INTERNAL_ERROR: Final = 1011

_log = logging.getLogger("edgeagents.placement")


class Forwarded:
    """Owns the end that faces the client. See ``SocketOwner``."""

    def __init__(self, link: Link, number: int, on_end: Callable[[], None]) -> None:
        self._link, self._number, self._on_end = link, number, on_end
        self._under_way = 0
        self._taken = asyncio.Event()

    def release(self, send: Callable[..., object], *args: Any) -> None:
        """Send at once: the object's own gate was passed in its process."""
        send(*args)

    def socket_message(self, socket: WebSocket, message: str | bytes) -> Awaitable[None] | None:
        """Send a message of the client on."""
        self._link.send(self._number, "message", message)
        self._under_way += 1
        return None if self._under_way < _AHEAD else _Room(self)

    def socket_closed(self, socket: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        """Tell the object that the connection is over."""
        self._link.send(self._number, "close", code, reason, was_clean)
        self._on_end()

    def grant(self, count: int) -> None:
        """The object has taken so many messages."""
        self._under_way -= count
        self._taken.set()

    def lost(self) -> None:
        """The link is gone: nothing more is taken, and nobody waits for that."""
        self._taken.set()

    async def room(self) -> None:
        """Return when the object has taken enough for more to be sent."""
        while self._under_way >= _AHEAD and not self._link.is_lost:
            self._taken.clear()
            await self._taken.wait()


class _Room:
    """Awaitable: returns when there is room for another message. May be left unawaited."""

    __slots__ = ("_forwarded",)

    def __init__(self, forwarded: Forwarded) -> None:
        self._forwarded = forwarded

    def __await__(self) -> Generator[Any, None, None]:
        return self._forwarded.room().__await__()


class Carried:
    """The network of an object's socket, which is a link to the process that has the client. See ``WebSocketSink``."""

    def __init__(self, link: Link, number: int, socket: WebSocket) -> None:
        self._link, self._number, self._socket = link, number, socket
        self._messages: deque[str | bytes] = deque()
        self._feeding: asyncio.Future[None] | None = None
        self._taken = 0
        self._ended: tuple[int, str, bool] | None = None
        socket.attach(self)

    def send(self, message: str | bytes) -> None:
        """Send what the object sends."""
        self._link.send(self._number, "message", message)

    def close(self, code: int | None, reason: str) -> None:
        """Close the client's connection. Its end comes back when the client has agreed."""
        self._link.send(self._number, "close", code, reason)

    def feed(self, message: str | bytes) -> None:
        """Give the object a message of the client, once it has taken those before."""
        self._messages.append(message)
        if self._feeding is None:
            self._feed()

    def feed_close(self, code: int, reason: str, was_clean: bool) -> None:
        """Tell the object that the connection is over, once it has taken the messages before."""
        self._ended = (code, reason, was_clean)
        if self._feeding is None:
            self._feed()

    def _feed(self) -> None:
        self._feeding = None
        while self._messages:
            self._taken += 1
            if self._taken == _AHEAD // 2:
                self._link.send(self._number, "grant", self._taken)
                self._taken = 0
            try:
                fed = self._socket.feed(self._messages.popleft())
            except Exception:
                _log.exception("A WebSocket from another process failed")
                self.close(_INTERNAL_ERROR, "Internal error")
                return
            if fed is not None:
                self._feeding = asyncio.ensure_future(_wait_for(fed))
                self._feeding.add_done_callback(lambda _: self._feed())
                return
        if self._ended is not None:
            self._socket.feed_close(*self._ended)


async def _wait_for(fed: Awaitable[None]) -> None:
    await fed
