"""What the real servers serve in ``test_servers.py``: handlers without agents, and a log of what they saw."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edgeagents.asgi.worker_app import WorkerApp
from edgeagents.errors import BadRequest, WebSocketClosed, WebSocketError
from edgeagents.http import Request, Response
from edgeagents.objects import Limits, SystemClock
from edgeagents.objects.websocket import WebSocket, web_socket_pair

seen: list[str] = []
made: list[int] = []
tasks: set[asyncio.Task[None]] = set()


class Hook:
    class wrap_asgi:
        @staticmethod
        def get_hookimpls() -> list[Any]:
            return []


class HandlerRuntime:
    """A runtime that has handlers in place of agents."""

    def __init__(self) -> None:
        self.limits = Limits(send_queue_bytes=4 * 1024 * 1024, frame_bytes=1024 * 1024, buffered_body_bytes=1024)
        self.clock = SystemClock()
        self.debug = False
        self.state = "new"
        self.is_stranded = False
        self.hook = Hook()

    async def ensure_started(self) -> None:
        self.state = "running"

    async def stop(self) -> None:
        self.state = "stopped"
        print("the runtime has stopped", flush=True)

    @contextmanager
    def in_context(self) -> Iterator[None]:
        yield

    async def fetch(self, request: Request) -> Response:
        name = request.path.strip("/").partition("/")[0] or "hello"
        return await globals()[f"serve_{name}"](request)


async def serve_hello(request: Request) -> Response:
    return Response("hello")


async def serve_echo_url(request: Request) -> Response:
    return Response.from_json({"url": request.url, "path": request.path})


async def serve_seen(request: Request) -> Response:
    return Response.from_json(seen)


async def serve_json(request: Request) -> Response:
    return Response.from_json(await request.json())


async def serve_digest(request: Request) -> Response:
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return Response.from_json({"size": size, "digest": digest.hexdigest()})


async def serve_unread(request: Request) -> Response:
    return Response("not read")


async def serve_fail(request: Request) -> Response:
    raise RuntimeError("a secret of the inside")


async def serve_refuse(request: Request) -> Response:
    raise BadRequest("this is refused")


async def serve_events(request: Request) -> Response:
    """One event, and then silence for ever."""

    async def events() -> AsyncIterator[str]:
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            seen.append("events closed")

    request.signal.add_listener(lambda: seen.append("events aborted"))
    return Response.event_stream(events())


async def serve_silence(request: Request) -> Response:
    """Headers, and then nothing."""

    async def nothing() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    return Response(nothing())


async def serve_broken(request: Request) -> Response:
    async def chunks() -> AsyncIterator[str]:
        yield "half"
        raise RuntimeError("a secret of the inside")

    return Response(chunks())


async def serve_upper(request: Request) -> Response:
    """Answer with each chunk of the request as it comes."""

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            yield chunk.upper()

    return Response(chunks())


async def serve_endless(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                made.append(1)
                yield bytes(65_536)
        finally:
            seen.append("endless closed")

    return Response(chunks())


async def serve_made(request: Request) -> Response:
    return Response.from_json(len(made))


async def serve_head(request: Request) -> Response:
    return Response(["streamed"], headers={"x-a": "b"})


async def serve_none(request: Request) -> Response:
    return Response(status=204)


async def serve_framing(request: Request) -> Response:
    headers = {"transfer-encoding": "chunked", "connection": "keep-alive", "content-type": "text/x-unknown"}
    return Response(["a", "b"], headers=headers)


async def serve_socket(request: Request) -> Response:
    """Echo; ``close`` closes, ``flood`` sends without end to a reader that may not read."""
    client, server = web_socket_pair()
    server.accept()
    task = asyncio.create_task(_echo(server))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    chosen = [name for name in request.subprotocols if name == "chat"]
    return Response(
        status=101, websocket=client, headers={"sec-websocket-protocol": chosen[0]} if chosen else {"x-a": "b"}
    )


async def _echo(socket: WebSocket) -> None:
    try:
        while True:
            message = await socket.receive()
            if message == "close":
                socket.close(4001, "as you wish")
            elif message == "flood":
                with suppress(WebSocketError):
                    for _ in range(1000):
                        socket.send(bytes(65_536))
                        await asyncio.sleep(0)
            else:
                socket.send(message)
    except WebSocketClosed as closed:
        seen.append(f"closed {closed.code} {closed.reason!r} {closed.was_clean}")
    except Exception as error:
        seen.append(f"socket failed: {error}")


async def serve_deny(request: Request) -> Response:
    return Response("go away", status=401, headers={"x-a": "b"})


app = WorkerApp(HandlerRuntime())  # type: ignore[arg-type]
