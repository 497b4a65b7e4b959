"""McpAgent: an agent that is an MCP server, one agent a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import TypeVar

from edgeagents.agents import Agent, Capability
from edgeagents_mcp.cors import CorsOptions
from edgeagents_mcp.serve import McpHandler, Props, Transport
from edgeagents_mcp.session import McpSession

__all__ = ["McpAgent"]

EnvT = TypeVar("EnvT", default=Any)
StateT = TypeVar("StateT", default=Any)


class McpAgent(Agent[EnvT, StateT]):
    """An agent whose tools, resources and prompts MCP clients use; each of their sessions has one of its own.

    Set ``self.server``, an ``mcp.server.MCPServer``, in ``init()``. Its functions are the agent's own code: they may
    set the state, which connected browsers then see, and use its storage, which lasts as long as the session. Those
    that are not ``async`` run in the agent's thread.
    """

    server: Any
    """The official package's ``MCPServer`` or low-level ``Server``."""

    capability_types: ClassVar[tuple[type[Capability], ...]] = (McpSession,)

    @property
    def props(self) -> Mapping[str, Any] | None:
        """What the session was begun with, such as who the user is. Kept with the session."""
        return self.capability(McpSession).props

    def init(self) -> Any:
        """Make ``self.server``. Called each time the agent wakes, before anything else; may be ``async``."""

    def get_session_id(self) -> str:
        """Return the id of this session: the agent's name without its transport."""
        return self.name.partition(":")[2]

    @classmethod
    def serve(
        cls,
        path: str = "/mcp",
        *,
        transport: Transport = "streamable-http",
        cors_options: CorsOptions | None = None,
        binding: str | None = None,
        jurisdiction: str | None = None,
        props: Props = None,
    ) -> McpHandler:
        """Return what serves sessions of this class under ``path``.

        In a worker: ``return await MyMCP.serve("/mcp").fetch(request, self.env, self.ctx)``. In an application that
        ``AgentsMiddleware(agents=[MyMCP])`` wraps it is an ASGI app to mount. ``transport="auto"`` serves clients of
        both transports. ``binding`` names the namespace in ``env``; without it the class is looked for. ``props``, a
        mapping or a function of the request, take the place of the worker's ``ctx.props``.
        """
        return McpHandler(
            cls,
            path,
            transport=transport,
            cors_options=cors_options,
            binding=binding,
            jurisdiction=jurisdiction,
            props=props,
        )

    @classmethod
    def serve_sse(cls, path: str = "/sse", **options: Any) -> McpHandler:
        """Return what serves the older SSE transport. ``options`` are those of ``serve``."""
        return cls.serve(path, transport="sse", **options)
