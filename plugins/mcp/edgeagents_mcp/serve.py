"""Serving an ``McpAgent``: from the paths of MCP's transports to the agent of each session.

A session of streamable HTTP is the agent named ``streamable-http:{session id}``, one of the older SSE transport
``sse:{session id}``. What reaches an agent has been checked here: methods, headers, sizes and the form of the messages,
each fault with the status and text that Cloudflare's SDK answers with. The events of an agent come over a WebSocket in
memory and go out as an event stream.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from mcp_types import JSONRPCMessage, jsonrpc_message_adapter
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError

from edgeagents.agents import admit
from edgeagents.asgi.http import serve_http
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Receive, Scope, Send
from edgeagents.errors import BodyTooLarge, ConfigError, WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.objects import Namespace, WebSocket, current_namespaces
from edgeagents_mcp.cors import CorsOptions, cors_headers, preflight, with_cors
from edgeagents_mcp.json_rpc import INVALID_REQUEST, PARSE_ERROR, SERVER_ERROR, refuse
from edgeagents_mcp.session import METHOD_HEADER, begins_session

__all__ = ["McpHandler", "Props", "Transport"]

Transport = Literal["auto", "streamable-http", "sse"]
Props = Mapping[str, Any] | Callable[[Request], Mapping[str, Any] | None] | None

LONGEST_MESSAGE: Final = 4 * 1024 * 1024
KEEP_ALIVE_SECONDS: Final = 25.0
_DEFAULT_BINDING: Final = "MCP_OBJECT"


class McpHandler:
    """Serves the sessions of one ``McpAgent`` class: an ASGI app, and a worker's ``fetch(request, env, ctx)``."""

    def __init__(
        self,
        agent: type,
        path: str,
        *,
        transport: Transport,
        cors_options: CorsOptions | None,
        binding: str | None,
        jurisdiction: str | None,
        props: Props,
    ) -> None:
        if transport not in ("auto", "streamable-http", "sse"):
            raise ConfigError(f"{transport!r} is no transport of MCP: use 'auto', 'streamable-http' or 'sse'.")
        self._agent, self._path = agent, f"/{path.strip('/')}"
        self._transport: Transport = transport
        self._cors = cors_headers(cors_options)
        self._binding, self._jurisdiction, self._props = binding, jurisdiction, props
        self.settings = Settings(keep_alive_seconds=KEEP_ALIVE_SECONDS)
        """How it is served as an ASGI app: limits, time, and how often a silent stream shows that it lives."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI app, mounted in the app that ``AgentsMiddleware`` wraps."""
        if scope["type"] != "http":
            raise ValueError(f"MCP is served over HTTP, not over ASGI's {scope['type']!r}.")
        await serve_http(scope, receive, send, self.fetch, self.settings)

    async def fetch(self, request: Request, env: object = None, ctx: Any = None) -> Response:
        """Answer a request. ``ctx.props`` reach the agent that it begins or wakes."""
        if request.method == "OPTIONS":
            return preflight(self._cors)
        if (refusal := await admit(request)) is not None:
            return with_cors(refusal, self._cors)
        props = self._props(request) if callable(self._props) else self._props
        call = _Call(self._path, request, self._namespace(env), props or getattr(ctx, "props", None) or None)
        try:
            response = await self._answer(call)
        except BodyTooLarge:
            response = _too_large()
        return with_cors(response, self._cors)

    async def _answer(self, call: _Call) -> Response:
        method = call.request.method
        if self._transport == "streamable-http":
            return await call.streamable_http()
        if self._transport == "sse":
            return await call.sse()
        if method == "DELETE" or (method == "POST" and not call.is_for_messages):
            return await call.streamable_http()
        if method == "POST":
            return await call.sse()
        if method == "GET":
            return await (call.streamable_http() if "mcp-session-id" in call.request.headers else call.sse())
        return Response("Method Not Allowed", status=405, headers={"allow": "GET, POST, DELETE"})

    def _namespace(self, env: object) -> Namespace[Any]:
        values: Mapping[str, Any] = env if isinstance(env, Mapping) else getattr(env, "__dict__", {})
        found: object = None
        if self._binding is not None:
            found = values.get(self._binding)
        else:
            known = (value for value in values.values() if isinstance(value, Namespace) and value.cls is self._agent)
            found = next(known, None) or values.get(_DEFAULT_BINDING)
            found = found or current_namespaces.get({}).get(self._agent)
        if found is None:
            where = repr(self._binding) if self._binding else f"of {self._agent.__name__}"
            raise ConfigError(
                f"{self._agent.__name__}.serve() found no binding {where}. Declare it in the wrangler file, or serve "
                f"inside the app that AgentsMiddleware(agents=[{self._agent.__name__}]) wraps."
            )
        if not isinstance(found, Namespace):
            raise ConfigError(f"{self._agent.__name__}.serve() needs a binding to Durable Objects, not {found!r}.")
        return found if self._jurisdiction is None else found.jurisdiction(self._jurisdiction)


class _Call:
    """One request, with what is needed to answer it."""

    def __init__(self, path: str, request: Request, namespace: Namespace[Any], props: Mapping[str, Any] | None) -> None:
        self.request = request
        self._namespace, self._props = namespace, props
        # An app that this one is mounted in has taken a part of the path away, which may be the one that is served.
        paths = {_clean(request.path), _clean(f"{request.root_path}{request.path}")}
        self._base = path
        self.is_for_path = path == "/" or path in paths
        self.is_for_messages = f"{'' if path == '/' else path}/message" in paths

    # Streamable HTTP

    async def streamable_http(self) -> Response:
        if self.is_for_path and self.request.method in ("GET", "POST", "DELETE"):
            if self.request.method == "POST":
                return await self._post()
            return await self._get_or_delete()
        return refuse(404, SERVER_ERROR, "Not found")

    async def _post(self) -> Response:
        headers = self.request.headers
        accept = headers.get("accept", "")
        if "application/json" not in accept or "text/event-stream" not in accept:
            text = "Not Acceptable: Client must accept both application/json and text/event-stream"
            return refuse(406, SERVER_ERROR, text)
        if "application/json" not in self.request.content_type:
            return refuse(415, SERVER_ERROR, "Unsupported Media Type: Content-Type must be application/json")
        try:
            body = await self.request.bytes(limit=LONGEST_MESSAGE)
        except BodyTooLarge:
            return _too_large()
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return refuse(400, PARSE_ERROR, "Parse error: Invalid JSON")
        try:
            messages = [_message(each) for each in (found if isinstance(found, list) else [found])]
        except ValidationError:
            return refuse(400, PARSE_ERROR, "Parse error: Invalid JSON-RPC message")
        session_id = headers.get("mcp-session-id")
        begins = any(map(begins_session, messages))
        if begins and session_id:
            text = "Invalid Request: Initialization requests must not include a sessionId"
            return refuse(400, INVALID_REQUEST, text)
        if begins and len(messages) > 1:
            return refuse(400, INVALID_REQUEST, "Invalid Request: Only one initialization request is allowed")
        if not begins and (refusal := self._wrong_version()) is not None:
            return refusal
        if not begins and not session_id:
            return refuse(400, SERVER_ERROR, "Bad Request: Mcp-Session-Id header is required")
        session_id = session_id or str(self._namespace.new_unique_id())
        return await self._ask(f"streamable-http:{session_id}", "POST", session_id, body)

    async def _get_or_delete(self) -> Response:
        method, headers = self.request.method, self.request.headers
        if method == "GET" and "text/event-stream" not in headers.get("accept", ""):
            return refuse(406, SERVER_ERROR, "Not Acceptable: Client must accept text/event-stream")
        if method == "DELETE" and (refusal := self._wrong_version()) is not None:
            return refusal
        session_id = headers.get("mcp-session-id")
        if not session_id:
            return refuse(400, SERVER_ERROR, "Bad Request: Mcp-Session-Id header is required")
        if method == "GET" and (refusal := self._wrong_version()) is not None:
            return refusal
        return await self._ask(f"streamable-http:{session_id}", method, session_id)

    def _wrong_version(self) -> Response | None:
        version = self.request.headers.get("mcp-protocol-version")
        if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            return None
        known = ", ".join(reversed(HANDSHAKE_PROTOCOL_VERSIONS))
        text = f"Bad Request: Unsupported protocol version: {version} (supported versions: {known})"
        return refuse(400, SERVER_ERROR, text)

    # The older transport

    async def sse(self) -> Response:
        if self.request.method == "GET" and self.is_for_path:
            return await self._listen_sse()
        if self.request.method == "POST" and self.is_for_messages:
            return await self._post_sse()
        return Response("Not Found", status=404)

    async def _listen_sse(self) -> Response:
        session_id = self.request.query.get("sessionId") or str(self._namespace.new_unique_id())
        url = urlsplit(self.request.url)
        path = _clean(url.path)
        query = [pair for pair in parse_qsl(url.query, keep_blank_values=True) if pair[0] != "sessionId"]
        endpoint = f"{quote('' if path == '/' else path, safe='/%')}/message"
        target = f"{endpoint}?{urlencode([*query, ('sessionId', session_id)])}"
        return await self._ask(f"sse:{session_id}", "SSE", first=f"event: endpoint\ndata: {target}\n\n")

    async def _post_sse(self) -> Response:
        session_id = self.request.query.get("sessionId")
        if not session_id:
            text = f"Missing sessionId. Expected POST to {self._base} to initiate new one"
            return Response(text, status=400)
        if "application/json" not in self.request.content_type:
            return Response(f"Unsupported content-type: {self.request.content_type}", status=400)
        try:
            body = await self.request.bytes(limit=LONGEST_MESSAGE)
        except BodyTooLarge:
            return Response(f"Request body too large: more than {LONGEST_MESSAGE} bytes", status=400)
        try:
            _message(json.loads(body))
        except (ValueError, RecursionError) as error:
            return Response(f"Invalid message: {error}", status=400)
        return await self._ask(f"sse:{session_id}", "SSE-POST", body=body)

    # To the agent

    async def _ask(
        self, name: str, method: str, session_id: str | None = None, body: bytes | None = None, first: str = ""
    ) -> Response:
        request = Request(self.request, method="GET" if body is None else "POST", body=body or b"")
        request.headers[METHOD_HEADER] = method
        for hop in ("content-length", "transfer-encoding", "upgrade"):
            request.headers.pop(hop, None)
        response = await self._namespace.get_by_name(name, props=self._props).fetch(request)
        if response.websocket is None:
            return response
        headers = {"cache-control": "no-cache", "content-type": "text/event-stream"}
        if session_id is not None:
            headers["mcp-session-id"] = session_id
        return Response(_Events(response.websocket, first), headers=headers)


class _Events(AsyncIterator[str]):
    """What a session sends, until it closes the stream or the client has gone."""

    def __init__(self, socket: WebSocket, first: str) -> None:
        self._socket, self._first = socket, first
        socket.accept()

    async def __anext__(self) -> str:
        if self._first:
            first, self._first = self._first, ""
            return first
        try:
            event = await self._socket.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None
        return event if isinstance(event, str) else event.decode()

    async def aclose(self) -> None:
        self._socket.close()


def _message(value: Any) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_python(value, by_name=False)


def _too_large() -> Response:
    return refuse(413, SERVER_ERROR, f"Request body too large. Maximum size is {LONGEST_MESSAGE} bytes")


def _clean(path: str) -> str:
    return path.rstrip("/") or "/"
