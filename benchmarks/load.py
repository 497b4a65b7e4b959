"""Load on a server, made in this process with as little work as possible: raw sockets, keep-alive, one request at a
time on each connection.

It reads just enough of an answer to know where it ends. It is no HTTP client: it trusts the server that it measures.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked"
LAST_CHUNK = b"0\r\n\r\n"
LENGTH = b"content-length: "


@dataclass
class Figures:
    """What one run saw: how much in how long, and how long each took (seconds, sorted on demand)."""

    count: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    processor: float = 0.0
    """How much time of the processor the server had meanwhile."""

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def quantile(self, part: float) -> float:
        """Return the latency that ``part`` of all stay under, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


class Exchange(asyncio.Protocol):
    """One connection. When it is opened and told to begin, it does its exchange again and again until ``stop_at``."""

    def __init__(self, figures: Figures) -> None:
        self.figures, self.stop_at = figures, math.inf
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._peer: tuple[str, int] = transport.get_extra_info("peername")[:2]
        if self._sent:
            self.begin()
        else:
            self.open()

    def open(self) -> None:
        """Do what comes before the first exchange."""
        self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.finished.done():
            return
        if exc is not None or not self._sent:
            error = exc or ConnectionError("The server closed the connection at once.")
            (self.finished if self.opened.done() else self.opened).set_exception(error)
        else:
            # Hypercorn ends a connection after a thousand requests: the one that was lost with it is not counted.
            loop = asyncio.get_running_loop()
            self._again = loop.create_task(loop.create_connection(lambda: self, *self._peer))

    def begin(self) -> None:
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        self._sent = time.perf_counter()
        self.transport.write(data)

    def complete(self) -> None:
        """Count one exchange and start the next."""
        now = time.perf_counter()
        self.figures.count += 1
        self.figures.latencies.append(now - self._sent)
        if now < self.stop_at:
            self.begin()
        else:
            self.end()

    def end(self) -> None:
        """Be finished."""
        if not self.finished.done():
            self.finished.set_result(None)
            self.transport.close()


def get(path: str) -> bytes:
    """Return a GET request for ``path``."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n\r\n".encode()


def post_json(path: str, body: bytes) -> bytes:
    """Return a POST request with ``body``."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


class HttpExchange(Exchange):
    """Send one request after another, until there are no more."""

    def __init__(self, figures: Figures, requests: Iterator[bytes]) -> None:
        super().__init__(figures)
        self._requests = requests
        self._received = bytearray()

    def begin(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.end()
        else:
            self.send(request)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        head = received.find(HEAD_END)
        if head < 0:
            return
        headers = bytes(received[:head]).lower()
        start = headers.find(LENGTH)
        if start >= 0:
            line_end = headers.find(b"\r\n", start)
            length = int(headers[start + len(LENGTH) : line_end if line_end >= 0 else None])
            done = len(received) >= head + len(HEAD_END) + length
        else:
            done = CHUNKED in headers and received.endswith(LAST_CHUNK)
        if done:
            if not received.startswith(b"HTTP/1.1 200"):
                self.finished.set_exception(ConnectionError(bytes(received[:200]).decode(errors="replace")))
                self.transport.close()
                return
            received.clear()
            self.complete()


class EchoExchange(Exchange):
    """Send a text frame and wait for it to come back, again and again."""

    def __init__(self, figures: Figures, path: str, text: bytes = b"x" * 32) -> None:
        super().__init__(figures)
        self._hello = upgrade(path)
        self._frame = text_frame(text)
        self._answer_size = 2 + len(text)
        self._received = bytearray()

    def open(self) -> None:
        self.transport.write(self._hello)

    def begin(self) -> None:
        self.send(self._frame)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if not self.opened.done():
            head = received.find(HEAD_END)
            if head < 0:
                return
            if not received.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(bytes(received[:200]).decode(errors="replace")))
                return
            del received[: head + len(HEAD_END)]
            self.opened.set_result(None)
        elif received[0] == 0x89:
            del received[: 2 + received[1]]
        elif len(received) >= self._answer_size:
            del received[: self._answer_size]
            self.complete()


def upgrade(path: str) -> bytes:
    """Return the request for a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
    ).encode()


def text_frame(text: bytes) -> bytes:
    """Return a client's text frame of less than 126 bytes. Its mask is zero, so masking costs nothing."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def exchanges(
    make: Callable[[Figures], Exchange], port: int, *, connections: int, seconds: float = math.inf
) -> Figures:
    """Open ``connections``, keep them busy for ``seconds`` or until there is nothing left to do, and return what they
    saw."""
    figures, loop = Figures(), asyncio.get_running_loop()
    made: list[Exchange] = []
    for _ in range(connections):
        _, exchange = await loop.create_connection(lambda: make(figures), "127.0.0.1", port)
        made.append(exchange)
    await asyncio.gather(*(exchange.opened for exchange in made))
    started = time.perf_counter()
    for exchange in made:
        exchange.stop_at = started + seconds
        exchange.begin()
    await asyncio.gather(*(exchange.finished for exchange in made))
    figures.seconds = time.perf_counter() - started
    return figures


async def read_stream(
    port: int, path: str, *, on_data: Callable[[bytes], Awaitable[None] | None] | None = None, limit: int = 1 << 20
) -> tuple[int, float]:
    """GET ``path`` to its end. Return the bytes of the answer and the seconds until the first of its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    started = time.perf_counter()
    writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
    head = await reader.readuntil(HEAD_END)
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode(errors="replace"))
    size, first, tail = 0, 0.0, b""
    is_chunked = CHUNKED in head.lower()
    while data := await reader.read(limit):
        first = first or time.perf_counter() - started
        size += len(data)
        if on_data is not None and (waiting := on_data(data)) is not None:
            await waiting
        tail = (data if len(data) >= len(LAST_CHUNK) else tail + data)[-len(LAST_CHUNK) :]
        if is_chunked and tail == LAST_CHUNK:
            break  # Not every server closes the connection when it is asked to.
    writer.close()
    return size, first


async def count_events(port: int, path: str) -> tuple[int, float]:
    """GET a stream of events to its end. Return how many there were and the seconds until the first."""
    count, tail = 0, b""

    def counting(data: bytes) -> None:
        nonlocal count, tail
        # Reads cut the stream at will: what may be the start of a field stays for the next one.
        window = tail + data
        count += window.count(b"id: ")
        tail = window[-3:]

    _, first = await read_stream(port, path, on_data=counting)
    return count, first


async def upload(port: int, path: str, size: int) -> str:
    """POST ``size`` bytes in chunks, as fast as the server takes them, and return the text of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    chunk = bytes(65536)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n"
    writer.write(head.encode())
    left = size
    while left > 0:
        writer.write(chunk[:left])
        left -= len(chunk)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer.partition(HEAD_END)[2].decode()
