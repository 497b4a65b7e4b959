"""MCP without sessions: a server made anew for each request, for tools that remember nothing.

The official package answers. Here a request is checked for where it comes from before anything is made of it: a web
site that a browser shows must not reach a server on the same machine by a name that leads there (DNS rebinding).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from mcp.server import MCPServer, Server
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from edgeagents.agents import admit
from edgeagents.asgi.app_response import respond
from edgeagents.asgi.http import serve_http
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Receive, Scope, Send
from edgeagents.errors import ConfigError
from edgeagents.http import Request, Response
from edgeagents_mcp.cors import CorsOptions, cors_headers, preflight, with_cors
from edgeagents_mcp.json_rpc import SERVER_ERROR, refuse
from edgeagents_mcp.serve import KEEP_ALIVE_SECONDS

__all__ = ["McpAuthContext", "StatelessMcpHandler", "create_mcp_handler", "get_mcp_auth_context"]

ServerLike = MCPServer[Any] | Server[Any]
ServerFactory = Callable[[], "ServerLike | Awaitable[ServerLike]"]

_log = logging.getLogger("edgeagents.mcp")
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class McpAuthContext:
    """Who asks: ``props``, as the worker or application that authenticated the request gave them."""

    props: Mapping[str, Any]


_auth_context: ContextVar[McpAuthContext | None] = ContextVar("edgeagents_mcp_auth_context", default=None)


def get_mcp_auth_context() -> McpAuthContext | None:
    """Return who the request is from that runs here, or None. For the functions of a server behind a handler."""
    return _auth_context.get()


def create_mcp_handler(
    factory: ServerFactory,
    *,
    route: str = "/mcp",
    cors_options: CorsOptions | Literal[False] | None = None,
    allowed_hostnames: Iterable[str] | None = None,
    allowed_origin_hostnames: Iterable[str] | Literal["*"] | None = None,
    auth_context: McpAuthContext | Mapping[str, Any] | None = None,
    legacy: Literal["stateless", "reject"] = "stateless",
    response_mode: Literal["auto", "sse", "json"] = "auto",
) -> StatelessMcpHandler:
    """Return what serves MCP at ``route``: a worker's ``fetch(request, env, ctx)`` and an ASGI app.

    ``factory`` makes the server of one request. The request's host must be among ``allowed_hostnames``, if they are
    given. A browser's origin must be localhost or that of ``cors_options``, or else one of
    ``allowed_origin_hostnames``; ``"*"`` allows all, for where a front end checks.
    ``auth_context`` or the worker's ``ctx.props`` are what ``get_mcp_auth_context()`` returns. ``legacy="reject"``
    refuses clients of before 2026-07-28. ``response_mode="json"`` answers without event streams.
    """
    return StatelessMcpHandler(
        factory, route, cors_options, allowed_hostnames, allowed_origin_hostnames, auth_context, legacy, response_mode
    )


class StatelessMcpHandler:
    """What ``create_mcp_handler`` returns."""

    def __init__(
        self,
        factory: ServerFactory,
        route: str,
        cors_options: CorsOptions | Literal[False] | None,
        allowed_hostnames: Iterable[str] | None,
        allowed_origin_hostnames: Iterable[str] | Literal["*"] | None,
        auth_context: McpAuthContext | Mapping[str, Any] | None,
        legacy: Literal["stateless", "reject"],
        response_mode: Literal["auto", "sse", "json"],
    ) -> None:
        if legacy not in ("stateless", "reject"):
            raise ConfigError(f"legacy is 'stateless' or 'reject', not {legacy!r}.")
        if response_mode not in ("auto", "sse", "json"):
            raise ConfigError(f"response_mode is 'auto', 'sse' or 'json', not {response_mode!r}.")
        if isinstance(auth_context, Mapping):
            auth_context = McpAuthContext(auth_context)
        self._factory, self._route = factory, route
        self._cors = None if cors_options is False else cors_headers(cors_options)
        self._hosts = None if allowed_hostnames is None else {host.lower() for host in allowed_hostnames}
        self._origins = _origins(allowed_origin_hostnames, cors_options or None)
        self._auth_context = auth_context
        self._legacy, self._is_json = legacy, response_mode == "json"
        self.settings = Settings(keep_alive_seconds=KEEP_ALIVE_SECONDS)
        """How it is served as an ASGI app: limits, time, and how often a silent stream shows that it lives."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI app."""
        if scope["type"] != "http":
            raise ValueError(f"MCP is served over HTTP, not over ASGI's {scope['type']!r}.")
        await serve_http(scope, receive, send, self.fetch, self.settings)

    async def fetch(self, request: Request, env: object = None, ctx: Any = None) -> Response:
        """Answer a request."""
        response = await self._answer(request, ctx)
        return response if self._cors is None else with_cors(response, self._cors)

    async def _answer(self, request: Request, ctx: Any) -> Response:
        if request.path != self._route:
            return Response("Not Found", status=404)
        refusal = self._wrong_host(request) or self._wrong_origin(request)
        if refusal is not None:
            return refusal
        if request.method == "OPTIONS" and self._cors is not None:
            return preflight(self._cors)
        if (refusal := await admit(request)) is not None:
            return refusal
        version = request.headers.get("mcp-protocol-version")
        if self._legacy == "reject" and (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS):
            data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": version or ""}
            return refuse(400, UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)
        props = getattr(ctx, "props", None)
        who = self._auth_context or (McpAuthContext(props) if props else None)
        token = _auth_context.set(who)
        try:
            # The server's functions run in tasks that begin here, and see who asks.
            response = await respond(self._app, request)
        except Exception:
            _log.exception("%s %s could not be answered", request.method, request.path)
            return refuse(500, -32603, "Internal server error")
        finally:
            _auth_context.reset(token)
        return response

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        made = self._factory()
        server = await made if inspect.isawaitable(made) else made
        server.streamable_http_app(
            stateless_http=True,
            json_response=self._is_json,
            # Checked already, by names rather than by addresses with ports.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        manager = server.session_manager
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    def _wrong_host(self, request: Request) -> Response | None:
        target = _hostname(urlsplit(request.url).netloc)
        # Without a list only a local server knows by which names it can rightly be called.
        allowed = self._hosts if self._hosts is not None else _LOCAL if target in _LOCAL else None
        hostname = _hostname(request.headers.get("host") or target)
        if allowed is None or hostname in allowed:
            return None
        return refuse(403, SERVER_ERROR, f"Invalid Host: {hostname}")

    def _wrong_origin(self, request: Request) -> Response | None:
        origin = request.headers.get("origin")
        if origin is None or self._origins is None:
            return None
        hostname = _hostname(urlsplit(origin).netloc)
        if hostname and hostname in self._origins:
            return None
        return refuse(403, SERVER_ERROR, f"Invalid Origin: {hostname or origin}")


def _origins(allowed: Iterable[str] | Literal["*"] | None, cors: CorsOptions | None) -> frozenset[str] | None:
    if allowed == "*":
        return None
    if allowed is not None:
        return frozenset(hostname.lower() for hostname in allowed)
    own = _hostname(urlsplit(str((cors or {}).get("origin", ""))).netloc)
    return _LOCAL | {own} if own else _LOCAL


def _hostname(netloc: str) -> str:
    host = netloc.rpartition("@")[2].lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
