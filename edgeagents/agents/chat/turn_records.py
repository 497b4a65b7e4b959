"""Turns that were accepted and have not ended, as they stand in the database.

A turn leaves a row when it is accepted and takes it away in the transaction that keeps its message. A row that is
there when the agent wakes is a turn that the end of the server has cut, or that it kept from beginning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeagents.agents.protocol import encode
from edgeagents.agents.tables import Tables
from edgeagents.objects.clock import Clock

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["Attempts", "TurnRecord", "TurnRecords"]

_SCHEMA = """create table if not exists cf_ai_chat_turns (
    number integer primary key autoincrement,
    request_id text not null unique,
    continuation integer not null,
    body text,
    client_tools text,
    message_ids text not null,
    attempts text not null,
    stream_id text,
    model_reply text,
    created_at integer not null
)"""
_COLUMNS = "request_id, continuation, body, client_tools, message_ids, attempts, stream_id, model_reply, created_at"


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often a turn was taken up again: in all, and since it last got on; and when that was.

    ``request_id`` is that of the first attempt, the one that a client knows.
    """

    request_id: str
    count: int = 0
    stuck: int = 0
    progress_at: int = 0


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A turn that has not ended. ``stream_id`` is its log's, ``model_reply`` tells of the model's stream it shows."""

    request_id: str
    continuation: bool
    body: dict[str, Any] | None
    client_tools: list[dict[str, Any]] | None
    message_ids: tuple[str, ...]
    attempts: Attempts
    stream_id: str | None
    model_reply: dict[str, Any] | None
    created_at: int


class TurnRecords:
    """The rows of one chat."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._tables = Tables(database, "cf_ai_chat_turns", _SCHEMA)

    def add(
        self,
        request_id: str,
        *,
        continuation: bool,
        body: dict[str, Any] | None,
        client_tools: list[dict[str, Any]] | None,
        message_ids: Sequence[str],
        attempts: Attempts | None = None,
    ) -> None:
        """A turn was accepted."""
        self._tables.make()
        now = int(self._clock.now().timestamp() * 1000)
        tried = attempts or Attempts(request_id, progress_at=now)
        self._database.fetch(
            f"insert or replace into cf_ai_chat_turns ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, null, null, ?)",
            (
                request_id,
                continuation,
                _text(body),
                _text(client_tools),
                encode(list(message_ids)),
                encode([tried.request_id, tried.count, tried.stuck, tried.progress_at]),
                now,
            ),
        )

    def started(self, request_id: str, stream_id: str, model_reply: dict[str, Any] | None) -> None:
        """The turn's reply begins to be written to this log."""
        self._database.fetch(
            "update cf_ai_chat_turns set stream_id = ?, model_reply = ? where request_id = ?",
            (stream_id, _text(model_reply), request_id),
        )

    def remove(self, request_id: str) -> None:
        """The turn ended."""
        if self._tables.exist:
            self._database.fetch("delete from cf_ai_chat_turns where request_id = ?", (request_id,))

    def clear(self) -> None:
        """All turns are given up."""
        if self._tables.exist:
            self._database.fetch("delete from cf_ai_chat_turns")

    def unfinished(self) -> list[TurnRecord]:
        """Return the turns that have not ended, in the order in which they were accepted."""
        if not self._tables.exist:
            return []
        return [
            TurnRecord(
                request_id,
                bool(continuation),
                _value(body),
                _value(client_tools),
                tuple(json.loads(message_ids)),
                Attempts(*json.loads(attempts)),
                stream_id,
                _value(model_reply),
                created_at,
            )
            for (
                request_id,
                continuation,
                body,
                client_tools,
                message_ids,
                attempts,
                stream_id,
                model_reply,
                created_at,
            ) in self._database.fetch(f"select {_COLUMNS} from cf_ai_chat_turns order by number")
        ]


def _text(value: Any) -> str | None:
    return None if value is None else encode(value)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
