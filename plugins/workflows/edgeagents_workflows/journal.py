"""The journal: what an instance has been asked, has done and is waiting for, in its own database.

Each step has a row from its first attempt on; what has ended is there for ever and is not run again. Times are
milliseconds since 1970. Nothing is decided here, and reading makes no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from edgeagents.objects import Storage

__all__ = ["BaseStatus", "InstanceRecord", "Journal", "StepKey", "StepRecord"]

BaseStatus: TypeAlias = Literal[
    "queued",
    "running",
    "paused",
    "waitingForPause",
    "errored",
    "terminated",
    "complete",
]
"""What is kept of an instance's status; that a running one waits is seen from its steps."""

FINAL: Final = frozenset({"errored", "terminated", "complete"})

_SCHEMA: Final = """
    CREATE TABLE cf_workflow (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        status TEXT NOT NULL,
        params BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        is_asleep INTEGER NOT NULL DEFAULT 0,
        paused_at INTEGER,
        ended_at INTEGER,
        output BLOB,
        error_name TEXT,
        error_message TEXT,
        success_retention INTEGER,
        error_retention INTEGER
    );
    CREATE TABLE cf_workflow_steps (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        count INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        due INTEGER,
        config BLOB,
        result BLOB,
        error_name TEXT,
        error_message TEXT,
        started_at INTEGER NOT NULL,
        ended_at INTEGER,
        PRIMARY KEY (kind, name, count)
    );
    CREATE TABLE cf_workflow_events (
        seq INTEGER PRIMARY KEY,
        type TEXT NOT NULL,
        payload BLOB NOT NULL,
        timestamp INTEGER NOT NULL
    )
"""


@dataclass(frozen=True, slots=True)
class StepKey:
    """What a step is known by: the second step named "x" of its kind has the count 2."""

    kind: Literal["do", "sleep", "event"]
    name: str
    count: int

    @property
    def columns(self) -> tuple[str, str, int]:
        """What a row is found by."""
        return self.kind, self.name, self.count

    def __str__(self) -> str:
        return f"{self.name}-{self.count}"


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """The instance itself. ``is_asleep`` says that it left memory on purpose and has an alarm for its next step."""

    status: BaseStatus
    params: bytes
    created_at: int
    is_asleep: int
    paused_at: int | None
    ended_at: int | None
    output: bytes | None
    error_name: str | None
    error_message: str | None
    success_retention: int | None
    error_retention: int | None

    @property
    def is_final(self) -> bool:
        """Whether it has ended, however."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step. ``due`` is when a wait or a pause before the next attempt ends."""

    state: Literal["running", "waiting", "done", "failed"]
    attempt: int
    due: int | None
    config: bytes | None
    result: bytes | None
    error_name: str | None
    error_message: str | None


class Journal:
    """Reads and writes the journal of one instance."""

    def __init__(self, storage: Storage) -> None:
        self._database, self._sql = storage.database, storage.sql
        self._has_tables = False

    # The instance

    def create(
        self,
        params: bytes,
        created_at: int,
        success_retention: int | None,
        error_retention: int | None,
    ) -> None:
        """Begin the journal of an instance that is queued."""
        self._run(_SCHEMA)
        self._run(
            "INSERT INTO cf_workflow (id, status, params, created_at, success_retention, error_retention) "
            "VALUES (1, 'queued', ?, ?, ?, ?)",
            *(params, created_at, success_retention, error_retention),
        )
        self._has_tables = True

    def instance(self) -> InstanceRecord | None:
        """Return the instance, or None when there is none."""
        if not self._exists():
            return None
        (row,) = self._run(
            "SELECT status, params, created_at, is_asleep, paused_at, ended_at, output, error_name, error_message, "
            "success_retention, error_retention FROM cf_workflow"
        )
        return InstanceRecord(*row)

    def set_status(self, status: BaseStatus, *, paused_at: int | None = None) -> None:
        """Note where the instance stands now; it is awake."""
        self._run(
            "UPDATE cf_workflow SET status = ?, is_asleep = 0, paused_at = ?",
            status,
            paused_at,
        )

    def fall_asleep(self) -> None:
        """Note that the instance leaves memory on purpose."""
        self._run("UPDATE cf_workflow SET is_asleep = 1")

    def end(
        self,
        status: BaseStatus,
        ended_at: int,
        output: bytes | None = None,
        error: tuple[str, str] | None = None,
    ) -> None:
        """Note how the instance ended."""
        self._run(
            "UPDATE cf_workflow SET status = ?, is_asleep = 0, paused_at = NULL, ended_at = ?, output = ?, "
            "error_name = ?, error_message = ?",
            *(status, ended_at, output, *(error or (None, None))),
        )

    def restart(self) -> None:
        """Forget everything but what the instance was created with."""
        self._run(
            "DELETE FROM cf_workflow_steps; DELETE FROM cf_workflow_events; "
            "UPDATE cf_workflow SET status = 'queued', is_asleep = 0, paused_at = NULL, ended_at = NULL, "
            "output = NULL, error_name = NULL, error_message = NULL"
        )

    def forget(self) -> None:
        """Take note that the storage was emptied."""
        self._has_tables = False

    # Steps

    def step(self, key: StepKey) -> StepRecord | None:
        """Return what is known of a step, or None when it has not begun."""
        rows = self._run(
            "SELECT state, attempt, due, config, result, error_name, error_message FROM cf_workflow_steps "
            "WHERE kind = ? AND name = ? AND count = ?",
            *key.columns,
        )
        return StepRecord(*rows[0]) if rows else None

    def begin(
        self,
        key: StepKey,
        now: int,
        *,
        due: int | None = None,
        config: bytes | None = None,
    ) -> None:
        """Note that a step begins; one that waits from the start says until when."""
        self._run(
            "INSERT INTO cf_workflow_steps (kind, name, count, state, due, config, started_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(*key.columns, "running" if due is None else "waiting", due, config, now),
        )

    def attempt(self, key: StepKey, number: int) -> None:
        """Note that an attempt begins."""
        self._change(key, "state = 'running', attempt = ?, due = NULL", number)

    def retry(self, key: StepKey, due: int, error: tuple[str, str]) -> None:
        """Note that an attempt failed, and when the next one is due."""
        self._change(
            key,
            "state = 'waiting', due = ?, error_name = ?, error_message = ?",
            due,
            *error,
        )

    def finish(self, key: StepKey, now: int, result: bytes | None = None) -> None:
        """Note that a step has ended well."""
        done = "state = 'done', due = NULL, result = ?, error_name = NULL, error_message = NULL, ended_at = ?"
        self._change(key, done, result, now)

    def fail(self, key: StepKey, now: int, error: tuple[str, str]) -> None:
        """Note that a step has failed for good."""
        failed = "state = 'failed', due = NULL, error_name = ?, error_message = ?, ended_at = ?"
        self._change(key, failed, *error, now)

    def postpone(self, by: int) -> None:
        """Make everything that waits wait longer."""
        self._run("UPDATE cf_workflow_steps SET due = due + ? WHERE state = 'waiting'", by)

    # Events

    def add_event(self, type: str, payload: bytes, now: int) -> None:
        """Keep an event until a step takes it."""
        self._run(
            "INSERT INTO cf_workflow_events (type, payload, timestamp) VALUES (?, ?, ?)",
            type,
            payload,
            now,
        )

    def take_event(self, type: str, until: int) -> tuple[bytes, int] | None:
        """Return payload and time of the oldest event of a type that came by ``until``, and forget it."""
        rows = self._run(
            "DELETE FROM cf_workflow_events WHERE seq = (SELECT seq FROM cf_workflow_events "
            "WHERE type = ? AND timestamp <= ? ORDER BY seq LIMIT 1) RETURNING payload, timestamp",
            *(type, until),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def _change(self, key: StepKey, changes: str, *values: Any) -> None:
        self._run(
            f"UPDATE cf_workflow_steps SET {changes} WHERE kind = ? AND name = ? AND count = ?",
            *values,
            *key.columns,
        )

    def _exists(self) -> bool:
        if not self._has_tables and self._database.exists:
            found = self._run("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'cf_workflow'")
            self._has_tables = bool(found)
        return self._has_tables

    def _run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._sql.exec(query, *values).raw().to_array()
