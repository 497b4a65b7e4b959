"""Schedules: methods of an agent that are called at a time, after a while, by a cron expression or again and again.

Each schedule is a job. What it is beyond that, its kind above all, stands in the job's payload.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypedDict

from edgeagents.agents.callbacks import Callback, callback_name, run_callback
from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.cron import next_run
from edgeagents.agents.jobs import Job, once_id
from edgeagents.agents.protocol import encode
from edgeagents.agents.retries import RetryOptions
from edgeagents.agents.schedule_times import MISSED, Missed, left_out, next_time, put_right
from edgeagents.errors import AgentError
from edgeagents.objects.records import record
from edgeagents.own_errors import as_raised

__all__ = ["Schedule", "ScheduleCriteria", "ScheduleType", "Scheduler", "TimeRange"]

_CAPABILITY: Final = "scheduler"
_STEP: Final = timedelta(milliseconds=1)
_LONGEST_INTERVAL: Final = 30 * 24 * 60 * 60
_UNKNOWN: Final = 'Unknown scheduled callback "{}": not registered on this Scheduler'
_KINDS: Final = ("scheduled", "delayed", "cron", "interval")

ScheduleType = Literal["scheduled", "delayed", "cron", "interval"]


@record("schedule")
@dataclass(frozen=True, slots=True)
class Schedule:
    """When a method of an agent is called next, and with what. ``time`` is in seconds since 1970."""

    id: str
    callback: str
    payload: Any
    type: ScheduleType
    time: int
    retry: RetryOptions | None = None
    delay_in_seconds: float | None = None
    """For ``delayed``: the wait that was asked for."""
    cron: str | None = None
    interval_seconds: float | None = None

    @property
    def due(self) -> datetime:
        """``time`` as a datetime."""
        return datetime.fromtimestamp(self.time, UTC)

    def __json__(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"callback": self.callback, "id": self.id, "payload": self.payload}
        if self.retry is not None:
            shown["retry"] = self.retry
        match self.type:
            case "delayed":
                shown["delayInSeconds"] = self.delay_in_seconds
            case "cron":
                shown["cron"] = self.cron
            case "interval":
                shown["intervalSeconds"] = self.interval_seconds
            case _:
                pass
        return {**shown, "time": self.time, "type": self.type}


class TimeRange(TypedDict, total=False):
    """From ``start`` to ``end``, both included."""

    start: datetime
    end: datetime


class ScheduleCriteria(TypedDict, total=False):
    """Which schedules: all those that fit everything that is given."""

    id: str
    type: ScheduleType
    time_range: TimeRange


class Scheduler(Capability):
    """Calls methods of the agent later."""

    name = "scheduler"

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self._retry = host.options.retry_defaults
        self._warned: set[str] = set()
        self._counted: dict[str, datetime] = {}
        host.jobs.on(_CAPABILITY, None, self._run, failed=self._failed)

    async def schedule(
        self,
        when: datetime | timedelta | float | str,
        callback: Callback,
        payload: Any = None,
        *,
        retry: RetryOptions | Mapping[str, Any] | None = None,
        idempotent: bool | None = None,
        idempotency_key: str | None = None,
        missed: Missed = "once",
    ) -> Schedule:
        """Have a method of the agent called as ``callback(payload, schedule)``, with as many arguments as it takes.

        ``when`` is a time (a datetime with a time zone), a number of seconds or a length of time from now, or a cron
        expression (in UTC, five fields or six with seconds first). ``payload`` is any JSON value. It is kept, and
        called at least once, also when the process ends meanwhile.

        A cron schedule that there is already, with the same payload, is returned instead, unless ``idempotent`` is
        False; others are when it is True. What fails is tried again as ``retry`` says or the agent's ``options`` do.

        With an ``idempotency_key`` it has its effect on the agent's database exactly once: whoever schedules with the
        same key again, also 30 days after it was done, gets the same schedule and changes nothing; and all that the
        callback writes is kept together with the note that it is done, or not at all. Nothing else of the agent runs
        meanwhile, so the callback should be short, and call nobody who calls this agent.

        ``missed`` says what becomes of a cron schedule's runs whose time came while nothing could run: ``"once"`` runs
        once for all of them, ``"all"`` once for each of the last thousand, whose ``schedule.time`` tells which, and
        ``"skip"`` leaves out what cannot begin within a minute of its time.
        """
        name = callback_name(self.host, callback, _UNKNOWN)
        options = RetryOptions.of(retry)
        options.check(self._retry)
        now = self.host.ctx.clock.now()
        timing: dict[str, Any]
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise AgentError(
                    f"schedule() takes a datetime with a time zone, not {when!r}: datetime.now(UTC), or "
                    "when.astimezone() for one that is in local time."
                )
            due, timing = when, {"type": "scheduled"}
        elif isinstance(when, str):
            due, timing = next_run(when, now), {"type": "cron", "cron": when}
        else:
            seconds = _seconds(when, name)
            due, timing = now + timedelta(seconds=seconds), {"type": "delayed", "delayInSeconds": seconds}
        if timing["type"] != "cron" and idempotent is None:
            self._warn_of_start(name)
        is_unique = idempotent is not False if timing["type"] == "cron" else bool(idempotent)
        _note_missed(timing, missed)
        retries = None if retry is None else options
        return self._insert(due, name, payload, timing, retries, is_unique=is_unique, key=idempotency_key)

    async def schedule_every(
        self,
        interval_seconds: float,
        callback: Callback,
        payload: Any = None,
        *,
        retry: RetryOptions | Mapping[str, Any] | None = None,
        idempotent: bool = True,
        idempotency_key: str | None = None,
        missed: Missed = "once",
    ) -> Schedule:
        """Have a method of the agent called every so many seconds, at most 30 days, as ``callback(payload, schedule)``.

        The next time is counted from the end of the last: runs neither overlap nor are caught up with. The same
        method with the same interval and payload is one schedule, however often this is called, unless ``idempotent``
        is False.

        With ``missed="all"`` the next time is counted from the last one's own instead, and runs whose time has passed
        are made up for, the last thousand of them; with ``"skip"`` one that cannot begin within a minute of its time
        is left out. With an ``idempotency_key`` each run's effect on the agent's database is there once: see
        ``schedule``.
        """
        if (
            isinstance(interval_seconds, bool)
            or not isinstance(interval_seconds, int | float)
            or not interval_seconds > 0
        ):
            error = AgentError("intervalSeconds must be a positive number")
            error.add_note(f"In Python it is schedule_every(interval_seconds={interval_seconds!r}, ...).")
            raise error
        if interval_seconds > _LONGEST_INTERVAL:
            raise AgentError(f"intervalSeconds cannot exceed {_LONGEST_INTERVAL} seconds (30 days)")
        name = callback_name(self.host, callback, _UNKNOWN)
        options = RetryOptions.of(retry)
        options.check(self._retry)
        due = self.host.ctx.clock.now() + timedelta(seconds=interval_seconds)
        timing: dict[str, Any] = {"type": "interval", "intervalSeconds": interval_seconds}
        _note_missed(timing, missed)
        retries = None if retry is None else options
        return self._insert(due, name, payload, timing, retries, is_unique=idempotent, key=idempotency_key)

    def get_schedule(self, id: str) -> Schedule | None:
        """Return a schedule, or None."""
        job = self.host.jobs.get(_CAPABILITY, id)
        return None if job is None else _schedule(job)

    def get_schedules(self, criteria: ScheduleCriteria | None = None) -> list[Schedule]:
        """Return the schedules that fit ``criteria``, or all, in the order of their time."""
        criteria = criteria or {}
        between = criteria.get("time_range", {})
        start, end = between.get("start"), between.get("end")
        return [
            schedule
            for schedule in map(_schedule, self.host.jobs.list(_CAPABILITY))
            if criteria.get("id", schedule.id) == schedule.id
            and criteria.get("type", schedule.type) == schedule.type
            and (start is None or schedule.time >= math.floor(start.timestamp()))
            and (end is None or schedule.time <= math.floor(end.timestamp()))
        ]

    async def get_schedule_by_id(self, id: str) -> Schedule | None:
        """Return a schedule, or None."""
        return self.get_schedule(id)

    async def list_schedules(self, criteria: ScheduleCriteria | None = None) -> list[Schedule]:
        """Return the schedules that fit ``criteria``, or all, in the order of their time."""
        return self.get_schedules(criteria)

    async def cancel_schedule(self, id: str) -> bool:
        """Forget a schedule; return whether there was one. A call that is under way goes on."""
        job = self.host.jobs.get(_CAPABILITY, id)
        if job is None:
            return False
        self.host.jobs.remove(_CAPABILITY, id)
        self.host.emit("schedule:cancel", callback=job.fn, id=id)
        return True

    def _insert(
        self,
        due: datetime,
        name: str,
        payload: Any,
        timing: Mapping[str, Any],
        retry: RetryOptions | None,
        *,
        is_unique: bool,
        key: str | None,
    ) -> Schedule:
        jobs = self.host.jobs
        kept_payload = {"payload": payload, "retry": None if retry is None else retry.to_json(), **timing}
        if key is not None:
            known = jobs.find_once(_CAPABILITY, key)
            if isinstance(known, str):
                return _as_asked(known, name, kept_payload, due)
            if known is not None:
                return _schedule(known)
        elif is_unique:
            form = _form(payload)
            for job in jobs.list(_CAPABILITY, name):
                kept = job.payload
                if _form(kept["payload"]) == form and _identity(kept) == _identity(timing):
                    # Should the alarm have been lost.
                    jobs.rearm()
                    if kept.get("missed") != timing.get("missed"):
                        jobs.move(job, payload=kept_payload)
                    return _schedule(job)
        job = jobs.push(
            _CAPABILITY,
            name,
            kept_payload,
            id=None if key is None else once_id(_CAPABILITY, key),
            due=due,
            retry=(retry or self._retry).over(self._retry),
            singleflight=timing["type"] == "interval",
            hung_timeout_seconds=self.host.options.hung_schedule_timeout_seconds,
        )
        self.host.emit("schedule:create", callback=name, id=job.id)
        return _schedule(job)

    async def _run(self, job: Job) -> datetime | None:
        if job.attempt == 1:
            instead = self._left_out(job)
            if instead is not None:
                self.host.emit("schedule:missed", callback=job.fn, id=job.id, due=job.due.isoformat())
                return instead
            self.host.emit("schedule:execute", callback=job.fn, id=job.id)
        else:
            attempts = job.retry.max_attempts if job.retry else None
            self.host.emit("schedule:retry", callback=job.fn, id=job.id, attempt=job.attempt, max_attempts=attempts)
        await run_callback(self.host, job.fn, job.payload["payload"], _schedule(job))
        return self._next(job)

    def _left_out(self, job: Job) -> datetime | None:
        if job.payload.get("missed") is None or job.due <= self._counted.get(job.id, job.due - _STEP):
            return None
        now = self.host.ctx.clock.now()
        instead = left_out(job.payload, job.due, now)
        if job.payload["missed"] == "all":
            # What is made up for was counted: not anew for each of a thousand.
            self._counted[job.id] = now
        return instead

    async def _failed(self, job: Job, error: Exception) -> datetime | None:
        attempts = job.retry.max_attempts if job.retry else None
        self.host.ctx.logger.error(
            "%s: %s() failed %s times as the schedule %s",
            self.host.title,
            job.fn,
            attempts,
            job.id,
            exc_info=as_raised(error),
        )
        self.host.emit("schedule:error", callback=job.fn, id=job.id, error=str(error), attempts=attempts)
        try:
            await self.host.report(error, None)
        except Exception:
            # It is logged already; a schedule that repeats goes on.
            pass
        return self._next(job)

    def _next(self, job: Job) -> datetime | None:
        return next_time(job.payload, job.due, self.host.ctx.clock.now())

    def put_right(self) -> None:
        """The clock was set back: have what waits for a length of time wait no longer than that."""
        now = self.host.ctx.clock.now()
        for job in self.host.jobs.list(_CAPABILITY):
            due = put_right(job.payload, job.due, now)
            if due != job.due:
                self.host.jobs.move(job, due=due)

    def _warn_of_start(self, name: str) -> None:
        if not self.host.ctx.is_started and name not in self._warned:
            self._warned.add(name)
            self.host.ctx.logger.warning(
                "%s schedules %s() each time it wakes, so it is called more often each time. Give idempotent=True to "
                "schedule it once, or use schedule_every().",
                self.host.class_name,
                name,
            )


def _seconds(when: object, name: str) -> float:
    if isinstance(when, timedelta):
        return when.total_seconds()
    if isinstance(when, int | float) and not isinstance(when, bool) and math.isfinite(when):
        return when
    raise AgentError(f"Invalid schedule type: {when!r}({type(when).__name__}) trying to schedule {name}")


def _note_missed(timing: dict[str, Any], missed: str) -> None:
    if missed not in MISSED:
        raise AgentError(f"missed is one of {', '.join(map(repr, MISSED))}, not {missed!r}")
    if missed == "once":
        return
    if timing["type"] not in ("cron", "interval"):
        raise AgentError("missed is for schedules that repeat: one that runs once is run as soon as it can")
    timing["missed"] = missed


def _form(payload: Any) -> str | None:
    return None if payload is None else encode(payload)


def _identity(timing: Mapping[str, Any]) -> tuple[Any, ...]:
    return timing["type"], timing.get("cron"), timing.get("intervalSeconds")


def _schedule(job: Job) -> Schedule:
    return _as_asked(job.id, job.fn, job.payload, job.due)


def _as_asked(id: str, name: str, kept: Mapping[str, Any], due: datetime) -> Schedule:
    return Schedule(
        id,
        name,
        kept["payload"],
        kept["type"],
        math.floor(due.timestamp()),
        RetryOptions.from_json(kept["retry"]),
        kept.get("delayInSeconds"),
        kept.get("cron"),
        kept.get("intervalSeconds"),
    )
