"""A runtime in memory, and a client's WebSocket without a network."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edgeagents.agents import protocol
from edgeagents.asgi import respond
from edgeagents.errors import CallFailed, WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.objects import WebSocket
from edgeagents.runtime import Runtime

__all__ = ["TestSocket", "agent_runtime", "connect"]


def agent_runtime(*agents: type, **options: Any) -> Runtime:
    """Return a runtime in memory with these agent classes: enter it with ``async with``.

    Its agents answer as they do behind ``AgentsMiddleware``: a handler may return an ASGI app, or a response of
    Starlette. Installed plugins are left out; ``options`` are those of ``Runtime``.
    """
    options.setdefault("storage", None)
    options.setdefault("durability", "memory")
    options.setdefault("discover_plugins", False)
    options.setdefault("rng", random.Random(0))
    options.setdefault("respond", respond)
    return Runtime(agents=agents, **options)


class TestSocket:
    """The client's side of a WebSocket to an agent, without a network.

    What comes is read in one of two ways. ``receive()`` and ``pending()`` give everything in the order of its coming,
    frames of the protocol such as the agent's identity too. ``call()``, ``frame()`` and ``message()`` each take what
    they are about and leave the rest to be read later.
    """

    __test__ = False  # Not a test case, whatever its name.

    def __init__(self, response: Response) -> None:
        assert response.websocket is not None, f"The handshake was answered with {response.status}."
        self.response = response
        self._end: WebSocket = response.websocket
        self._unread: deque[str | bytes] = deque()
        self._changed = asyncio.Event()
        self._calls = 0
        self.closed: WebSocketClosed | None = None
        self._end.attach(_Sink(self))

    def send(self, message: str | bytes) -> None:
        """Send a message to the agent."""
        self._end.feed(message)

    async def call(
        self, method: str, args: Iterable[Any] = (), *, on_chunk: Callable[[Any], object] | None = None
    ) -> Any:
        """Call a method of the agent that is marked with ``@callable`` and return its result.

        ``on_chunk`` is called with each part of a streamed answer. Raises ``CallFailed`` with the agent's words, and
        ``WebSocketClosed`` when the connection ends before the answer.
        """
        self._calls += 1
        id = f"call-{self._calls}"
        self.send(protocol.encode({"type": protocol.RPC, "id": id, "method": method, "args": list(args)}))
        while True:
            answer = await self._frame(lambda frame: frame.get("type") == protocol.RPC and frame.get("id") == id)
            if not answer["success"]:
                raise CallFailed(answer["error"])
            if answer.get("done", True):
                return answer.get("result")
            if on_chunk is not None:
                on_chunk(answer.get("result"))

    async def frame(self, type: str) -> dict[str, Any]:
        """Return the next JSON object whose ``"type"`` is this one, such as ``cf_agent_state``."""
        return await self._frame(lambda frame: frame.get("type") == type)

    async def message(self) -> str | bytes:
        """Return the next message that is the agent's own, and no frame of the protocol."""
        return await self._take(lambda message: not _is_of_protocol(message))

    async def receive(self) -> str | bytes:
        """Return the next message of the agent. Raises ``WebSocketClosed`` when the connection has ended."""
        return await self._take(lambda message: True)

    def pending(self) -> list[str | bytes]:
        """Return the messages that have come and were not read, and read them."""
        messages = list(self._unread)
        self._unread.clear()
        return messages

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side."""
        self._end.feed_close(code, reason, was_clean=True)

    def lose(self) -> None:
        """Break the connection, as a lost network does."""
        self._end.feed_close(1006, "", was_clean=False)
        self._ended(WebSocketClosed(1006, was_clean=False))

    def arrived(self, message: str | bytes) -> None:
        """Take a message of the agent."""
        self._unread.append(message)
        self._changed.set()

    def was_closed(self, code: int | None, reason: str) -> None:
        """Take the agent's close and agree to it."""
        closed = WebSocketClosed(1005 if code is None else code, reason)
        self._ended(closed)
        self._end.feed_close(closed.code, reason, was_clean=True)

    def _ended(self, closed: WebSocketClosed) -> None:
        self.closed = closed
        self._changed.set()

    async def _frame(self, is_wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        message = await self._take(lambda message: (frame := _frame_in(message)) is not None and is_wanted(frame))
        frame = _frame_in(message)
        assert frame is not None
        return frame

    async def _take(self, is_wanted: Callable[[str | bytes], bool]) -> str | bytes:
        while True:
            found = next((message for message in self._unread if is_wanted(message)), None)
            if found is not None:
                self._unread.remove(found)
                return found
            if self.closed is not None:
                raise self.closed
            self._changed.clear()
            await self._changed.wait()


def _frame_in(message: str | bytes) -> dict[str, Any] | None:
    return protocol.decode(message) if isinstance(message, str) else None


def _is_of_protocol(message: str | bytes) -> bool:
    frame = _frame_in(message)
    kind = None if frame is None else frame.get("type")
    return isinstance(kind, str) and (kind == protocol.RPC or kind.startswith("cf_"))


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
