"""Servers on loopback for the tests of MCP: an ASGI app served in this very event loop, and MCP servers to be used."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from edgeagents.testing import TestSocket

SECONDS = 20.0


@asynccontextmanager
async def serving(app: Any, port: int = 0) -> AsyncGenerator[str]:
    """Serve ``app`` while the block runs, and give its URL."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or task.done(), "the server")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


async def until(condition: Callable[[], object], what: str) -> Any:
    """Return what ``condition`` returns once that is true; fail naming ``what`` when that takes too long."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"Waited {SECONDS:g} s for {what}."
        await asyncio.sleep(0.005)
    return value


def quiet(name: str, **options: Any) -> MCPServer[Any]:
    """Return an official server that leaves the log alone."""
    return MCPServer(name, log_level="CRITICAL", **options)


def calculator() -> MCPServer[Any]:
    """Return an official server with one of everything."""
    server = quiet("calculator", instructions="Count on it.", version="1.2.3")

    @server.tool()
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    async def fail() -> str:
        """Fail."""
        from mcp.server.mcpserver.exceptions import ToolError

        raise ToolError("no such number")

    @server.tool()
    async def learn(ctx: Context[Any, Any]) -> str:
        """Learn another tool."""

        async def multiply(a: int, b: int) -> int:
            return a * b

        server.add_tool(multiply)
        await ctx.notify_tools_changed()
        return "learned"

    @server.resource("math://pi")
    async def pi() -> str:
        """The ratio."""
        return "3.14159"

    @server.resource("math://square/{n}")
    async def square(n: int) -> str:
        """A square."""
        return str(n * n)

    @server.prompt()
    async def sum_up(what: str) -> str:
        """Ask for a sum."""
        return f"Sum up {what}."

    return server


class Frames:
    """What a client of an agent is told, frame by frame."""

    def __init__(self, socket: TestSocket) -> None:
        self.socket = socket
        self.seen: list[Any] = []

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method and return the frame that answers it."""
        self.socket.send(json.dumps({"type": "rpc", "id": "1", "method": method, "args": list(args)}))
        return await self.next(lambda frame: frame.get("type") == "rpc")

    async def next(self, wanted: Callable[[Any], object]) -> Any:
        """Return the next frame that is wanted."""
        async with asyncio.timeout(SECONDS):
            while True:
                frame = json.loads(await self.socket.receive())
                self.seen.append(frame)
                if wanted(frame):
                    return frame

    async def mcp(self, wanted: Callable[[Any], object] = lambda mcp: True) -> Any:
        """Return what is next said of MCP servers and is wanted."""
        frame = await self.next(lambda frame: frame.get("type") == "cf_agent_mcp_servers" and wanted(frame["mcp"]))
        return frame["mcp"]

    def states(self) -> list[str]:
        """Return the states of the one server, as they were told."""
        found = [frame["mcp"]["servers"] for frame in self.seen if frame.get("type") == "cf_agent_mcp_servers"]
        return [next(iter(servers.values()))["state"] for servers in found if servers]


logging.getLogger("mcp").setLevel(logging.CRITICAL)
