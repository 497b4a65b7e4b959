"""A WebSocket app that tells over HTTP how the last socket was closed, and what it was offered."""

from __future__ import annotations

from typing import Any

from edgeagents_emulator.hypercorn_fixes import mend_hypercorn

last: list[Any] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        mend_hypercorn()
        mend_hypercorn()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(last[-1:]).encode()})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                last.append((message["code"], message.get("reason")))
                return
            await send({"type": "websocket.send", "text": message["text"]})
