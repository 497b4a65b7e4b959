"""What clients are told of an agent's MCP servers: all of it in one frame, empty where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeagents.agents import protocol
from edgeagents.agents.connections import Connections

__all__ = ["McpServers"]


class McpServers:
    """The frame of the MCP servers. Clients get it when they connect and when it changes."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.frame = protocol.EMPTY_MCP_FRAME

    def set(self, value: Mapping[str, Any]) -> None:
        """Replace what clients are told, and tell those who are connected."""
        self.frame = protocol.mcp_frame(value)
        self._connections.broadcast_protocol(self.frame)
