"""What is kept of fibers: a row for each that runs, and a ledger of those that were started to be looked at later."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypedDict

from edgeagents.agents.protocol import encode
from edgeagents.agents.tables import Tables
from edgeagents.objects.alarm_index import from_ms, to_ms
from edgeagents.objects.records import record
from edgeagents.objects.sqlite import Database

__all__ = ["SETTLED", "Fiber", "FiberLedger", "FiberOutcome", "FiberRun", "FiberStatus"]

FiberStatus = Literal["pending", "running", "completed", "aborted", "interrupted", "error"]
SETTLED: Final[tuple[FiberStatus, ...]] = ("completed", "aborted", "interrupted", "error")

_CREATE: Final = (
    """create table if not exists cf_agents_runs (
    id text primary key not null,
    name text not null,
    snapshot text,
    created_at integer not null,
    completed_at integer,
    outcome text,
    error_message text
) without rowid""",
    """create table if not exists cf_agents_fibers (
    fiber_id text primary key not null,
    idempotency_key text unique,
    name text not null,
    status text not null,
    snapshot text,
    metadata_json text,
    error_message text,
    created_at integer not null,
    started_at integer,
    completed_at integer
) without rowid""",
    "create index if not exists cf_agents_fibers_by_status on cf_agents_fibers (status, created_at)",
)
_COLUMNS: Final = (
    "fiber_id, name, status, idempotency_key, snapshot, error_message, metadata_json, created_at, started_at, "
    "completed_at"
)


@record("fiber")
@dataclass(frozen=True, slots=True)
class Fiber:
    """A fiber of the ledger. ``settled_at`` is when it ended or was found interrupted."""

    fiber_id: str
    name: str
    status: FiberStatus
    idempotency_key: str | None
    snapshot: Any
    error: str | None
    metadata: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    settled_at: datetime | None
    accepted: bool | None = None
    """From ``start_fiber``: whether that call has started the fiber, and did not find it there."""

    @property
    def is_settled(self) -> bool:
        """Whether it runs no more."""
        return self.status in SETTLED

    def __json__(self) -> dict[str, Any]:
        settled = None if self.settled_at is None else to_ms(self.settled_at)
        shown = {
            "fiberId": self.fiber_id,
            "name": self.name,
            "status": self.status,
            "createdAt": to_ms(self.created_at),
            "idempotencyKey": self.idempotency_key,
            "snapshot": self.snapshot,
            "error": self.error,
            "metadata": self.metadata,
            "startedAt": None if self.started_at is None else to_ms(self.started_at),
            "settledAt": settled,
            "accepted": self.accepted,
        }
        return {name: value for name, value in shown.items() if value is not None}


class FiberOutcome(TypedDict, total=False):
    """How an interrupted fiber ends: ``{"status": "completed", "snapshot": ..., "metadata": ...}``.

    ``reason`` or ``error`` says why, when it is not completed.
    """

    status: Literal["completed", "error", "aborted", "interrupted"]
    snapshot: Any
    metadata: Mapping[str, Any]
    error: Any
    reason: str


class FiberRun(NamedTuple):
    """A fiber that runs, or ran when the process ended."""

    id: str
    name: str
    snapshot: Any
    created_at: datetime


class FiberLedger:
    """The two tables, which are made for the first fiber."""

    def __init__(self, database: Database) -> None:
        self._tables = Tables(database, "cf_agents_runs", *_CREATE)

    # Runs

    def begin_run(self, id: str, name: str, now: datetime) -> None:
        self._tables.insert("insert into cf_agents_runs (id, name, created_at) values (?, ?, ?)", id, name, to_ms(now))

    def end_run(self, id: str) -> None:
        self._tables.fetch("delete from cf_agents_runs where id = ?", id)

    def stash(self, id: str, snapshot: Any, *, is_managed: bool) -> None:
        text = encode(snapshot)
        self._tables.fetch("update cf_agents_runs set snapshot = ? where id = ?", text, id)
        if is_managed:
            self._tables.fetch("update cf_agents_fibers set snapshot = ? where fiber_id = ?", text, id)

    def runs(self) -> list[FiberRun]:
        rows = self._tables.fetch("select id, name, snapshot, created_at from cf_agents_runs order by created_at, id")
        return [FiberRun(id, name, _value(snapshot), from_ms(created)) for id, name, snapshot, created in rows]

    # The ledger

    def accept(self, id: str, key: str | None, name: str, metadata: Mapping[str, Any] | None, now: datetime) -> None:
        self._tables.insert(
            "insert into cf_agents_fibers (fiber_id, idempotency_key, name, status, metadata_json, created_at) "
            "values (?, ?, ?, 'pending', ?, ?)",
            id,
            key,
            name,
            None if metadata is None else encode(dict(metadata)),
            to_ms(now),
        )

    def start(self, id: str, now: datetime) -> bool:
        """Note that a fiber runs now; return False when it does not wait any more."""
        return bool(
            self._tables.fetch(
                "update cf_agents_fibers set status = 'running', started_at = ? "
                "where fiber_id = ? and status = 'pending' returning 1",
                to_ms(now),
                id,
            )
        )

    def settle(self, id: str, status: FiberStatus, error: str | None, now: datetime) -> bool:
        """Note how a fiber ended; return False when it has ended already."""
        return bool(
            self._tables.fetch(
                "update cf_agents_fibers set status = ?, error_message = ?, completed_at = ? "
                "where fiber_id = ? and status in ('pending', 'running') returning 1",
                status,
                error,
                to_ms(now),
                id,
            )
        )

    def resolve(self, id: str, outcome: FiberOutcome, now: datetime) -> bool:
        """Note how an interrupted fiber ends; return False when it is not interrupted."""
        status = outcome.get("status")
        snapshot, metadata = outcome.get("snapshot"), outcome.get("metadata")
        error = outcome.get("error") if status == "error" else outcome.get("reason")
        return bool(
            self._tables.fetch(
                "update cf_agents_fibers set status = ?, snapshot = coalesce(?, snapshot), "
                "metadata_json = coalesce(?, metadata_json), error_message = ?, completed_at = ? "
                "where fiber_id = ? and status = 'interrupted' returning 1",
                status,
                None if snapshot is None else encode(snapshot),
                None if metadata is None or status != "completed" else encode(dict(metadata)),
                None if error is None or status == "completed" else str(error),
                to_ms(now),
                id,
            )
        )

    def get(self, id: str) -> Fiber | None:
        rows = self._tables.fetch(f"select {_COLUMNS} from cf_agents_fibers where fiber_id = ?", id)
        return _fiber(rows[0]) if rows else None

    def by_key(self, key: str) -> Fiber | None:
        rows = self._tables.fetch(f"select {_COLUMNS} from cf_agents_fibers where idempotency_key = ?", key)
        return _fiber(rows[0]) if rows else None

    def unsettled(self) -> list[Fiber]:
        """Return the fibers that wait or run, or did so when the process ended, the oldest first."""
        rows = self._tables.fetch(
            f"select {_COLUMNS} from cf_agents_fibers where status in ('pending', 'running') order by created_at"
        )
        return list(map(_fiber, rows))

    def list(self, statuses: Collection[str] | None, name: str | None, limit: int) -> list[Fiber]:
        """Return fibers, the latest first."""
        rows = self._tables.fetch(
            f"select {_COLUMNS} from cf_agents_fibers where name = coalesce(?, name) "
            "and (? or status in (select value from json_each(?))) order by created_at desc, fiber_id desc limit ?",
            name,
            statuses is None,
            json.dumps(list(statuses or ())),
            limit,
        )
        return list(map(_fiber, rows))

    def delete(self, statuses: Collection[str], settled_before: datetime | None, limit: int) -> int:
        """Delete settled fibers, those first that settled first; return how many."""
        before = None if settled_before is None else to_ms(settled_before)
        return len(
            self._tables.fetch(
                "delete from cf_agents_fibers where fiber_id in ("
                "select fiber_id from cf_agents_fibers where status in (select value from json_each(?)) "
                "and (?2 is null or completed_at < ?2) order by completed_at, created_at limit ?3) returning 1",
                json.dumps([status for status in statuses if status in SETTLED]),
                before,
                limit,
            )
        )

    @property
    def is_there(self) -> bool:
        """Whether there ever was a fiber."""
        return self._tables.exist


def _value(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        # Somebody wrote into our table; what the fiber was at is lost, that it was there is not.
        return None


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


def _fiber(row: tuple[Any, ...]) -> Fiber:
    id, name, status, key, snapshot, error, metadata, created_at, started_at, settled_at = row
    return Fiber(
        id,
        name,
        status,
        key,
        _value(snapshot),
        error,
        _value(metadata),
        from_ms(created_at),
        _time(started_at),
        _time(settled_at),
    )
