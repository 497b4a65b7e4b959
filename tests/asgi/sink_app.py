"""An agent that takes messages and tells how long they are, beside a WebSocket of the app's own."""

from __future__ import annotations

from typing import Any

from edgeagents import Agent, AgentsMiddleware, Connection


class Sink(Agent):
    options = {"send_identity_on_connect": False}

    def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(f"{len(message)} bytes")


async def inner(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "the app's own"})


app = AgentsMiddleware(inner, agents=[Sink], storage=None, discover_plugins=False)
