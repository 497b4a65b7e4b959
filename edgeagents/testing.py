"""What tests of agents need: a clock that is moved by hand, a runtime in memory, a socket without a network.

async with agent_runtime(Counter) as runtime:
    socket = await connect(runtime, "/agents/counter/x")
    socket.send('{"type": "rpc", "id": "1", "method": "add", "args": [2]}')
    assert json.loads(await socket.receive())["result"] == 2
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edgeagents.errors import WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.objects import TimerHandle, WebSocket
from edgeagents.runtime import Runtime

__all__ = ["ManualClock", "TestSocket", "agent_runtime", "connect", "settle"]


class _Timer:
    def __init__(self, fn: Callable[[], object]) -> None:
        self.fn: Callable[[], object] | None = fn

    def cancel(self) -> None:
        self.fn = None


class ManualClock:
    """A clock that stands still until ``advance`` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jump = timedelta()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self._jump

    def monotonic(self) -> float:
        return self._elapsed

    def set_now(self, when: datetime) -> None:
        """Set the wall clock, as an administrator or NTP would: timers do not notice."""
        self._jump += when - self.now()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, fn: Callable[[], object]) -> TimerHandle:
        timer = _Timer(fn)
        heapq.heappush(self._timers, (self._elapsed + max(seconds, 0.0), next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, running what falls due on the way and what that sets off."""
        await settle()
        until = self._elapsed + seconds
        while self._timers and self._timers[0][0] <= until:
            due, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, due)
            if timer.fn is not None:
                timer.fn()
                await settle()
        self._elapsed = until
        await settle()

    @property
    def next_timer(self) -> float | None:
        """Seconds until the next call that is due, or None."""
        waiting = [due for due, _, timer in self._timers if timer.fn is not None]
        return min(waiting) - self._elapsed if waiting else None


async def settle(rounds: int = 50) -> None:
    """Let everything that is ready on the event loop run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


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
