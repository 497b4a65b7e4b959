"""What goes wrong with MCP servers. The texts are those of Cloudflare's SDK, which clients may look for."""

from __future__ import annotations

from edgeagents.errors import AgentError

__all__ = ["BlockedUrl", "McpServerError", "error_text"]


class McpServerError(AgentError):
    """An MCP server could not be connected to, or not be used. ``server_id`` says which, if it has one."""

    def __init__(self, message: str, server_id: str | None = None) -> None:
        self.server_id = server_id
        super().__init__(message)


class BlockedUrl(McpServerError):
    """An agent may not connect to this address: it is one of a private network."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(f"Blocked URL: {url} — MCP client connections to private/internal addresses are not allowed")


def error_text(error: BaseException) -> str:
    """Return what an error says; of a group, what its first says."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
