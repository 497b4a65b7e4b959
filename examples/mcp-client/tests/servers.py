"""MCP servers that ask their user: one of each protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from edgeagents_mcp import McpAgent
from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from edgeagents import AgentsMiddleware
from edgeagents.testing import agent_runtime
from plugins.mcp.tests.loopback import quiet, serving


class Booking(BaseModel):
    """What the user is asked."""

    guests: int


async def how_many() -> Elicit[Booking]:
    return Elicit("How many guests?", Booking)


def booking() -> MCPServer[Any]:
    server = quiet("booking")

    @server.tool()
    async def book(booking: Annotated[ElicitationResult[Booking], Resolve(how_many)]) -> str:
        """Book a table."""
        return f"a table for {booking.data.guests}" if booking.action == "accept" else booking.action

    @server.tool()
    async def pay(ctx: Context[Any, Any]) -> str:
        """Pay elsewhere."""
        return (await ctx.elicit_url("Pay here", "https://pay.example/", "e1")).action

    return server


class Booker(McpAgent):
    """Has sessions, which come with the older protocol."""

    async def init(self) -> None:
        self.server = booking()


@asynccontextmanager
async def asking() -> AsyncGenerator[str]:
    """Serve one that answers a call with what it wants to be told first (2026-07-28), and give its URL."""
    async with serving(booking().streamable_http_app()) as url:
        yield f"{url}/mcp"


@asynccontextmanager
async def pushing() -> AsyncGenerator[str]:
    """Serve one that asks while a call waits, as protocols before 2026-07-28 do, and give its URL."""
    app = Starlette(routes=[Mount("/", Booker.serve("/mcp"))])
    async with agent_runtime(Booker) as runtime, serving(AgentsMiddleware(app, runtime=runtime)) as url:
        yield f"{url}/mcp"
