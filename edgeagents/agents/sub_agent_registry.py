"""The registry of an agent's sub-agents: a row of ``cf_agents_sub_agents`` for each that was made and not deleted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from edgeagents.agents.tables import Tables
from edgeagents.objects.alarm_index import from_ms, to_ms
from edgeagents.objects.records import record

if TYPE_CHECKING:
    from edgeagents.objects.context import ObjectContext

__all__ = ["SubAgentInfo", "SubAgentRegistry", "identity_name"]

_CREATE: Final = """create table if not exists cf_agents_sub_agents (
    class text not null,
    name text not null,
    created_at integer not null,
    identity_version text,
    identity_name text,
    primary key (class, name)
)"""
_VERSION: Final = "path-v2"


@record("sub-agent")
@dataclass(frozen=True, slots=True)
class SubAgentInfo:
    """A sub-agent that an agent has made."""

    class_name: str
    name: str
    created_at: datetime

    def __json__(self) -> dict[str, Any]:
        return {"className": self.class_name, "name": self.name, "createdAt": to_ms(self.created_at)}


def identity_name(path: Sequence[tuple[str, str]]) -> str:
    """Return what the id of the sub-agent at the end of ``path`` is made of: no two agents below a root share it."""
    steps = [{"className": class_name, "name": name} for class_name, name in path]
    text = json.dumps(steps, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    name = quote(path[-1][1], safe="!'()*-._~", errors="surrogatepass")
    return f"cf-agents:v2:{name}:{hashlib.sha256(text).hexdigest()}"


class SubAgentRegistry:
    """The sub-agents of one agent. The table is made for the first of them."""

    def __init__(self, ctx: ObjectContext) -> None:
        self._table, self._clock = Tables(ctx.storage.database, "cf_agents_sub_agents", _CREATE), ctx.clock

    def record(self, class_name: str, name: str, identity: str) -> None:
        """Note that a sub-agent was made, unless it is noted already."""
        self._table.insert(
            "insert or ignore into cf_agents_sub_agents values (?, ?, ?, ?, ?)",
            class_name,
            name,
            to_ms(self._clock.now()),
            _VERSION,
            identity,
        )

    def forget(self, class_name: str, name: str) -> None:
        """Note that a sub-agent is no more."""
        self._table.fetch("delete from cf_agents_sub_agents where class = ? and name = ?", class_name, name)

    def identity(self, class_name: str, name: str) -> str | None:
        """Return what a sub-agent's id is made of, or None when there is no such sub-agent."""
        rows = self._table.fetch(
            "select coalesce(identity_name, name) from cf_agents_sub_agents where class = ? and name = ?",
            class_name,
            name,
        )
        return rows[0][0] if rows else None

    def list(self, class_name: str | None = None) -> list[SubAgentInfo]:
        """Return the sub-agents, those of one class if it is given, the oldest first."""
        rows = self._table.fetch(
            "select class, name, created_at from cf_agents_sub_agents where ?1 is null or class = ?1 "
            "order by created_at, rowid",
            class_name,
        )
        return [SubAgentInfo(class_name, name, from_ms(created_at)) for class_name, name, created_at in rows]
