"""Jobs: what an agent does later, in one table and on the one alarm of its object.

Schedules, the task queue, heartbeats and everything else that is due at a time is a row of ``cf_agents_jobs``: which
capability's, which function of it, when, and with what. The alarm is set to the earliest of them. When it goes off,
what is due runs one after another in the order of time, each at least once: a row is deleted when its run has ended,
so one that the process did not survive runs again.

An agent's own alarm, set with ``ctx.storage.set_alarm``, becomes a row too as soon as there is a table, so neither
takes the alarm away from the other.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from edgeagents.agents.capability import Acting, Emit
from edgeagents.agents.protocol import encode
from edgeagents.agents.retries import DEFAULT_RETRY, RetryOptions, try_up_to
from edgeagents.errors import AgentError, ObjectError, SqlError
from edgeagents.objects.alarm_index import from_ms, to_ms
from edgeagents.objects.ids import nanoid

if TYPE_CHECKING:
    from edgeagents.objects.alarms import AlarmSlot
    from edgeagents.objects.context import ObjectContext

__all__ = ["AlarmClock", "Job", "JobFailed", "JobHandler", "Jobs", "ObjectAlarm", "runs_in_job"]

_HUNG_SECONDS: Final = 30
_BACKLOG: Final = 10
_DEAD_MAN: Final = timedelta(seconds=30)
_LONGEST_RUN: Final = 15 * 60.0
_STRIKES: Final = "cf_agents:oom_alarm_strikes"
_OWN: Final = "agent"
_OWN_ALARM: Final = "cf:alarm"

_CREATE: Final = """create table if not exists cf_agents_jobs (
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
) without rowid"""
_COLUMNS: Final = (
    "id, capability, fn, time, payload, retry_options, singleflight, hung_timeout_seconds, exclusive, recovery_loop, "
    "running, execution_started_at, created_at"
)
# The newer intent wins over what a run that is under way will return, hence running = 0.
_PUSH: Final = f"""insert into cf_agents_jobs ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, null, ?)
    on conflict (id) do update set
        fn = excluded.fn, time = excluded.time, payload = excluded.payload, retry_options = excluded.retry_options,
        singleflight = excluded.singleflight, hung_timeout_seconds = excluded.hung_timeout_seconds,
        exclusive = excluded.exclusive, recovery_loop = excluded.recovery_loop,
        running = 0, execution_started_at = null
    where capability = excluded.capability"""
# While something exclusive waits, nothing else is of interest.
_CANDIDATES: Final = "exclusive = (select max(exclusive) from cf_agents_jobs)"


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


JobHandler = Callable[[Job], Awaitable[datetime | None]]
"""Does a job. None: it is done. A time: run it again then."""

JobFailed = Callable[[Job, Exception], Awaitable[datetime | None]]
"""Is told of a job whose last attempt failed. None: forget it. A time: run it again then."""


class AlarmClock(Protocol):
    """Wakes the agent for its jobs."""

    def arm(self, when: datetime | None) -> None:
        """Wake the agent at ``when`` and not before, or not at all. From any thread of the agent."""
        ...


class ObjectAlarm:
    """The alarm of the agent's own object."""

    def __init__(self, alarm: AlarmSlot) -> None:
        self._alarm = alarm

    def arm(self, when: datetime | None) -> None:
        if when is None:
            self._alarm.delete()
        elif self._alarm.get() != when:
            self._alarm.set(when)


_runs_in_job: ContextVar[bool] = ContextVar("edgeagents_runs_in_job", default=False)


def runs_in_job() -> bool:
    """Return whether this runs in a job, or was started by one."""
    return _runs_in_job.get()


@contextmanager
def _in_job() -> Generator[None]:
    token = _runs_in_job.set(True)
    try:
        yield
    finally:
        _runs_in_job.reset(token)


@dataclass(frozen=True, slots=True)
class _Owner:
    run: JobHandler
    failed: JobFailed | None


class _TooLong(Exception):
    """A job ran for as long as an alarm may run."""


class Jobs:
    """The jobs of one agent. The table is made for the first of them; until then looking costs nothing to speak of."""

    def __init__(
        self,
        ctx: ObjectContext,
        *,
        acting: Acting,
        emit: Emit,
        alarm_clock: AlarmClock | None = None,
        has_own_alarm: bool = False,
        max_strikes: int = 3,
    ) -> None:
        self._ctx, self._acting, self._emit, self._max_strikes = ctx, acting, emit, max_strikes
        self._database = ctx.storage.database
        self._alarm_clock = alarm_clock or ObjectAlarm(ctx.storage.alarm)
        self._owners: dict[tuple[str, str | None], _Owner] = {}
        self._running: dict[str, datetime] = {}
        self._dead_man: datetime | None = None
        self._not_before: datetime | None = None
        self._is_closed = False
        self._has_own_alarm = has_own_alarm
        if has_own_alarm:
            ctx.storage.on_alarm_change = self._own_alarm_changed
            self.on(_OWN, "on_alarm", _nothing)

    # What capabilities use

    def on(self, capability: str, fn: str | None, handler: JobHandler, *, failed: JobFailed | None = None) -> None:
        """Have ``handler`` run the jobs of a capability that are called ``fn``; None: all that have no other handler.

        Register when the agent wakes, each time: only the names are kept. ``failed`` hears of a job whose last attempt
        failed; without it that is logged, and the job is forgotten.
        """
        self._owners[capability, fn] = _Owner(handler, failed)

    def push(
        self,
        capability: str,
        fn: str,
        payload: Any = None,
        *,
        due: datetime,
        id: str | None = None,
        retry: RetryOptions | None = None,
        singleflight: bool = False,
        hung_timeout_seconds: int | None = None,
        exclusive: bool = False,
        recovery_loop: bool = False,
    ) -> Job:
        """Do something at ``due``, or at once if that has passed. ``payload`` is any JSON value.

        A job with the same ``id`` is replaced; if it runs just now, what its run returns does not matter any more.
        ``singleflight``: skip it while it runs still. ``exclusive``: while it waits no other job runs.
        ``recovery_loop``: should it end the process again and again, run it ever later, and in the end no more.
        Raises ``AgentError`` for an id that is another capability's, TypeError or ValueError for a payload that is no
        JSON.
        """
        if self._is_closed:
            raise AgentError(f"The agent {self._ctx.id.name!r} is being destroyed, so it can do nothing later.")
        if not fn.strip():
            raise AgentError("Jobs require a non-empty fn")
        id = id or nanoid(self._ctx.rng)
        self._begin_table()
        self._write(
            _PUSH,
            id,
            capability,
            fn,
            to_ms(due),
            None if payload is None else encode(payload),
            None if retry is None else json.dumps(retry.to_json()),
            int(singleflight),
            hung_timeout_seconds,
            int(exclusive),
            int(recovery_loop),
            int(self._ctx.clock.now().timestamp()),
        )
        job = self.get(capability, id)
        if job is None:
            raise AgentError(f"The job id {id!r} belongs to another capability than {capability!r}.")
        self.rearm()
        return job

    def get(self, capability: str, id: str) -> Job | None:
        """Return a capability's job, or None."""
        rows = self._read(f"select {_COLUMNS} from cf_agents_jobs where id = ? and capability = ?", id, capability)
        return _job(rows[0]) if rows else None

    def list(self, capability: str, fn: str | None = None) -> list[Job]:
        """Return a capability's jobs, those called ``fn`` if given, in the order of time."""
        rows = self._read(
            f"select {_COLUMNS} from cf_agents_jobs where capability = ?1 and fn = coalesce(?2, fn) order by time, id",
            capability,
            fn,
        )
        return [_job(row) for row in rows]

    def remove(self, capability: str, id: str) -> bool:
        """Forget a capability's job; return whether there was such. A run that is under way goes on."""
        if self.get(capability, id) is None:
            return False
        self._write("delete from cf_agents_jobs where id = ?", id)
        self.rearm()
        return True

    @property
    def is_closed(self) -> bool:
        """Whether the agent is being destroyed, so that nothing is done later."""
        return self._is_closed

    # What the agent's life uses

    def rearm(self) -> None:
        """Set the alarm to when the next job is due."""
        if not self._is_closed and self._has_table():
            self._alarm_clock.arm(self.next_due())

    def next_due(self) -> datetime | None:
        """Return when the agent must wake for a job, or None. What is overdue is due now."""
        if self._dead_man is not None:
            return self._dead_man
        now = self._ctx.clock.now()
        running = self._running
        rows = self._read(
            f"select id, time from cf_agents_jobs where {_CANDIDATES} order by time limit ?", len(running) + 1
        )
        due = next((from_ms(time) for id, time in rows if id not in running), None)
        return None if due is None else max(due, now + timedelta(milliseconds=1), self._not_before or now)

    async def run_due(self) -> None:
        """Run what is due, one after another in the order of time, and set the alarm to what comes next.

        What is pushed meanwhile and due runs with the next alarm. Errors of jobs are theirs; none comes from here.
        """
        if self._is_closed or not self._has_table():
            return
        self._not_before = None
        now = to_ms(self._ctx.clock.now())
        due = self._read(
            f"select id, capability from cf_agents_jobs where time <= ? and {_CANDIDATES} order by time, id", now
        )
        if due:
            self._warn_of_backlog([capability for _, capability in due])
            with self._dispatching():
                await self._ctx.flushed()
                for id, _ in due:
                    # Looked at anew: what ran before may have replaced, moved or removed it, or keep it waiting.
                    rows = self._read(
                        f"select {_COLUMNS} from cf_agents_jobs where id = ? and time <= ? and {_CANDIDATES}", id, now
                    )
                    if rows and not await self._take(_job(rows[0]), was_running=bool(rows[0][10])):
                        break
        self.rearm()

    def own_alarm_failed(self) -> None:
        """``on_alarm`` failed: wake again soon, as an alarm does that nobody has set meanwhile."""
        if self._has_table() and self._read("select 1 from cf_agents_jobs limit 1"):
            self._not_before = None
            due = self.next_due()
            soon = self._ctx.clock.now() + _DEAD_MAN
            self._alarm_clock.arm(soon if due is None else min(due, soon))

    def close(self) -> None:
        """The agent is being destroyed: run nothing any more, and have no alarm."""
        self._is_closed = True
        self._alarm_clock.arm(None)

    @contextmanager
    def _dispatching(self) -> Generator[None]:
        # Should the process end in the midst of it: the agent wakes again, but not so soon that a job which ends the
        # process ends the next one as well before it is up.
        self._dead_man = self._ctx.clock.now() + _DEAD_MAN
        self.rearm()
        try:
            yield
        except BaseException:
            self._dead_man = None
            if self._ctx.is_alive:
                # The runtime stops: what is left is due when it starts again, not in a while.
                self.rearm()
            raise
        finally:
            self._dead_man = None

    async def _take(self, job: Job, *, was_running: bool) -> bool:
        """Run a due job unless it runs already; return whether to go on with the next."""
        if self._is_closed:
            return False
        now = self._ctx.clock.now()
        started = self._running.get(job.id)
        if started is not None:
            seconds = (now - started).total_seconds()
            if not job.singleflight or seconds < _hung_seconds(job):
                self._ctx.logger.warning("The job %s was skipped: it still runs.", _title(job))
                return True
            self._ctx.logger.warning("The job %s has run for %d s and is given up.", _title(job), seconds)
        elif was_running and job.recovery_loop and self._struck(job):
            return True
        self._running[job.id] = now
        self._write("update cf_agents_jobs set running = 1, execution_started_at = ? where id = ?", to_ms(now), job.id)
        try:
            if job.recovery_loop:
                await self._ctx.flushed()
            return await self._run(job)
        except BaseException:
            if not self._is_closed and self._ctx.is_alive:
                self._stop_running(job.id)
            raise
        finally:
            if self._running.get(job.id) == now:
                del self._running[job.id]

    async def _run(self, job: Job) -> bool:
        owner = self._owners.get((job.capability, job.fn)) or self._owners.get((job.capability, None))
        if owner is None:
            self._ctx.logger.error(
                "Nothing here does the job %s, so it was dropped. Is a capability of the agent missing?", _title(job)
            )
            self._end(job.id, None)
            return True
        slow = self._ctx.clock.call_later(_hung_seconds(job), lambda: self._warn_of_slowness(job))
        try:
            with self._acting(), _in_job():
                again = await self._limited(job, owner.run)
        except Exception as error:
            if not self._ctx.is_alive:
                raise
            if _is_passing(error):
                self._ctx.logger.warning(
                    "The job %s could not be run now and is tried again in %d s: %s",
                    _title(job),
                    _DEAD_MAN.total_seconds(),
                    error,
                )
                self._stop_running(job.id)
                self._not_before = self._ctx.clock.now() + _DEAD_MAN
                return False
            again = await self._failed(job, owner, error)
        else:
            if job.recovery_loop:
                self._clear_strikes()
        finally:
            slow.cancel()
        if not self._is_closed:
            self._end(job.id, again)
        return True

    async def _limited(self, job: Job, run: JobHandler) -> datetime | None:
        """Run a job with its attempts, but never for longer than an alarm may take: it would hold up all others."""
        task = asyncio.current_task()
        assert task is not None
        is_over = False

        def stop() -> None:
            nonlocal is_over
            is_over = True
            task.cancel()

        async def attempt(number: int) -> datetime | None:
            return await run(job if number == 1 else replace(job, attempt=number))

        limit = self._ctx.clock.call_later(_LONGEST_RUN, stop)
        try:
            return await try_up_to(
                attempt,
                job.retry or DEFAULT_RETRY,
                clock=self._ctx.clock,
                rng=self._ctx.rng,
                should_retry=lambda error, _: not self._is_closed,
            )
        except asyncio.CancelledError:
            if is_over and task.uncancel() == 0:
                raise _TooLong(f"It ran for {_LONGEST_RUN / 60:.0f} minutes and was stopped.") from None
            raise
        finally:
            limit.cancel()

    async def _failed(self, job: Job, owner: _Owner, error: Exception) -> datetime | None:
        if owner.failed is None:
            self._ctx.logger.error("The job %s failed and was dropped.", _title(job), exc_info=error)
            return None
        try:
            with self._acting():
                return await owner.failed(job, error)
        except Exception:
            self._ctx.logger.exception("The job %s failed, and so did what was to hear of it.", _title(job))
            return None

    def _end(self, id: str, again: datetime | None) -> None:
        # Only what still runs: a job that was pushed anew meanwhile is another one.
        if again is None:
            self._write("delete from cf_agents_jobs where id = ? and running = 1", id)
        else:
            self._write(
                "update cf_agents_jobs set time = ?, running = 0, execution_started_at = null "
                "where id = ? and running = 1",
                to_ms(again),
                id,
            )

    def _stop_running(self, id: str) -> None:
        self._write("update cf_agents_jobs set running = 0, execution_started_at = null where id = ?", id)

    # Jobs that end the process

    def _struck(self, job: Job) -> bool:
        """A job of a recovery loop was running when the process ended: run it, and all like it, later or no more."""
        kv = self._ctx.storage.kv
        strikes = (kv.get(_STRIKES) or 0) + 1
        is_sealed = strikes >= self._max_strikes
        self._ctx.logger.error(
            "The process ended while the job %s ran, for the %d. time of %d.%s",
            _title(job),
            strikes,
            self._max_strikes,
            " It and all jobs of recovery loops are dropped." if is_sealed else "",
        )
        if is_sealed:
            self._write("delete from cf_agents_jobs where recovery_loop = 1")
            kv.delete(_STRIKES)
        else:
            later = to_ms(self._ctx.clock.now() + timedelta(seconds=min(300, 30 * strikes)))
            self._write(
                "update cf_agents_jobs set time = ?1, running = 0, execution_started_at = null "
                "where recovery_loop = 1 and time <= ?1",
                later,
            )
            kv.put(_STRIKES, strikes)
        self._emit(
            "alarm:memory_limit_reset",
            strikes=strikes,
            limit=self._max_strikes,
            sealed=is_sealed,
            error=f"The process ended while the job {_title(job)} ran.",
        )
        return True

    def _clear_strikes(self) -> None:
        kv = self._ctx.storage.kv
        if kv.get(_STRIKES):
            kv.delete(_STRIKES)

    # The agent's own alarm

    def _own_alarm_changed(self) -> None:
        if self._is_closed or not self._has_table():
            return
        self._write("delete from cf_agents_jobs where id = ?", _OWN_ALARM)
        self._adopt_own_alarm()
        self.rearm()

    def _adopt_own_alarm(self) -> None:
        due = self._ctx.storage.alarm.get()
        if due is not None:
            self._write(_PUSH, _OWN_ALARM, _OWN, "on_alarm", to_ms(due), None, None, 0, None, 0, 0, 0)

    # Telling

    def _warn_of_backlog(self, capabilities: Sequence[str]) -> None:
        for capability, count in Counter(capabilities).items():
            if count >= _BACKLOG:
                self._ctx.logger.warning(
                    "%d jobs of %r are due at once. Were they meant to be one? Give it an id, or schedule it with "
                    "idempotent=True.",
                    count,
                    capability,
                )
                self._emit("job:backlog_warning", capability=capability, count=count)

    def _warn_of_slowness(self, job: Job) -> None:
        seconds = _hung_seconds(job)
        self._ctx.logger.warning(
            "The job %s has been running for %d s. All other jobs of this agent wait for it: let it start what takes "
            "long, with run_fiber() or ctx.spawn(), and return.",
            _title(job),
            seconds,
        )
        self._emit(
            "job:slow_dispatch",
            capability=job.capability,
            fn=job.fn,
            id=job.id,
            threshold_ms=round(seconds * 1000),
        )

    # Rows

    def _begin_table(self) -> None:
        if not self._has_table():
            self._database.execute(_CREATE)
            if self._has_own_alarm:
                self._adopt_own_alarm()

    def _has_table(self) -> bool:
        if not self._database.exists:
            return False
        # Asked each time, and answered from memory: storage.delete_all() takes the table away, a rollback too.
        return bool(self._database.fetch("select 1 from sqlite_master where name = 'cf_agents_jobs'"))

    def _read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        if not self._database.exists:
            return []
        try:
            return self._database.fetch(sql, parameters)
        except SqlError as error:
            if "no such table" in str(error):
                return []
            raise

    def _write(self, sql: str, *parameters: Any) -> None:
        self._database.fetch(sql, parameters)


async def _nothing(job: Job) -> None:
    # on_alarm() runs on each alarm, after the jobs.
    return None


def _hung_seconds(job: Job) -> float:
    return _HUNG_SECONDS if job.hung_timeout_seconds is None else job.hung_timeout_seconds


def _title(job: Job) -> str:
    return f"{job.capability}/{job.fn} {job.id}"


def _is_passing(error: BaseException) -> bool:
    """Whether an error is another object's or the platform's, which had to start anew, so that later all is well."""
    seen = 0
    cause: BaseException | None = error
    while cause is not None and seen < 8:
        if isinstance(cause, ObjectError) and cause.retryable and not cause.overloaded:
            return True
        cause, seen = cause.__cause__, seen + 1
    return False


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
