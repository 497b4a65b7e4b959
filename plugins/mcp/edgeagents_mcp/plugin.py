"""What the entry point names: the part of every agent that uses MCP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagents.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.agents import Capability


@hookimpl
def register_capabilities() -> Iterable[type[Capability]]:
    """Give agents ``add_mcp_server`` and its kind, and ``mcp``."""
    from edgeagents_mcp.client import McpClient

    return [McpClient]
