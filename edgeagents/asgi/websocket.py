"""WebSockets: a handshake from a server to a handler, and its answer back.

A handler says yes with status 101 and one end of a pair; every other answer refuses the handshake with that very
response where the server can send one, else with 403.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeagents.asgi.channel import RequestChannel
from edgeagents.asgi.compression import decline_compression
from edgeagents.asgi.connection import INTERNAL_ERROR, LOST, WebSocketConnection
from edgeagents.asgi.failures import answer_failure, cancelled_by_itself
from edgeagents.asgi.request import ServerRequest
from edgeagents.asgi.response_head import head_fields
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Handle, Message, Receive, Scope, Send
from edgeagents.errors import TooManySockets
from edgeagents.http import Request, Response
from edgeagents.http.closing import close

if TYPE_CHECKING:
    from edgeagents.objects.websocket import WebSocket

__all__ = ["serve_websocket"]

_log = logging.getLogger("edgeagents.asgi")
_NOT_OF_ACCEPT = frozenset({b"content-length", b"content-type", b"sec-websocket-protocol"})
_LENGTH = frozenset({b"content-length"})


async def serve_websocket(scope: Scope, receive: Receive, send: Send, handle: Handle, settings: Settings) -> bool:
    """Answer one handshake and carry its WebSocket. Return False when ``handle`` returned None: nothing was received.

    ``request.signal`` is aborted when the connection is over.
    """
    channel = _HandshakeChannel(settings)
    request = ServerRequest(scope, channel, settings.limits)
    limit = settings.limits.sockets_per_address
    if limit is None or request.client is None or not settings.claims(request):
        return await _serve(scope, receive, send, handle, settings, channel, request)
    address, connections = request.client[0], settings.connections
    if not connections.take_place(address, limit):
        refusal = answer_failure(TooManySockets("sockets_per_address", limit), request, debug=settings.debug)
        await receive()
        await _deny(refusal, head_fields(refusal, _LENGTH), scope, send)
        return True
    try:
        return await _serve(scope, receive, send, handle, settings, channel, request)
    finally:
        connections.give_back_place(address)


async def _serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    handle: Handle,
    settings: Settings,
    channel: _HandshakeChannel,
    request: ServerRequest,
) -> bool:
    try:
        response = await handle(request)
    except Exception as error:
        response = answer_failure(error, request, debug=settings.debug)
    except asyncio.CancelledError as error:
        response = answer_failure(cancelled_by_itself(error), request, debug=settings.debug)
    if response is None:
        return False
    message = await receive()
    socket = response.websocket
    if message["type"] == "websocket.disconnect":
        await _let_go(response)
        channel.lost()
        return True
    if (response.status == 101) != (socket is not None):
        _log.error(
            "%s was answered with status %d and %s WebSocket; status 101 and a WebSocket belong together.",
            request.path,
            response.status,
            "no" if socket is None else "a",
        )
        await _let_go(response)
        response, socket = Response("Internal Server Error", status=500), None
    try:
        fields = head_fields(response, _LENGTH if socket is None else _NOT_OF_ACCEPT)
    except ValueError as error:
        await _let_go(response)
        response, socket = answer_failure(error, request, debug=settings.debug), None
        fields = head_fields(response, _LENGTH)
    try:
        if socket is None:
            await _deny(response, fields, scope, send)
        else:
            await _accept(response, fields, socket, request, receive, send, settings)
    finally:
        channel.lost()
    return True


async def _let_go(response: Response) -> None:
    if response.websocket is not None:
        response.websocket.feed_close(LOST, "", was_clean=False)
    await response.aclose()


async def _accept(
    response: Response,
    fields: list[tuple[bytes, bytes]],
    socket: WebSocket,
    request: Request,
    receive: Receive,
    send: Send,
    settings: Settings,
) -> None:
    chosen = response.headers.get("sec-websocket-protocol")
    if chosen is not None and chosen not in request.subprotocols:
        _log.warning(
            "%s: the WebSocket subprotocol %r is not chosen, because the client did not offer it.", request.path, chosen
        )
        chosen = None
    decline_compression()
    try:
        # Not every server sends the fields: nothing may depend on them.
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": fields})
    except OSError:
        socket.feed_close(LOST, "", was_clean=False)
        return
    connection = WebSocketConnection(f"WebSocket {request.path}", socket, receive, send, settings)
    try:
        await connection.run()
    except Exception:
        _log.exception("WebSocket %s failed", request.path)
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": INTERNAL_ERROR, "reason": "Internal error"})


async def _deny(response: Response, fields: list[tuple[bytes, bytes]], scope: Scope, send: Send) -> None:
    with contextlib.suppress(OSError):
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await response.aclose()
            # The server makes 403 of it.
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        start: Message = {"type": "websocket.http.response.start", "status": response.status, "headers": fields}
        if response.is_streaming:
            await send(start)
            stream = response.stream()
            try:
                async for chunk in stream:
                    await send({"type": "websocket.http.response.body", "body": chunk, "more_body": True})
            finally:
                await close(stream)
            await send({"type": "websocket.http.response.body", "body": b""})
        else:
            body = await response.bytes()
            fields.append((b"content-length", str(len(body)).encode()))
            await send(start)
            await send({"type": "websocket.http.response.body", "body": body})


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


class _HandshakeChannel(RequestChannel):
    """A handshake has no body, and its client is watched by the connection."""

    __slots__ = ()

    def __init__(self, settings: Settings) -> None:
        super().__init__(_no_body, settings.limits, settings.clock)
        self.is_complete = True

    def watch(self, on_gone: Callable[[], object] | None = None) -> None:
        return
