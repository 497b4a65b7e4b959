"""The two apps that are compared: a bare ASGI function, and an agent behind the middleware around that function.

Both answer the same paths after their prefix:

* ``/hello``: a short text
* ``/events?n=``: so many Server-Sent Events, as fast as the client reads
* ``/download?bytes=``: so many bytes, made while they are sent
* ``/upload``: reads the body as it comes and says how long it was
* ``/silence?seconds=``: a token, silence, a token
* a WebSocket: echo
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from edgeagents import Agent, AgentsMiddleware, Connection, Request, Response

HELLO = b"Hello, world!"
CHUNK = bytes(65536)
TEXT = [(b"content-type", b"text/plain;charset=UTF-8")]
STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


def event(number: int) -> bytes:
    return b'id: %d\ndata: {"token":"word","n":%d}\n\n' % (number, number)


async def events(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield event(number)


async def zeros(size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield CHUNK[:size]
        size -= len(CHUNK)


async def silence(seconds: float) -> AsyncIterator[bytes]:
    yield event(0)
    await asyncio.sleep(seconds)
    yield event(1)


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the paths with nothing but ASGI."""
    if scope["type"] == "websocket":
        await _echo(receive, send)
    elif scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await _answer(scope, receive, send)


async def _answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path: str = scope["path"]
    options = dict(parse_qsl(scope["query_string"].decode()))
    if path.endswith("/events"):
        await _stream(send, STREAM, events(int(options["n"])))
    elif path.endswith("/download"):
        await _stream(send, TEXT, zeros(int(options["bytes"])))
    elif path.endswith("/silence"):
        await _stream(send, STREAM, silence(float(options["seconds"])))
    elif path.endswith("/upload"):
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await _whole(send, str(size).encode())
    else:
        await _whole(send, HELLO)


async def _whole(send: Any, body: bytes) -> None:
    headers = [*TEXT, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any, headers: list[tuple[bytes, bytes]], body: AsyncIterator[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for chunk in body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


class Bench(Agent):
    """Serves the same paths as an agent would."""

    def should_send_protocol_messages(self, connection: Connection, ctx: Any) -> bool:
        # The bare echo sends nothing on its own, so neither does this one.
        return False

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(message)

    async def on_request(self, request: Request) -> Any:
        path = request.path
        if path.endswith("/hello"):
            return Response(HELLO, headers={"content-type": "text/plain;charset=UTF-8"})
        if path.endswith("/upload"):
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
            return str(size)
        options = dict(parse_qsl(urlsplit(request.url).query))
        if path.endswith("/download"):
            return Response(zeros(int(options["bytes"])))
        headers = {"content-type": "text/event-stream", "cache-control": "no-cache"}
        if path.endswith("/events"):
            return Response(events(int(options["n"])), headers=headers)
        return Response(silence(float(options["seconds"])), headers=headers)


agents = AgentsMiddleware(bare, agents=[Bench], storage=os.environ.get("BENCH_STORAGE"))
