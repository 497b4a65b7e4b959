"""The room: an agent that keeps what was said and tells it to everybody."""

from __future__ import annotations

from typing import Any

from edgeagents import Agent, Connection, callable


class ChatRoom(Agent):
    """A room. Messages are rows in its own database; the state says how many people there are."""

    initial_state = {"people": 0}

    def on_start(self) -> None:
        self.sql("create table if not exists said (id integer primary key, name text, text text)")

    async def on_connect(self, connection: Connection, ctx: Any) -> None:
        self.set_state({"people": len(list(self.get_connections()))})

    async def on_close(self, connection: Connection) -> None:
        self.set_state({"people": len(list(self.get_connections()))})

    @callable()
    def say(self, name: str, text: str) -> int:
        """Keep a message and tell it to everybody. Not async: it runs in the agent's own thread."""
        row = self.sql("insert into said (name, text) values (?, ?) returning id", name, text)[0]
        self.broadcast(f"{name}: {text}")
        return row["id"]

    @callable()
    def history(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return what was said last, the oldest first."""
        rows = self.sql("select id, name, text from said order by id desc limit {limit}", limit=limit)
        return rows[::-1]
