"""What a session's streams have sent, kept so that a client whose connection broke gets the rest.

An event's id names its stream, which is one POST's answer or the session's standalone stream. Old events go by age and
by number: a client comes back within seconds, or begins a new session.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from edgeagents.agents.tables import Tables
from edgeagents.objects import Clock
from edgeagents.objects.sqlite import Database

__all__ = ["EventLog"]

_CREATE: Final = (
    "create table if not exists cf_agents_mcp_events "
    "(number integer primary key autoincrement, stream text not null, message text not null, at real not null)"
)
_KEPT_FOR: Final = timedelta(minutes=10)
_KEPT_EVENTS: Final = 1_000
_PRUNED_EVERY: Final = 250


class EventLog:
    """The events of one agent's session. Nothing is written before there is an event."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._table = Tables(database, "cf_agents_mcp_events", _CREATE)
        self._since_pruned = 0

    def append(self, stream: str, message: str) -> str:
        """Keep a message of ``stream`` and return the id of its event."""
        self._table.make()
        query = "insert into cf_agents_mcp_events (stream, message, at) values (?, ?, ?) returning number"
        ((number,),) = self._database.fetch(query, (stream, message, self._clock.now().timestamp()))
        self._since_pruned += 1
        if self._since_pruned >= _PRUNED_EVERY:
            self._since_pruned = 0
            self._prune(number)
        return f"{stream}:{number}"

    def after(self, event_id: str) -> tuple[str, list[tuple[str, str]]] | None:
        """Return the stream of an event, and the ids and messages that followed it. None when it is not known."""
        stream, _, number = event_id.rpartition(":")
        if not number.isascii() or not number.isdigit() or len(number) > 18 or not self._table.exist:
            return None
        known = "select 1 from cf_agents_mcp_events where number = ? and stream = ?"
        if not self._database.fetch(known, (int(number), stream)):
            return None
        query = "select number, message from cf_agents_mcp_events where stream = ? and number > ? order by number"
        rows = self._database.fetch(query, (stream, int(number)))
        return stream, [(f"{stream}:{found}", message) for found, message in rows]

    def _prune(self, newest: int) -> None:
        oldest = (self._clock.now() - _KEPT_FOR).timestamp()
        query = "delete from cf_agents_mcp_events where at < ? or number <= ?"
        self._database.fetch(query, (oldest, newest - _KEPT_EVENTS))
