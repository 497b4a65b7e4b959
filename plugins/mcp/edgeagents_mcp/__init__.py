"""The Model Context Protocol: agents that use MCP servers, and agents that are MCP servers.

| to | look in |
|---|---|
| use servers from an agent | `client.py`, `connection.py` |
| see how their addresses are checked, and how OAuth goes | `addresses.py`, `oauth.py`, `oauth_callback.py` |
| be a server, a session an agent | `agent.py`, `serve.py`, `session.py` |
| be a server without sessions | `stateless.py` |

What needs the official package is loaded when it is used: an agent without MCP does not pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgeagents_mcp.errors import BlockedUrl, McpServerError

if TYPE_CHECKING:
    from edgeagents_mcp.agent import McpAgent
    from edgeagents_mcp.client import McpClient
    from edgeagents_mcp.oauth import AgentOAuthProvider
    from edgeagents_mcp.oauth_callback import OAuthResult
    from edgeagents_mcp.serve import McpHandler
    from edgeagents_mcp.server_options import normalize_server_id
    from edgeagents_mcp.stateless import McpAuthContext, create_mcp_handler, get_mcp_auth_context

__all__ = [
    "AgentOAuthProvider",
    "BlockedUrl",
    "McpAgent",
    "McpAuthContext",
    "McpClient",
    "McpHandler",
    "McpServerError",
    "OAuthResult",
    "create_mcp_handler",
    "get_mcp_auth_context",
    "normalize_server_id",
]

_MODULES = {
    "AgentOAuthProvider": "oauth",
    "McpAgent": "agent",
    "McpAuthContext": "stateless",
    "McpClient": "client",
    "McpHandler": "serve",
    "OAuthResult": "oauth_callback",
    "create_mcp_handler": "stateless",
    "get_mcp_auth_context": "stateless",
    "normalize_server_id": "server_options",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
