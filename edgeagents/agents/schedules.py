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
from edgeagents.agents.jobs import Job
from edgeagents.agents.protocol import encode
from edgeagents.agents.retries import RetryOptions
from edgeagents.errors import AgentError
from edgeagents.objects.records import record

__all__ = ["Schedule", "ScheduleCriteria", "ScheduleType", "Scheduler", "TimeRange"]

_CAPABILITY: Final = "scheduler"
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
        host.jobs.on(_CAPABILITY, None, self._run, failed=self._failed)

    async def schedule(
        self,
        when: datetime | timedelta | float | str,
        callback: Callback,
        payload: Any = None,
        *,
        retry: RetryOptions | Mapping[str, Any] | None = None,
        idempotent: bool | None = None,
    ) -> Schedule:
        """Have a method of the agent called as ``callback(payload, schedule)``, with as many arguments as it takes.

        ``when`` is a time, a number of seconds or a length of time from now, or a cron expression (in UTC, five fields
        or six with seconds first). ``payload`` is any JSON value. It is kept, and called at least once, also when
        the process ends meanwhile.

        A cron schedule that there is already, with the same payload, is returned instead, unless ``idempotent`` is
        False; others are when it is True. What fails is tried again as ``retry`` says or the agent's ``options`` do.
        """
        name = callback_name(self.host, callback, _UNKNOWN)
        options = RetryOptions.of(retry)
        options.check(self._retry)
        now = self.host.ctx.clock.now()
        timing: dict[str, Any]
        if isinstance(when, datetime):
            due, timing = when, {"type": "scheduled"}
        elif isinstance(when, str):
            due, timing = next_run(when, now), {"type": "cron", "cron": when}
        else:
            seconds = _seconds(when, name)
            due, timing = now + timedelta(seconds=seconds), {"type": "delayed", "delayInSeconds": seconds}
        if timing["type"] != "cron" and idempotent is None:
            self._warn_of_start(name)
        is_unique = idempotent is not False if timing["type"] == "cron" else bool(idempotent)
        return self._insert(due, name, payload, timing, None if retry is None else options, is_unique=is_unique)

    async def schedule_every(
        self,
        interval_seconds: float,
        callback: Callback,
        payload: Any = None,
        *,
        retry: RetryOptions | Mapping[str, Any] | None = None,
        idempotent: bool = True,
    ) -> Schedule:
        """Have a method of the agent called every so many seconds, at most 30 days, as ``callback(payload, schedule)``.

        The next time is counted from the end of the last: runs neither overlap nor are caught up with. The same
        method with the same interval and payload is one schedule, however often this is called, unless ``idempotent``
        is False.
        """
        if (
            isinstance(interval_seconds, bool)
            or not isinstance(interval_seconds, int | float)
            or not interval_seconds > 0
        ):
            raise AgentError("intervalSeconds must be a positive number")
        if interval_seconds > _LONGEST_INTERVAL:
            raise AgentError(f"intervalSeconds cannot exceed {_LONGEST_INTERVAL} seconds (30 days)")
        name = callback_name(self.host, callback, _UNKNOWN)
        options = RetryOptions.of(retry)
        options.check(self._retry)
        due = self.host.ctx.clock.now() + timedelta(seconds=interval_seconds)
        timing = {"type": "interval", "intervalSeconds": interval_seconds}
        return self._insert(due, name, payload, timing, None if retry is None else options, is_unique=idempotent)

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
    ) -> Schedule:
        jobs = self.host.jobs
        if is_unique:
            known = _form(payload)
            for job in jobs.list(_CAPABILITY, name):
                kept = job.payload
                if _form(kept["payload"]) == known and _identity(kept) == _identity(timing):
                    # Should the alarm have been lost.
                    jobs.rearm()
                    return _schedule(job)
        job = jobs.push(
            _CAPABILITY,
            name,
            {"payload": payload, "retry": None if retry is None else retry.to_json(), **timing},
            due=due,
            retry=(retry or self._retry).over(self._retry),
            singleflight=timing["type"] == "interval",
            hung_timeout_seconds=self.host.options.hung_schedule_timeout_seconds,
        )
        self.host.emit("schedule:create", callback=name, id=job.id)
        return _schedule(job)

    async def _run(self, job: Job) -> datetime | None:
        if job.attempt == 1:
            self.host.emit("schedule:execute", callback=job.fn, id=job.id)
        else:
            attempts = job.retry.max_attempts if job.retry else None
            self.host.emit("schedule:retry", callback=job.fn, id=job.id, attempt=job.attempt, max_attempts=attempts)
        await run_callback(self.host, job.fn, job.payload["payload"], _schedule(job))
        return self._next(job)

    async def _failed(self, job: Job, error: Exception) -> datetime | None:
        attempts = job.retry.max_attempts if job.retry else None
        self.host.ctx.logger.error("The schedule %s of %s() failed %s times.", job.id, job.fn, attempts, exc_info=error)
        self.host.emit("schedule:error", callback=job.fn, id=job.id, error=str(error), attempts=attempts)
        try:
            await self.host.report(error, None)
        except Exception:
            # It is logged already; a schedule that repeats goes on.
            pass
        return self._next(job)

    def _next(self, job: Job) -> datetime | None:
        now = self.host.ctx.clock.now()
        match job.payload["type"]:
            case "cron":
                # Not before what just ran: a clock that was set back meanwhile does not make it run twice.
                return next_run(job.payload["cron"], max(now, job.due))
            case "interval":
                return now + timedelta(seconds=job.payload["intervalSeconds"])
            case _:
                return None

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


def _form(payload: Any) -> str | None:
    return None if payload is None else encode(payload)


def _identity(timing: Mapping[str, Any]) -> tuple[Any, ...]:
    return timing["type"], timing.get("cron"), timing.get("intervalSeconds")


def _schedule(job: Job) -> Schedule:
    kept = job.payload
    return Schedule(
        job.id,
        job.fn,
        kept["payload"],
        kept["type"],
        math.floor(job.due.timestamp()),
        RetryOptions.from_json(kept["retry"]),
        kept.get("delayInSeconds"),
        kept.get("cron"),
        kept.get("intervalSeconds"),
    )
