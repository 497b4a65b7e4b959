"""Requests written by hand: no client comes between the test and the bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.servers import Server

PATIENCE_SECONDS = 30.0


@dataclass
class Answer:
    """What came back. ``is_whole`` says that the end of the body came, and not just the end of the connection."""

    status: int
    head: str
    body: bytes
    is_whole: bool

    @property
    def text(self) -> str:
        return self.body.decode()


class Exchange:
    """One request on a connection of its own, and its answer as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.seen = b""

    @classmethod
    async def begin(
        cls, server: Server, target: str | bytes, *, method: str = "GET", headers: str = "", body: bytes = b""
    ) -> Exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        target = target if isinstance(target, bytes) else target.encode()
        length = f"content-length: {len(body)}\r\n" if body else ""
        head = f"host: 127.0.0.1:{server.port}\r\nconnection: close\r\n{length}{headers}\r\n"
        writer.write(method.encode() + b" " + target + b" HTTP/1.1\r\n" + head.encode() + body)
        await writer.drain()
        return cls(reader, writer)

    async def see(self, wanted: bytes) -> None:
        """Read until ``wanted`` has come."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while wanted not in self.seen:
                data = await self.reader.read(65536)
                assert data, f"The connection ended before {wanted!r} came: {self.seen[-500:]!r}"
                self.seen += data

    async def finish(self) -> Answer:
        """Read to the end of the connection and return what came."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while data := await self.reader.read(1 << 20):
                    self.seen += data
            except ConnectionError:
                pass
        self.writer.close()
        head, _, body = self.seen.partition(b"\r\n\r\n")
        text = head.decode("latin-1").lower()
        is_whole = True
        if "transfer-encoding: chunked" in text:
            body, is_whole = _unchunk(body)
        return Answer(int(text.split(" ")[1]) if text else 0, text, body, is_whole)

    def leave(self) -> None:
        """Break the connection."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _unchunk(body: bytes) -> tuple[bytes, bool]:
    whole = b""
    while body:
        size_line, _, body = body.partition(b"\r\n")
        size = int(size_line, 16)
        if size == 0:
            return whole, True
        whole += body[:size]
        body = body[size + 2 :]
    return whole, False


async def ask(
    server: Server, target: str | bytes, *, method: str = "GET", headers: str = "", body: bytes = b""
) -> Answer:
    """Make a request and return its whole answer."""
    exchange = await Exchange.begin(server, target, method=method, headers=headers, body=body)
    return await exchange.finish()
