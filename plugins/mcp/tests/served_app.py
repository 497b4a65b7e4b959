"""An application with an MCP server, as a server process runs it."""

from __future__ import annotations

import os
from typing import Any

from edgeagents_mcp import McpAgent
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from edgeagents import AgentsMiddleware


class Counter(McpAgent):
    initial_state = {"n": 0}

    async def init(self) -> None:
        self.server = server = MCPServer[Any]("counter", log_level="CRITICAL")

        @server.tool()
        async def add(by: int) -> int:
            self.set_state({"n": self.state["n"] + by})
            return self.state["n"]


app = Starlette(
    routes=[Mount("/", Counter.serve("/mcp", transport="auto"))],
    middleware=[
        Middleware(AgentsMiddleware, agents=[Counter], storage=os.environ["STATE_FOLDER"], discover_plugins=False)
    ],
)
