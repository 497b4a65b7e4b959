"""One MCP session on the server's side: the agent that it lives in, and the streams to its client.

The protocol itself is the official package's: its server runs over a pair of streams while there is something to
answer, and is told of the client's ``initialize`` again when it begins anew. So a session that nobody talks to leaves
memory like any other agent, while its client's event stream stays open: that is a hibernatable WebSocket whose frames
are Server-Sent Events, and ``serve`` shows it to the client as such.

Every message is kept before it is sent (``event_log``), so that a client may come back with ``Last-Event-ID``. What the
client asks for over HTTP was checked by ``serve``; here it is trusted to be well-formed.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from mcp.server import Server
from mcp.server.runner import serve_loop
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    ErrorData,
    InitializeRequestParams,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from mcp_types.version import is_version_at_least
from pydantic import ValidationError
from starlette.requests import Request as StarletteRequest

from edgeagents.agents import Capability, CapabilityHost
from edgeagents.errors import AgentError
from edgeagents.http import Request, Response, ServerSentEvent
from edgeagents.objects import TimerHandle, WebSocket, nanoid, web_socket_pair
from edgeagents_mcp.event_log import EventLog
from edgeagents_mcp.json_rpc import session_not_found

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

__all__ = ["METHOD_HEADER", "McpSession", "begins_session"]

METHOD_HEADER: Final = "cf-mcp-method"
"""Tells a session that a request is the transport's, and what it is. Public requests to agents never have it."""

_INITIALIZE_KEY: Final = "initializeRequest"
_PROPS_KEY: Final = "props"
_SUBJECT_KEY: Final = "subject"
"""Who began the session, where the hook ``authorise`` knows that: nobody else goes on with it."""
_STANDALONE: Final = "_GET_stream"
_SSE: Final = "_SSE"
# The official package's own code for a request that ended without an answer.
_CANCELLED: Final = -32800
_REPLAYED_ID: Final = "edgeagents:initialize"


@dataclass(eq=False)
class _Stream:
    """The answer to one POST: open until each of its requests is answered."""

    id: str
    waiting: set[RequestId] = field(default_factory=set[RequestId])


class McpSession(Capability):
    """Runs the agent's ``server`` for one client."""

    exports = ("update_props",)

    props: Mapping[str, Any] | None = None
    """What the session was begun with."""

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self._ctx = host.ctx
        self._log = EventLog(host.ctx.storage.database, host.ctx.clock)
        self._streams: dict[RequestId, _Stream] = {}
        self._run: _Run | None = None
        self._is_bound = False

    async def start(self, props: Mapping[str, Any] | None) -> None:
        """Take or restore the props, then let the agent make its server."""
        kept = await self._ctx.storage.get(_PROPS_KEY)
        if props and props != kept:
            await self.update_props(props)
        else:
            self.props = kept
        await self.host.call("init")

    async def update_props(self, props: Mapping[str, Any] | None) -> None:
        """Replace the props, also for when the agent wakes the next time."""
        await self._ctx.storage.put(_PROPS_KEY, dict(props or {}))
        self.props = props

    async def request(self, request: Request) -> Response | None:
        """Answer what ``serve`` hands on."""
        method = request.headers.get(METHOD_HEADER)
        if method is None:
            return None
        if request.identity is not None and not await self._belongs_to(request.identity.subject):
            # Whoever has found out the id of somebody else's session.
            return session_not_found()
        if method == "GET":
            return await self._listen(request)
        if method == "POST":
            return await self._post(request)
        if method == "DELETE":
            if await self._initialize_request() is None:
                return session_not_found()
            await self.host.find("destroy")()
            return Response(status=204)
        if method == "SSE":
            return self._listen_sse()
        return await self._post_sse(request)

    async def _belongs_to(self, subject: str) -> bool:
        return await self._ctx.storage.get(_SUBJECT_KEY) in (None, subject)

    async def _begin(self, initialize: JSONRPCMessage, request: Request) -> None:
        await self._ctx.storage.put(_INITIALIZE_KEY, initialize.model_dump(mode="json", by_alias=True))
        if request.identity is not None:
            await self._ctx.storage.put(_SUBJECT_KEY, request.identity.subject)

    async def dispose(self) -> None:
        """End what the client still listens to."""
        if self._run is not None:
            self._run.end()
        for socket in self._ctx.get_web_sockets():
            if any(tag.startswith("mcp:") for tag in socket.tags):
                socket.close(1001, "The session has ended")

    # Streamable HTTP

    async def _post(self, request: Request) -> Response:
        messages = await _read(request)
        begins = next(filter(begins_session, messages), None)
        if begins is not None:
            await self._begin(begins, request)
        elif await self._initialize_request() is None:
            return session_not_found()
        asked = [message for message in messages if isinstance(message, JSONRPCRequest)]
        if not asked:
            await self._feed(messages, request, _STANDALONE)
            return Response(status=202)
        stream = _Stream(uuid := nanoid(self._ctx.rng), {message.id for message in asked})
        client = self._open(uuid)
        version = request.headers.get("mcp-protocol-version", DEFAULT_NEGOTIATED_VERSION)
        if begins is None and is_version_at_least(version, "2025-11-25"):
            # An event without data: from it on the client can resume, before anything else has come.
            self._send(uuid, "")
        self._streams.update({message.id: stream for message in asked})
        await self._feed(messages, request, uuid, is_new=begins is not None)
        return Response(status=101, websocket=client)

    async def _listen(self, request: Request) -> Response:
        if await self._initialize_request() is None:
            return session_not_found()
        missed = self._log.after(request.headers.get("last-event-id", ""))
        stream, events = missed or (_STANDALONE, [])
        for earlier in self._ctx.get_web_sockets(_tag(stream)):
            earlier.close(1000, "Superseded by resumed stream")
        client = self._open(stream)
        for event_id, message in events:
            self._put(stream, _event(message, event_id))
        if stream != _STANDALONE and stream not in {each.id for each in self._streams.values()}:
            # Its answer was among the events, or whoever worked on it is gone.
            self._close(stream)
        return Response(status=101, websocket=client)

    # The older transport: one stream for everything, and messages beside it

    def _listen_sse(self) -> Response:
        if self._ctx.get_web_sockets(_tag(_SSE)):
            client, server = web_socket_pair()
            server.accept()
            server.close(1008, "Websocket already connected")
            return Response(status=101, websocket=client)
        return Response(status=101, websocket=self._open(_SSE))

    async def _post_sse(self, request: Request) -> Response:
        (message,) = await _read(request)
        begins = begins_session(message)
        if begins:
            await self._begin(message, request)
        if isinstance(message, JSONRPCRequest):
            self._streams[message.id] = _Stream(_SSE, {message.id})
        await self._feed([message], request, _SSE, is_new=begins)
        return Response("Accepted", status=202)

    # In

    async def _initialize_request(self) -> Mapping[str, Any] | None:
        return await self._ctx.storage.get(_INITIALIZE_KEY)

    async def _feed(
        self, messages: Iterable[JSONRPCMessage], request: Request, stream: str, *, is_new: bool = False
    ) -> None:
        run = await self._running(is_new)
        carried = _starlette_request(request)
        for message in messages:
            metadata = ServerMessageMetadata(request_context=carried)
            if isinstance(message, JSONRPCRequest):
                metadata.on_request_unanswered = partial(self._unanswered, message.id)
                metadata.close_sse_stream = partial(self._end_for_now, stream)
                metadata.close_standalone_sse_stream = partial(self._end_for_now, _STANDALONE)
            run.feed(SessionMessage(message, metadata))
        self._rest()

    async def _running(self, is_new: bool) -> _Run:
        initialize = None if is_new else await self._initialize_request()
        if self._run is None or self._run.has_ended:
            server = self._server()
            self._run = run = _Run(self._deliver)
            if initialize is not None:
                run.feed(SessionMessage(_request(initialize, _REPLAYED_ID)))
                run.feed(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")))
            self._ctx.spawn(self._serve(run, server), name="MCP session")
        return self._run

    async def _serve(self, run: _Run, server: Server[Any]) -> None:
        try:
            await run.serve(server, self.host.name.partition(":")[2] or None)
        finally:
            run.end()
            if self._run is run:
                self._run = None
                for stream in {each.id for each in self._streams.values()}:
                    self._close(stream, 1011, "The session ended before it answered")
                self._streams.clear()

    def _server(self) -> Server[Any]:
        server = self.host.find("server")
        low_level = getattr(server, "_lowlevel_server", server)
        if not isinstance(low_level, Server):
            raise AgentError(
                f"{self.host.class_name} has no MCP server. Set self.server = MCPServer(...) in its init() method."
            )
        if not self._is_bound:
            self._is_bound = True
            low_level.middleware.append(self._as_turn)
        if low_level is not server:
            _call_sync_functions_with(self._ctx.invoke, server)
        return low_level

    async def _as_turn(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Handle a message as the agent handles its events: in a task of its own that takes its turn."""
        carried = ctx.request.scope.get("edgeagents.request") if ctx.request is not None else None

        async def run() -> tuple[HandlerResult, Exception | None]:
            with self.host.acting(request=carried):
                try:
                    return await call_next(ctx), None
                except Exception as error:
                    # It is the client's: the package writes it down if it is a fault.
                    return None, error

        result, error = await self._ctx.spawn(run(), name=f"MCP {ctx.method}")
        if error is not None:
            raise error
        return result

    # Out

    async def _deliver(self, item: SessionMessage) -> None:
        message, metadata = item.message, item.metadata
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            if message.id is None or message.id == _REPLAYED_ID:
                return
            stream = self._streams.pop(message.id, None)
            if stream is None:
                return
            stream.waiting.discard(message.id)
            self._send(stream.id, text)
            if not stream.waiting and stream.id != _SSE:
                self._close(stream.id)
            self._rest()
            return
        related = metadata.related_request_id if isinstance(metadata, ServerMessageMetadata) else None
        stream = self._streams.get(related) if related is not None else None
        if stream is not None:
            self._send(stream.id, text)
        else:
            self._send(_SSE if self.host.name.startswith("sse:") else _STANDALONE, text)

    async def _unanswered(self, request_id: RequestId) -> None:
        error = ErrorData(code=_CANCELLED, message="Request cancelled")
        await self._deliver(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error)))

    async def _end_for_now(self, stream: str) -> None:
        self._close(stream)

    def _send(self, stream: str, message: str) -> None:
        event_id = None if stream == _SSE else self._log.append(stream, message)
        self._put(stream, _event(message, event_id))

    def _open(self, stream: str) -> WebSocket:
        client, server = web_socket_pair()
        self._ctx.accept_web_socket(server, [_tag(stream)])
        return client

    def _put(self, stream: str, event: str) -> None:
        for socket in self._ctx.get_web_sockets(_tag(stream)):
            socket.send(event)

    def _close(self, stream: str, code: int = 1000, reason: str = "") -> None:
        for socket in self._ctx.get_web_sockets(_tag(stream)):
            socket.close(code, reason)

    def _rest(self) -> None:
        """End the server a while after its last answer, so that the agent may leave memory."""
        run = self._run
        if run is None:
            return
        run.keep()
        if not self._streams:
            run.end_timer = self._ctx.clock.call_later(self._ctx.limits.idle_seconds, run.end)


class _Run:
    """The official server, from one pause of its client to the next."""

    def __init__(self, deliver: Callable[[SessionMessage], Awaitable[None]]) -> None:
        self._in: MemoryObjectSendStream[SessionMessage | Exception]
        self._in, self._out_of_in = anyio.create_memory_object_stream[SessionMessage | Exception](math.inf)
        self._deliver = deliver
        self.has_ended = False
        self.end_timer: TimerHandle | None = None

    async def serve(self, server: Server[Any], session_id: str | None) -> None:
        """Answer until ``end()``."""
        async with server.lifespan(server) as state:
            await serve_loop(server, self._out_of_in, _Out(self._deliver), lifespan_state=state, session_id=session_id)

    def feed(self, message: SessionMessage) -> None:
        """Give the server a message of the client."""
        self._in.send_nowait(message)

    def keep(self) -> None:
        """Do not end yet."""
        if self.end_timer is not None:
            self.end_timer.cancel()
            self.end_timer = None

    def end(self) -> None:
        """Let the server end when it has answered."""
        self.keep()
        self.has_ended = True
        self._in.close()


class _Out:
    """Where the server writes to; the shape is the official package's."""

    def __init__(self, deliver: Callable[[SessionMessage], Awaitable[None]]) -> None:
        self._deliver = deliver

    async def send(self, item: SessionMessage, /) -> None:
        await self._deliver(item)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return None


def begins_session(message: JSONRPCMessage) -> bool:
    """Return whether a message is a client's first: an ``initialize`` that a server can answer."""
    if not isinstance(message, JSONRPCRequest) or message.method != "initialize":
        return False
    try:
        InitializeRequestParams.model_validate(message.params, by_name=False)
    except ValidationError:
        return False
    return True


def _tag(stream: str) -> str:
    return f"mcp:{stream}"


def _event(message: str, event_id: str | None) -> str:
    return ServerSentEvent(event="message", id=event_id, data=message).encode().decode()


def _request(stored: Mapping[str, Any], request_id: str) -> JSONRPCRequest:
    return JSONRPCRequest.model_validate({**stored, "id": request_id}, by_name=False)


async def _read(request: Request) -> list[JSONRPCMessage]:
    found = json.loads(await request.bytes())
    return [
        jsonrpc_message_adapter.validate_python(each, by_name=False)
        for each in (found if isinstance(found, list) else [found])
    ]


def _starlette_request(request: Request) -> StarletteRequest:
    """Return the request as tools expect it that were written for the official transports."""
    scope: dict[str, Any] = dict(request.scope or {})
    scope.update(
        type="http",
        method=request.method,
        path=request.path,
        query_string=request.query_string.encode(),
        root_path=request.root_path,
        headers=[
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in request.headers
            if name.lower() != METHOD_HEADER
        ],
        client=request.client,
    )
    scope["edgeagents.request"] = request
    return StarletteRequest(scope)


def _call_sync_functions_with(invoke: Callable[..., Awaitable[Any]], server: Any) -> None:
    """Let the server's functions that are not ``async`` run in the agent's thread, and not in just any."""
    registered: list[Any] = [
        *server._tool_manager.list_tools(),
        *server._prompt_manager.list_prompts(),
        *server._resource_manager.list_resources(),
        *server._resource_manager.list_templates(),
    ]
    for each in registered:
        function = getattr(each, "fn", None)
        if function is None or _is_async(function):
            continue
        each.fn = _through(invoke, function)
        if hasattr(each, "is_async"):
            each.is_async = True


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function if inspect.isroutine(function) else type(function).__call__)


def _through(invoke: Callable[..., Awaitable[Any]], function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await invoke(function, *args, **kwargs)

    return call
