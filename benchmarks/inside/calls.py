"""What edgeagents itself takes of the processor for each call, request, message, receiver and event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.apps import Bench, bare
from benchmarks.inside.timing import GOES, best_of
from benchmarks.report import Row
from benchmarks.scale import Scale
from edgeagents import AgentsMiddleware, get_agent_by_name

__all__ = ["measure"]

TEXT = "x" * 32


class Counter(Bench):
    """An agent with a method."""

    async def add(self, by: int) -> int:
        return by

    async def shout(self, text: str) -> None:
        self.broadcast(text)


def scope(kind: str, path: str, query: bytes = b"") -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "subprotocols": [],
    }


class Client:
    """A WebSocket client without a network."""

    def __init__(self, app: Any, path: str) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(app(scope("websocket", path), self.incoming.get, self.send))

    async def send(self, message: dict[str, Any]) -> None:
        if not self.waiting.done():
            self.waiting.set_result(None)

    def next(self) -> asyncio.Future[None]:
        self.waiting = asyncio.get_running_loop().create_future()
        return self.waiting

    async def echo(self) -> None:
        answer = self.next()
        self.incoming.put_nowait({"type": "websocket.receive", "text": TEXT})
        await answer

    async def leave(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.task


async def request(app: Any, path: str, query: bytes = b"") -> None:
    received: list[str] = []

    async def receive() -> dict[str, Any]:
        if received:
            await asyncio.Event().wait()
        received.append("request")
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        return

    # A server makes a task for each request.
    await asyncio.get_running_loop().create_task(app(scope("http", path, query), receive, send))


async def echoes(app: Any, path: str, times: int) -> float:
    client = Client(app, path)
    await client.waiting
    try:
        return await best_of(client.echo, times)
    finally:
        await client.leave()


async def receivers(app: Any, path: str, name: str, count: int) -> tuple[float, float]:
    clients = [Client(app, path) for _ in range(count)]
    await asyncio.gather(*(each.waiting for each in clients))
    stub: Any = await get_agent_by_name(Counter, name)

    async def bare_sends() -> None:
        for each in clients:
            await each.send({"type": "websocket.send", "text": TEXT})

    try:
        ours, floor = await best_of(lambda: stub.shout(TEXT), 20), await best_of(bare_sends, 20)
    finally:
        for each in clients:
            await each.leave()
    return floor / count, ours / count


async def _measure(scale: Scale) -> list[Row]:
    times = scale.repeats // 4
    app = AgentsMiddleware(bare, agents=[Counter], storage=None, discover_plugins=False)
    path = "/agents/counter/one"
    rows: list[Row] = []

    def add(what: str, floor: float, ours: float, goal: str) -> None:
        rows.append(
            {
                "what": what,
                "without edgeagents us": f"{floor * 1e6:.2f}",
                "with us": f"{ours * 1e6:.2f}",
                "added us": f"{(ours - floor) * 1e6:.2f}",
                "goal us": goal,
            }
        )

    await request(app, path + "/hello")
    with app.runtime.in_context():
        counter: Any = await get_agent_by_name(Counter, "one")
        plain = Counter.add
        add(
            "stub call",
            await best_of(lambda: plain(counter, 1), times),
            await best_of(_and_turn(lambda: counter.add(1)), times) - await best_of(lambda: asyncio.sleep(0), times),
            "",
        )
        add(
            "routed request",
            await best_of(lambda: request(bare, "/"), times),
            await best_of(lambda: request(app, path + "/hello"), times),
            "30",
        )
        add(
            "request of the app behind the middleware",
            await best_of(lambda: request(bare, "/"), times),
            await best_of(lambda: request(app, "/"), times),
            "",
        )
        add("WebSocket message", await echoes(bare, "/ws", times), await echoes(app, path, times), "10")
        add("receiver of a broadcast", *await receivers(app, path, "one", scale.receivers), "2")
        query = b"n=%d" % times
        add(
            "Server-Sent Event",
            await _event(bare, "/events", query, times),
            await _event(app, path + "/events", query, times),
            "1",
        )
    await app.runtime.stop()
    return rows


async def _event(app: Any, path: str, query: bytes, count: int) -> float:
    found = float("inf")
    for _ in range(GOES):
        started = time.process_time()
        await request(app, path, query)
        found = min(found, (time.process_time() - started) / count)
    return found


def _and_turn(work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def both() -> None:
        await work()
        await asyncio.sleep(0)

    return both


def measure(scale: Scale) -> list[Row]:
    """What edgeagents adds to the same thing done by a bare ASGI app, in microseconds of the processor, without a
    server."""
    return asyncio.run(_measure(scale))
