"""From a client's WebSocket to a browser's, and back.

Clients of ``/v1/connectDevtools`` cut their messages into pieces: four bytes with the length of the whole, lowest
first, stand before the first piece. They say ``ping`` in between, to which nothing is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import websockets

from edgeagents.errors import WebSocketClosed, WebSocketError
from edgeagents.objects.websocket import WebSocket

__all__ = ["Pieces", "cut", "relay"]

_PIECE: Final = 1_048_575
_HEAD: Final = 4


class Pieces:
    """Puts messages together."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, piece: bytes) -> str | None:
        """Return the message that ``piece`` completes, or None."""
        self._data += piece
        if len(self._data) < _HEAD:
            return None
        size = int.from_bytes(self._data[:_HEAD], "little")
        if len(self._data) < _HEAD + size:
            return None
        message = self._data[_HEAD : _HEAD + size].decode("utf-8", "replace")
        self._data.clear()
        return message


def cut(message: str) -> Iterator[bytes]:
    """Yield the pieces of a message."""
    data = message.encode()
    data = len(data).to_bytes(_HEAD, "little") + data
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


async def relay(address: str, end: WebSocket, *, in_pieces: bool) -> None:
    """Carry messages between ``end`` and the browser at ``address`` until one of them closes."""
    end.accept()
    try:
        browser = await websockets.connect(address, max_size=None, compression=None, ping_interval=None, proxy=None)
    except (OSError, websockets.WebSocketException):
        end.close(1011, "The browser has gone.")
        return
    sending = asyncio.ensure_future(_to_browser(end, browser, in_pieces))
    try:
        async for message in browser:
            text = message if isinstance(message, str) else message.decode()
            if not in_pieces:
                end.send(text)
                continue
            for piece in cut(text):
                end.send(piece)
    except (websockets.ConnectionClosed, WebSocketError):
        pass
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        with contextlib.suppress(WebSocketError, ValueError):
            end.close(1000)
        await browser.close()


async def _to_browser(end: WebSocket, browser: websockets.ClientConnection, in_pieces: bool) -> None:
    pieces = Pieces()
    try:
        while True:
            message: str | bytes | None = await end.receive()
            if message == "ping":
                continue
            if in_pieces and isinstance(message, bytes):
                message = pieces.add(message)
            if message is not None:
                await browser.send(message if isinstance(message, str) else message.decode())
    except (WebSocketClosed, websockets.ConnectionClosed):
        await browser.close()
