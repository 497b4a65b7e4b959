"""edgeagents: every user, chat, document or device gets its own little Python server.

It remembers (its own SQLite), streams (HTTP, Server-Sent Events, WebSocket), wakes itself (alarms) and never runs
twice: Cloudflare's Agents and Durable Objects inside the Python application that you have.

    from edgeagents import Agent, AgentsMiddleware, callable, get_agent_by_name

| to | look in |
|---|---|
| write an agent that chats | `agents/chat/`: `AIChatAgent` |
| write an agent | `agents/`: `Agent`, `callable`, `route_agent_request`, `get_agent_by_name` |
| write a plain Durable Object | `objects/`: `DurableObject`, its `ctx` and storage |
| mount agents in an application | `asgi/`: `AgentsMiddleware` |
| stream from a model | `models/`: `stream_text`, `generate_object` and their providers |
| write a plugin | `hookspecs.py` |
| test | `testing/` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeagents import agents as _agents
from edgeagents.agents import (
    Agent,
    AgentNamespace,
    Connection,
    ConnectionContext,
    StreamingResponse,
    Tickets,
    callable,
    get_agent_by_name,
    get_current_agent,
    route_agent_request,
)
from edgeagents.asgi import AgentsMiddleware
from edgeagents.hookspecs import hookimpl
from edgeagents.http import ANONYMOUS, Identity, Request, Response, ServerSentEvent
from edgeagents.models import convert_to_model_messages, generate_object, stream_text, tool
from edgeagents.objects import (
    Budget,
    DurableObject,
    History,
    Limits,
    Price,
    WebSocket,
    WebSocketRequestResponsePair,
    call_part,
    wake,
    web_socket_pair,
)
from edgeagents.runtime import Runtime
from edgeagents.worker import Env, ExecutionContext, WorkerEntrypoint

if TYPE_CHECKING:
    __version__: str
    from edgeagents.agents import AgentClient, AIChatAgent, ChatOptions

__all__ = [
    "ANONYMOUS",
    "AIChatAgent",
    "Agent",
    "AgentClient",
    "AgentNamespace",
    "AgentsMiddleware",
    "Budget",
    "ChatOptions",
    "Connection",
    "ConnectionContext",
    "DurableObject",
    "Env",
    "ExecutionContext",
    "History",
    "Identity",
    "Limits",
    "Price",
    "Request",
    "Response",
    "Runtime",
    "ServerSentEvent",
    "StreamingResponse",
    "Tickets",
    "WebSocket",
    "WebSocketRequestResponsePair",
    "WorkerEntrypoint",
    "call_part",
    "callable",
    "convert_to_model_messages",
    "generate_object",
    "get_agent_by_name",
    "get_current_agent",
    "hookimpl",
    "route_agent_request",
    "stream_text",
    "tool",
    "wake",
    "web_socket_pair",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = _version()
    elif name in __all__:
        # What ``edgeagents.agents`` imports when it is asked for.
        value = getattr(_agents, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *(name for name in globals() if name.startswith("__"))})


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("edgeagents")
    except metadata.PackageNotFoundError:
        # A copy of the source that nobody has installed.
        return "0+unknown"
