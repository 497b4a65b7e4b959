"""A room of WebSockets: many clients that listen, and one that speaks."""

from __future__ import annotations

import asyncio

from benchmarks.load import HEAD_END, text_frame, upgrade

__all__ = ["Listener", "open_room"]


class Listener(asyncio.Protocol):
    """A client that counts the bytes that come after the handshake."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._head: bytearray | None = bytearray()
        self._wanted = 0
        self._heard: asyncio.Future[None] | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(upgrade(self._path))

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in (self.opened, self._heard):
            if waiting is not None and not waiting.done():
                waiting.set_exception(exc or ConnectionError("The server closed a WebSocket."))

    def data_received(self, data: bytes) -> None:
        head = self._head
        if head is not None:
            head += data
            end = head.find(HEAD_END)
            if end < 0:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(bytes(head[:200]).decode(errors="replace")))
                return
            data, self._head = bytes(head[end + len(HEAD_END) :]), None
            self.opened.set_result(None)
        self.received += len(data)
        if self._heard is not None and self.received >= self._wanted and not self._heard.done():
            self._heard.set_result(None)

    def say(self, text: bytes) -> None:
        """Send a text frame."""
        self.transport.write(text_frame(text))

    def hears(self, size: int) -> asyncio.Future[None]:
        """Return a future that is done when ``size`` bytes more have come."""
        self._wanted = self.received + size
        self._heard = asyncio.get_running_loop().create_future()
        return self._heard

    async def is_quiet(self, seconds: float = 0.05) -> None:
        """Wait until nothing comes any more: a greeting, for instance."""
        before = -1
        while self.received != before:
            before = self.received
            await asyncio.sleep(seconds)


async def open_room(port: int, path: str, count: int) -> list[Listener]:
    """Open ``count`` WebSockets at ``path``, some at a time."""
    loop = asyncio.get_running_loop()
    room: list[Listener] = []
    while len(room) < count:
        made = [
            (await loop.create_connection(lambda: Listener(path), "127.0.0.1", port))[1]
            for _ in range(min(100, count - len(room)))
        ]
        await asyncio.gather(*(each.opened for each in made))
        room += made
    return room
