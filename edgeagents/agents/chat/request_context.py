"""What a chat remembers beside its messages: what came with the last request, and the failure to be told of.

A client sends its own tools and its ``body`` with a request. A turn that no client asked for, such as the one after a
tool's answer, is given the last ones, also after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeagents.agents.protocol import encode
from edgeagents.agents.tables import Tables

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["Failure", "RequestContext"]

_SCHEMA = "create table if not exists cf_ai_chat_request_context (key text primary key, value text not null)"


@dataclass(frozen=True, slots=True)
class Failure:
    """A turn that failed. Clients that were not there are told when they come."""

    request_id: str
    text: str
    message_ids: Sequence[str]


class RequestContext:
    """The memory of one chat. Reads are served from memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = Tables(database, "cf_ai_chat_request_context", _SCHEMA)
        self._values: dict[str, Any] | None = None

    @property
    def body(self) -> dict[str, Any] | None:
        """What the client sent besides messages with the last request."""
        return self._get("lastBody")

    @property
    def client_tools(self) -> list[dict[str, Any]] | None:
        """The tools that the client of the last request answers itself."""
        return self._get("lastClientTools")

    def remember(self, body: dict[str, Any] | None, client_tools: list[dict[str, Any]] | None) -> None:
        """Keep what came with a request."""
        self._set("lastBody", body or None)
        self.remember_tools(client_tools)

    def remember_tools(self, client_tools: list[dict[str, Any]] | None) -> None:
        """Keep the tools that a client has."""
        self._set("lastClientTools", client_tools or None)

    @property
    def own_tools(self) -> frozenset[str]:
        """The names of the tools that the server itself runs, as the last model's turn had them."""
        return frozenset(self._get("ownTools") or ())

    def remember_own_tools(self, names: Iterable[str]) -> None:
        """Keep which tools the server runs: no client answers for them."""
        self._set("ownTools", sorted(names) or None)

    @property
    def begun_calls(self) -> list[str]:
        """The ids of the calls with leave that the turn which began last may have made."""
        return self._get("begunCalls") or []

    def note_begun_calls(self, tool_call_ids: list[str]) -> None:
        """Keep which calls with leave may be made from now on."""
        self._set("begunCalls", tool_call_ids or None)

    @property
    def failure(self) -> Failure | None:
        """The last turn, if it failed."""
        kept = self._get("lastFailure")
        return None if kept is None else Failure(kept["requestId"], kept["body"], kept["messageIds"])

    def note_failure(self, request_id: str, text: str, message_ids: Sequence[str]) -> None:
        """Keep that a turn failed, until another one begins."""
        self._set("lastFailure", {"requestId": request_id, "body": text, "messageIds": list(message_ids)})

    def forget_failure(self) -> None:
        """The conversation goes on: nobody needs to know any more."""
        self._set("lastFailure", None)

    @property
    def continuation(self) -> tuple[str, str | None] | None:
        """The request id and the owner of the continuation that is awaited."""
        kept = self._get("continuation")
        return None if kept is None else (kept[0], kept[1])

    def note_continuation(self, awaited: tuple[str, str | None] | None) -> None:
        """Keep what continuation is awaited."""
        self._set("continuation", None if awaited is None else list(awaited))

    def clear(self) -> None:
        """Forget everything."""
        self.remember(None, None)
        self.remember_own_tools(())
        self.note_begun_calls([])
        self.forget_failure()
        self.note_continuation(None)

    def _all(self) -> dict[str, Any]:
        if self._values is None:
            rows = (
                self._database.fetch("select key, value from cf_ai_chat_request_context") if self._tables.exist else ()
            )
            self._values = {key: json.loads(value) for key, value in rows}
        return self._values

    def _get(self, key: str) -> Any:
        return self._all().get(key)

    def _set(self, key: str, value: Any) -> None:
        values = self._all()
        if values.get(key) == value:
            return
        self._tables.make()
        if value is None:
            values.pop(key, None)
            self._database.fetch("delete from cf_ai_chat_request_context where key = ?", (key,))
        else:
            values[key] = value
            query = "insert or replace into cf_ai_chat_request_context (key, value) values (?, ?)"
            self._database.fetch(query, (key, encode(value)))
