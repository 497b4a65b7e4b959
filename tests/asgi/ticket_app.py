"""An agent behind tickets, and one ticket for whoever asks the app."""

from __future__ import annotations

from typing import Any

from edgeagents import Agent, AgentsMiddleware, Connection, Tickets

tickets = Tickets("a secret of the tests that is long enough")


class Door(Agent):
    def on_connect(self, connection: Connection) -> None:
        assert connection.identity is not None
        connection.send(f"welcome {connection.identity.subject}")

    async def on_request(self) -> str:
        return "come in"


async def inner(scope: Any, receive: Any, send: Any) -> None:
    body = tickets.issue(Door, "a", "ann").encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


app = AgentsMiddleware(inner, agents=[Door], storage=None, discover_plugins=False, plugins=[tickets])
