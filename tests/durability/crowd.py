"""Thousands of clients in one process, each as cheap as a socket can be."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from typing import Any

__all__ = ["Peer", "Reader"]


class Peer:
    """The client's end of a WebSocket, by hand: no library keeps anything for ten thousand of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.close_code: int | None = None

    @classmethod
    async def open(cls, port: int, path: str, *, receive_buffer: int | None = None) -> Peer:
        end = socket.socket()
        if receive_buffer is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        end.setblocking(False)
        await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=end, limit=receive_buffer or 65536)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return cls(reader, writer)

    def send(self, text: str) -> None:
        data = text.encode()
        assert len(data) < 65536
        head = b"\x81" + (bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data)))
        # A mask of zeros is one too.
        self._writer.write(head + bytes(4) + data)

    async def receive(self) -> str | None:
        """Return the next message; None when the connection has ended, whose code is then ``close_code``."""
        while True:
            try:
                first, second = await self._reader.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    (length,) = struct.unpack(">H", await self._reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
                data = await self._reader.readexactly(length)
            except (EOFError, OSError):
                return None
            match first & 0x0F:
                case 8:
                    self.close_code = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005
                    return None
                case 1 | 2:
                    return data.decode()
                case _:
                    continue

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of the agent; return its result. What comes meanwhile is passed over."""
        self.send(json.dumps({"type": "rpc", "id": "call", "method": method, "args": args}))
        while (text := await self.receive()) is not None:
            if text.startswith("{") and (frame := json.loads(text)).get("id") == "call":
                assert frame["success"], frame
                return frame.get("result")
        raise EOFError(f"The connection ended with {self.close_code}.")

    def drop(self) -> None:
        self._writer.transport.abort()


class Reader:
    """A reader of Server-Sent Events that counts them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.numbers: list[int] = []

    @classmethod
    async def open(cls, port: int, path: str) -> Reader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: text/event-stream\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        return cls(reader, writer)

    async def read(self, count: int) -> None:
        """Read until so many events with a number have come."""
        while len(self.numbers) < count:
            line = await self._reader.readline()
            assert line, "the stream has ended"
            if line.startswith(b"id: "):
                self.numbers.append(int(line[4:]))

    def drop(self) -> None:
        self._writer.transport.abort()
