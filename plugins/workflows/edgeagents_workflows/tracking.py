"""``cf_agents_workflows``: what an agent remembers of the workflows that it has started. Times are seconds since 1970.

The table is made with the first row; before that there is nothing to read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from edgeagents.agents.tables import Tables
from edgeagents.errors import AgentError
from edgeagents.objects import record
from edgeagents_workflows.binding import InstanceStatus, WorkflowStatus

if TYPE_CHECKING:
    from edgeagents.objects import Clock, Storage

__all__ = ["Criteria", "Tracking", "WorkflowInfo", "WorkflowPage"]

_COLUMNS: Final = (
    "id, workflow_id, workflow_name, status, metadata, error_name, error_message, created_at, updated_at, completed_at"
)
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS cf_agents_workflows (
        id TEXT PRIMARY KEY NOT NULL,
        workflow_id TEXT NOT NULL UNIQUE,
        workflow_name TEXT NOT NULL,
        status TEXT NOT NULL,
        metadata TEXT,
        error_name TEXT,
        error_message TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        completed_at INTEGER
    )""",
    "CREATE INDEX IF NOT EXISTS idx_workflows_status ON cf_agents_workflows (status)",
    "CREATE INDEX IF NOT EXISTS idx_workflows_name ON cf_agents_workflows (workflow_name)",
)
_ENDED: Final = frozenset({"complete", "errored", "terminated"})
_MOST: Final = 100


@record("workflow")
@dataclass(frozen=True, slots=True)
class WorkflowInfo:
    """One workflow that an agent has started. ``error`` is ``{"name", "message"}``, or None."""

    id: str
    workflow_id: str
    workflow_name: str
    status: WorkflowStatus
    metadata: dict[str, Any] | None
    error: dict[str, str] | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    def __json__(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "workflowId": self.workflow_id,
            "workflowName": self.workflow_name,
            "status": self.status,
            "metadata": self.metadata,
            "error": self.error,
            "createdAt": _in_json(self.created_at),
            "updatedAt": _in_json(self.updated_at),
            "completedAt": None if self.completed_at is None else _in_json(self.completed_at),
        }


@record("workflow page")
@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """Some of an agent's workflows. ``total`` counts all that match; ``next_cursor`` gives the next page, None ends."""

    workflows: list[WorkflowInfo]
    total: int
    next_cursor: str | None

    def __json__(self) -> dict[str, Any]:
        return {"workflows": self.workflows, "total": self.total, "nextCursor": self.next_cursor}


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which workflows are meant: all of what is given must fit."""

    status: WorkflowStatus | Sequence[WorkflowStatus] | None = None
    workflow_name: str | None = None
    metadata: Mapping[str, str | int | float | bool] | None = None
    created_before: datetime | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition and its values."""
        conditions, values = ["1"], list[Any]()
        if self.status:
            statuses = [self.status] if isinstance(self.status, str) else list(self.status)
            conditions.append(f"status IN ({', '.join('?' * len(statuses))})")
            values += statuses
        if self.workflow_name:
            conditions.append("workflow_name = ?")
            values.append(self.workflow_name)
        for key, value in (self.metadata or {}).items():
            conditions.append("json_extract(metadata, '$.' || ?) = ?")
            values += [key, value]
        if self.created_before is not None:
            conditions.append("created_at < ?")
            values.append(int(self.created_before.timestamp()))
        return " AND ".join(conditions), values


class Tracking:
    """Reads and writes the table."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage, self._clock = storage, clock
        self._table = Tables(storage.database, "cf_agents_workflows", *_SCHEMA)

    def add(self, id: str, workflow_id: str, workflow_name: str, metadata: Mapping[str, Any] | None) -> None:
        """Note that a workflow is started."""
        self._table.make()
        now = self._now()
        self._run(
            "INSERT INTO cf_agents_workflows (id, workflow_id, workflow_name, status, metadata, created_at, updated_at)"
            " VALUES (?, ?, ?, 'queued', ?, ?, ?)",
            *(id, workflow_id, workflow_name, None if metadata is None else json.dumps(metadata), now, now),
        )

    def get(self, workflow_id: str) -> WorkflowInfo | None:
        """Return what is known of a workflow, or None."""
        rows = self._read(f"SELECT {_COLUMNS} FROM cf_agents_workflows WHERE workflow_id = ?", workflow_id)
        return _info(rows[0]) if rows else None

    def page(
        self,
        criteria: Criteria,
        *,
        limit: int = 50,
        order_by: Literal["asc", "desc"] = "desc",
        cursor: str | None = None,
    ) -> WorkflowPage:
        """Return some of the workflows that fit, the latest first unless ``order_by`` is ``asc``."""
        limit = min(limit, _MOST)
        where, values = criteria.where()
        counted = self._read(f"SELECT count(*) FROM cf_agents_workflows WHERE {where}", *values)
        more, direction = (">", "ASC") if order_by == "asc" else ("<", "DESC")
        if cursor is not None:
            created_at, workflow_id = _read_cursor(cursor)
            where += f" AND (created_at {more} ? OR (created_at = ? AND workflow_id {more} ?))"
            values += [created_at, created_at, workflow_id]
        rows = self._read(
            f"SELECT {_COLUMNS} FROM cf_agents_workflows WHERE {where} "
            f"ORDER BY created_at {direction}, workflow_id {direction} LIMIT ?",
            *(*values, limit + 1),
        )
        found = [_info(row) for row in rows[:limit]]
        following = _cursor(found[-1]) if len(rows) > limit and found else None
        return WorkflowPage(found, counted[0][0] if counted else 0, following)

    def update(self, workflow_id: str, status: InstanceStatus) -> None:
        """Note where the instance stands."""
        now, error = self._now(), status["error"] or {"name": None, "message": None}
        self._write(
            "UPDATE cf_agents_workflows SET status = ?, error_name = ?, error_message = ?, updated_at = ?, "
            "completed_at = ? WHERE workflow_id = ?",
            *(status["status"], error["name"], error["message"], now),
            *(now if status["status"] in _ENDED else None, workflow_id),
        )

    def restarted(self, workflow_id: str) -> None:
        """Note that a workflow begins anew."""
        now = self._now()
        self._write(
            "UPDATE cf_agents_workflows SET status = 'queued', created_at = ?, updated_at = ?, completed_at = NULL, "
            "error_name = NULL, error_message = NULL WHERE workflow_id = ?",
            *(now, now, workflow_id),
        )

    def progressed(self, workflow_id: str) -> None:
        """Note that a workflow runs, unless it is known to have ended or been paused."""
        self._write(
            "UPDATE cf_agents_workflows SET status = 'running', updated_at = ? "
            "WHERE workflow_id = ? AND status IN ('queued', 'waiting')",
            *(self._now(), workflow_id),
        )

    def ended(self, workflow_id: str, error: str | None = None) -> None:
        """Note that a workflow says that it has ended, well or with ``error``, unless it was terminated or paused."""
        now, status = self._now(), "complete" if error is None else "errored"
        self._write(
            "UPDATE cf_agents_workflows SET status = ?, updated_at = ?, completed_at = ?, error_name = ?, "
            "error_message = ? WHERE workflow_id = ? AND status NOT IN ('terminated', 'paused')",
            *(status, now, now, None if error is None else "WorkflowError", error, workflow_id),
        )

    def delete(self, workflow_id: str) -> bool:
        """Forget a workflow; return whether there was one."""
        return bool(self._write("DELETE FROM cf_agents_workflows WHERE workflow_id = ?", workflow_id))

    def delete_all(self, criteria: Criteria) -> int:
        """Forget the workflows that fit; return how many there were."""
        where, values = criteria.where()
        return self._write(f"DELETE FROM cf_agents_workflows WHERE {where}", *values)

    def rename(self, old: str, new: str) -> int:
        """Give the workflows of one binding to another; return how many there were."""
        return self._write("UPDATE cf_agents_workflows SET workflow_name = ? WHERE workflow_name = ?", new, old)

    def counts(self) -> list[tuple[str, int, int]]:
        """Return the names of the bindings, each with how many workflows go on and how many have ended."""
        ended = "status IN ('complete', 'errored', 'terminated')"
        rows = self._read(
            f"SELECT workflow_name, sum(NOT {ended}), sum({ended}) FROM cf_agents_workflows GROUP BY workflow_name"
        )
        return cast("list[tuple[str, int, int]]", rows)

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._run(query, *values) if self._table.exist else []

    def _write(self, query: str, *values: Any) -> int:
        return self._storage.sql.exec(query, *values).rows_written if self._table.exist else 0

    def _run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._storage.sql.exec(query, *values).raw().to_array()

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _info(row: tuple[Any, ...]) -> WorkflowInfo:
    id, workflow_id, workflow_name, status, metadata, error_name, error_message, *times = row
    return WorkflowInfo(
        *(id, workflow_id, workflow_name, status),
        None if metadata is None else json.loads(metadata),
        None if error_name is None else {"name": error_name, "message": error_message or ""},
        *(_time(times[0]), _time(times[1]), None if times[2] is None else _time(times[2])),
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _cursor(last: WorkflowInfo) -> str:
    text = json.dumps({"c": int(last.created_at.timestamp()), "i": last.workflow_id}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        match json.loads(base64.b64decode(cursor, validate=True)):
            case {"c": int(created_at), "i": str(workflow_id)}:
                return created_at, workflow_id
            case _:
                raise ValueError("not made here")
    except ValueError as error:
        raise AgentError("Invalid pagination cursor. The cursor may be malformed or corrupted.") from error


def _in_json(when: datetime) -> str:
    """Return a time as JavaScript writes it."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
