"""What an object sends reaches its client, whenever it is sent."""

from __future__ import annotations

import asyncio
from typing import Any

from edgeagents.asgi.settings import Settings
from edgeagents.asgi.websocket import serve_websocket
from edgeagents.http import Request, Response
from edgeagents.objects.websocket import web_socket_pair

SCOPE = {
    "type": "websocket",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "scheme": "ws",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 2),
    "subprotocols": [],
}


async def test_message_sent_just_when_the_last_one_has_gone_out_goes_out_too() -> None:
    client, server = web_socket_pair()
    server.accept()
    server.send("first")
    sent: list[str] = []
    received: list[str] = []
    both = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not received:
            received.append("connect")
            return {"type": "websocket.connect"}
        await both.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            sent.append(message["text"])
            if len(sent) == 1:
                # It comes when the writer has nothing left to do, and before anybody has noticed that it is done.
                asyncio.get_running_loop().call_soon(server.send, "second")
            else:
                both.set()

    async def handle(request: Request) -> Response:
        return Response(status=101, websocket=client)

    async with asyncio.timeout(10):
        await serve_websocket(SCOPE, receive, send, handle, Settings())

    assert sent == ["first", "second"]
