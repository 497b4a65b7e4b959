"""The table of jobs: ``cf_agents_jobs``, a row a job. It is made for the first of them.

Rows in and out, and nothing else: what is done when stands in ``jobs`` and ``job_runner``. The columns are those of the
TypeScript SDK.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from edgeagents.agents.protocol import encode
from edgeagents.agents.retries import RetryOptions
from edgeagents.agents.tables import Tables
from edgeagents.objects.alarm_index import from_ms, to_ms

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["ONCE", "Job", "JobTable"]

_CREATE: Final = (
    """create table if not exists cf_agents_jobs (
    id text primary key not null,
    capability text not null,
    fn text not null,
    time integer not null,
    payload text,
    retry_options text,
    singleflight integer not null default 0,
    hung_timeout_seconds integer,
    exclusive integer not null default 0,
    recovery_loop integer not null default 0,
    running integer not null default 0,
    execution_started_at integer,
    created_at integer not null default (unixepoch())
) without rowid""",
    # Without it each look at what is next would read the whole table.
    "create index if not exists cf_agents_jobs_next on cf_agents_jobs (exclusive, time)",
)
_CREATE_DONE: Final = (
    "create table if not exists cf_agents_jobs_done (id text primary key not null, done_at integer not null) "
    "without rowid",
    "create index if not exists cf_agents_jobs_done_at on cf_agents_jobs_done (done_at)",
)
_COLUMNS: Final = (
    "id, capability, fn, time, payload, retry_options, singleflight, hung_timeout_seconds, exclusive, recovery_loop, "
    "running, execution_started_at, created_at"
)
# The newer intent wins over what a run that is under way will return, hence running = 0.
_PUT: Final = f"""insert into cf_agents_jobs ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, null, ?)
    on conflict (id) do update set
        fn = excluded.fn, time = excluded.time, payload = excluded.payload, retry_options = excluded.retry_options,
        singleflight = excluded.singleflight, hung_timeout_seconds = excluded.hung_timeout_seconds,
        exclusive = excluded.exclusive, recovery_loop = excluded.recovery_loop,
        running = 0, execution_started_at = null
    where capability = excluded.capability"""
# While something exclusive waits, nothing else is of interest.
_CANDIDATES: Final = "exclusive = (select max(exclusive) from cf_agents_jobs)"

ONCE: Final = "once:"
"""What the ids of jobs begin with that have an idempotency key."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do at a time. ``attempt`` counts the tries of one run, from 1."""

    id: str
    capability: str
    fn: str
    due: datetime
    payload: Any
    retry: RetryOptions | None
    singleflight: bool
    hung_timeout_seconds: int | None
    exclusive: bool
    recovery_loop: bool
    created_at: datetime
    attempt: int = 1

    @property
    def title(self) -> str:
        """What logs call it."""
        return f"{self.capability}/{self.fn} {self.id}"

    @property
    def is_once(self) -> bool:
        """Whether it has an idempotency key: what it writes is kept together with the note that it is done."""
        return self.id.startswith(ONCE)


class JobTable:
    """The rows of one agent. Looking costs nothing to speak of while there is no table."""

    def __init__(self, database: Database) -> None:
        self._jobs = Tables(database, "cf_agents_jobs", *_CREATE)
        self._done = Tables(database, "cf_agents_jobs_done", *_CREATE_DONE)

    @property
    def is_there(self) -> bool:
        """Whether there is a table."""
        return self._jobs.exist

    def begin(self) -> None:
        """Make the table, or what it lacks."""
        self._jobs.make_whole()

    def put(self, job: Job) -> None:
        """Keep a job, in place of the one with the same id. One of another capability stays as it is."""
        self._jobs.insert(
            _PUT,
            job.id,
            job.capability,
            job.fn,
            to_ms(job.due),
            None if job.payload is None else encode(job.payload),
            None if job.retry is None else json.dumps(job.retry.to_json()),
            int(job.singleflight),
            job.hung_timeout_seconds,
            int(job.exclusive),
            int(job.recovery_loop),
            int(job.created_at.timestamp()),
        )

    def get(self, capability: str, id: str) -> Job | None:
        """Return a capability's job, or None."""
        rows = self._jobs.fetch(
            f"select {_COLUMNS} from cf_agents_jobs where id = ? and capability = ?", id, capability
        )
        return _job(rows[0]) if rows else None

    def list(self, capability: str, fn: str | None) -> list[Job]:
        """Return a capability's jobs, those called ``fn`` if given, in the order of time."""
        rows = self._jobs.fetch(
            f"select {_COLUMNS} from cf_agents_jobs where capability = ?1 and fn = coalesce(?2, fn) order by time, id",
            capability,
            fn,
        )
        return [_job(row) for row in rows]

    def delete(self, id: str) -> None:
        """Forget a job."""
        self._jobs.fetch("delete from cf_agents_jobs where id = ?", id)

    def move(self, id: str, due: datetime, payload: Any) -> None:
        """Have a job that does not run at another time, or with another payload."""
        self._jobs.fetch(
            "update cf_agents_jobs set time = ?, payload = ? where id = ? and running = 0",
            to_ms(due),
            None if payload is None else encode(payload),
            id,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is no job."""
        return not self._jobs.fetch("select 1 from cf_agents_jobs limit 1")

    # What is to be run

    def soonest(self, without: Collection[str]) -> datetime | None:
        """Return when the first job is due that may run, of those whose ids are not in ``without``."""
        rows = self._jobs.fetch(
            f"select id, time from cf_agents_jobs where {_CANDIDATES} order by time limit ?", len(without) + 1
        )
        return next((from_ms(time) for id, time in rows if id not in without), None)

    def due(self, now: int) -> list[tuple[str, str]]:
        """Return the id and capability of each job that may run at ``now``, in the order of time."""
        return self._jobs.fetch(
            f"select id, capability from cf_agents_jobs where time <= ? and {_CANDIDATES} order by time, id", now
        )

    def candidate(self, id: str, now: int) -> tuple[Job, bool] | None:
        """Return a job if it may run at ``now``, and whether it ran when the process ended."""
        rows = self._jobs.fetch(
            f"select {_COLUMNS} from cf_agents_jobs where id = ? and time <= ? and {_CANDIDATES}", id, now
        )
        return (_job(rows[0]), bool(rows[0][10])) if rows else None

    def begin_run(self, id: str, now: datetime) -> None:
        """A job begins to run."""
        self._jobs.fetch("update cf_agents_jobs set running = 1, execution_started_at = ? where id = ?", to_ms(now), id)

    def end_run(self, id: str, again: datetime | None) -> None:
        """A job's run has ended: forget it, or run it again at ``again``. One that was put anew stays as it is."""
        if again is None:
            self._jobs.fetch("delete from cf_agents_jobs where id = ? and running = 1", id)
        else:
            self._jobs.fetch(
                "update cf_agents_jobs set time = ?, running = 0, execution_started_at = null "
                "where id = ? and running = 1",
                to_ms(again),
                id,
            )

    def break_off_run(self, id: str) -> None:
        """A job runs no more, and is as due as it was."""
        self._jobs.fetch("update cf_agents_jobs set running = 0, execution_started_at = null where id = ?", id)

    # Idempotency keys

    def is_done(self, id: str) -> bool:
        """Whether a job with an idempotency key was done, and that is still remembered."""
        return bool(self._done.fetch("select 1 from cf_agents_jobs_done where id = ?", id))

    def note_done(self, id: str, now: datetime, forget_before: datetime) -> None:
        """Remember that a job was done, and forget those that were done long ago."""
        self._done.insert("insert or replace into cf_agents_jobs_done values (?, ?)", id, to_ms(now))
        self._done.fetch("delete from cf_agents_jobs_done where done_at < ?", to_ms(forget_before))

    # Recovery loops

    def delay_recovery_loops(self, later: datetime) -> None:
        """Let no job of a recovery loop be due before ``later``."""
        self._jobs.fetch(
            "update cf_agents_jobs set time = ?1, running = 0, execution_started_at = null "
            "where recovery_loop = 1 and time <= ?1",
            to_ms(later),
        )

    def delete_recovery_loops(self) -> None:
        """Forget all jobs of recovery loops."""
        self._jobs.fetch("delete from cf_agents_jobs where recovery_loop = 1")


def _job(row: tuple[Any, ...]) -> Job:
    id, capability, fn, time, payload, retry, singleflight, hung, exclusive, recovery_loop, _, _, created_at = row
    return Job(
        id,
        capability,
        fn,
        from_ms(time),
        None if payload is None else json.loads(payload),
        None if retry is None else RetryOptions.from_json(json.loads(retry)),
        bool(singleflight),
        hung,
        bool(exclusive),
        bool(recovery_loop),
        from_ms(created_at * 1000),
    )
