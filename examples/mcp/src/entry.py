"""An MCP server with a memory: each session is an agent of its own, which counts.

A port of the example "mcp" of the Agents SDK. The protocol is the official package's; what a tool remembers is the
agent's state, so a browser that connects to the session sees the counter change.
"""

from __future__ import annotations

from typing import Any, TypedDict

from edgeagents_mcp import McpAgent
from mcp.server import MCPServer

from edgeagents import Request, Response, WorkerEntrypoint, route_agent_request


class State(TypedDict):
    """What a session remembers."""

    counter: float


def plain(number: float) -> float:
    """Return a whole number without its point, as JSON and browsers write it."""
    return int(number) if number.is_integer() else number


class MyMCP(McpAgent[Any, State]):
    initial_state: State = {"counter": 1}

    async def init(self) -> None:
        """Say what this server can do. Called each time the session's agent wakes."""
        self.server = server = MCPServer("Demo", version="1.0.0")

        @server.resource("mcp://resource/counter")
        async def counter() -> str:
            """The counter."""
            return str(self.state["counter"])

        @server.tool()
        async def add(a: float) -> str:
            """Add to the counter, stored in the MCP"""
            self.set_state({"counter": plain(self.state["counter"] + a)})
            return f"Added {plain(a)}, total is now {self.state['counter']}"


mcp = MyMCP.serve("/mcp", binding="MyMCP")


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        """Answer MCP at ``/mcp``, and browsers of a session at ``/agents/my-m-c-p/<session>``."""
        if request.path == "/mcp":
            return await mcp.fetch(request, self.env, self.ctx)
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
