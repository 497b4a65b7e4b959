"""Agents that do everything a transport finds hard: long streams, many of them, errors half-way, large messages.

Served as ``tests.transport.transport_app:app``, with limits so small that a test can pass them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from edgeagents import Agent, AgentsMiddleware, Connection, Request, Response, callable
from edgeagents.objects import Limits

SECRET = "a secret of the server"
EVENTS = {"content-type": "text/event-stream"}
CHUNK = bytes(65536)
CHUNKS = 16_384
LIMITS = Limits(buffered_body_bytes=65_536, frame_bytes=65_536, send_queue_bytes=1_048_576)


class Talker(Agent):
    """Streams, fails and echoes."""

    initial_state = {"handled": 0}

    def on_start(self) -> None:
        self.go_on = asyncio.Event()
        self.produced = 0
        self.left = 0

    async def on_request(self, request: Request) -> Any:
        match request.path.rpartition("/")[2]:
            case "name":
                return {"name": self.name}
            case "two-events":
                return Response(self.two_events(), headers=EVENTS)
            case "on":
                self.go_on.set()
                return "on"
            case "endless":
                return Response(self.endless())
            case "produced":
                return {"produced": self.produced, "left": self.left}
            case "json":
                return await request.json()
            case "form":
                return sorted((await request.form()).keys())
            case "count":
                return {"bytes": sum([len(chunk) async for chunk in request.stream()])}
            case "raise":
                raise RuntimeError(SECRET)
            case "raise-midway":
                return Response(self.failing())
            case "nonsense":
                return object()
            case _:
                return Response("There is nothing here", status=404)

    async def two_events(self) -> AsyncIterator[str]:
        yield "id: 0\ndata: first\n\n"
        await self.go_on.wait()
        yield "id: 1\ndata: second\n\n"

    async def endless(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(CHUNKS):
                self.produced += 1
                yield CHUNK
        finally:
            self.left += 1

    async def failing(self) -> AsyncIterator[str]:
        yield "the beginning"
        raise RuntimeError(SECRET)

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if message == "raise":
            raise RuntimeError(SECRET)
        connection.send(message)

    @callable()
    async def handled(self) -> int:
        self.set_state({"handled": self.state["handled"] + 1})
        return self.state["handled"]

    @callable()
    async def flood(self, size: int) -> int:
        """Send ``size`` bytes to everybody and say how many there are."""
        self.broadcast(bytes(size))
        return len(list(self.get_connections()))


async def not_ours(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"not ours"})
    else:
        raise NotImplementedError(scope["type"])


app = AgentsMiddleware(not_ours, agents=[Talker], storage=os.environ.get("AGENTS_STORAGE"), limits=LIMITS)
