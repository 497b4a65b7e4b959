"""A runtime in memory, and a client's WebSocket without a network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from edgeagents.errors import WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.objects import WebSocket
from edgeagents.runtime import Runtime

__all__ = ["TestSocket", "agent_runtime", "connect"]


def agent_runtime(*agents: type, **options: Any) -> Runtime:
    """Return a runtime in memory with these agent classes: enter it with ``async with``.

    Installed plugins are left out; ``options`` are those of ``Runtime``.
    """
    options.setdefault("storage", None)
    options.setdefault("durability", "memory")
    options.setdefault("discover_plugins", False)
    options.setdefault("rng", random.Random(0))
    return Runtime(agents=agents, **options)


class TestSocket:
    """The client's side of a WebSocket to an agent, without a network."""

    __test__ = False  # Not a test case, whatever its name.

    def __init__(self, response: Response) -> None:
        assert response.websocket is not None, f"The handshake was answered with {response.status}."
        self.response = response
        self._end: WebSocket = response.websocket
        self._received: asyncio.Queue[str | bytes | WebSocketClosed] = asyncio.Queue()
        self.closed: WebSocketClosed | None = None
        self._end.attach(_Sink(self))

    def send(self, message: str | bytes) -> None:
        """Send a message to the agent."""
        self._end.feed(message)

    async def receive(self) -> str | bytes:
        """Return the next message of the agent. Raises ``WebSocketClosed`` when the agent has closed."""
        message = await self._received.get()
        if isinstance(message, WebSocketClosed):
            self._received.put_nowait(message)
            raise message
        return message

    def pending(self) -> list[str | bytes]:
        """Return the messages that have come and were not read, and read them."""
        messages: list[str | bytes] = []
        while not self._received.empty() and self.closed is None:
            message = self._received.get_nowait()
            assert not isinstance(message, WebSocketClosed)
            messages.append(message)
        return messages

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side."""
        self._end.feed_close(code, reason, was_clean=True)

    def lose(self) -> None:
        """Break the connection, as a lost network does."""
        self._end.feed_close(1006, "", was_clean=False)

    def arrived(self, message: str | bytes) -> None:
        """Take a message of the agent."""
        self._received.put_nowait(message)

    def was_closed(self, code: int | None, reason: str) -> None:
        """Take the agent's close and agree to it."""
        self.closed = WebSocketClosed(1005 if code is None else code, reason)
        self._received.put_nowait(self.closed)
        self._end.feed_close(self.closed.code, reason, was_clean=True)


class _Sink:
    def __init__(self, socket: TestSocket) -> None:
        self._socket = socket

    def send(self, message: str | bytes) -> None:
        self._socket.arrived(message)

    def close(self, code: int | None, reason: str) -> None:
        self._socket.was_closed(code, reason)


async def connect(runtime: Runtime, path: str, *, headers: Mapping[str, str] | None = None) -> TestSocket:
    """Open a WebSocket to the agent at ``path``. Raises AssertionError when the handshake is denied."""
    request = Request(path, headers={"upgrade": "websocket", "connection": "upgrade", **(headers or {})})
    response = await runtime.route(request)
    assert response is not None, f"{path} is no agent's path."
    return TestSocket(response)
