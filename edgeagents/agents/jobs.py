"""Jobs: what an agent does later, in one table and on the one alarm of its object.

Schedules, the task queue, heartbeats and everything else that is due at a time is a row of ``cf_agents_jobs``: which
capability's, which function of it, when, and with what. The alarm is set to the earliest of them. How the rows are kept
stands in ``job_table``, what happens when the alarm goes off in ``job_runner``.

An agent's own alarm, set with ``ctx.storage.set_alarm``, becomes a row too as soon as there is a table, so neither
takes the alarm away from the other.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from edgeagents.agents.capability import Acting, Emit
from edgeagents.agents.job_runner import DEAD_MAN, JobFailed, JobHandler, JobRunner, runs_in_job
from edgeagents.agents.job_table import ONCE, Job, JobTable
from edgeagents.agents.retries import RetryOptions
from edgeagents.errors import AgentError
from edgeagents.objects.alarm_index import to_ms
from edgeagents.objects.ids import nanoid

if TYPE_CHECKING:
    from edgeagents.objects.alarms import AlarmSlot
    from edgeagents.objects.context import ObjectContext

__all__ = [
    "AlarmClock",
    "Job",
    "JobFailed",
    "JobHandler",
    "Jobs",
    "ObjectAlarm",
    "once_id",
    "runs_in_job",
]

_OWN: Final = "agent"
_OWN_ALARM: Final = "cf:alarm"


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
        self._ctx = ctx
        self._table = JobTable(ctx.storage.database)
        self._runner = JobRunner(ctx, self._table, acting=acting, emit=emit, max_strikes=max_strikes)
        self._alarm_clock = alarm_clock or ObjectAlarm(ctx.storage.alarm)
        self._dead_man: datetime | None = None
        self._is_begun = False
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
        self._runner.on(capability, fn, handler, failed)

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
        if self.is_closed:
            raise AgentError(f"The agent {self._ctx.id.name!r} is being destroyed, so it can do nothing later.")
        if not fn.strip():
            raise AgentError("Jobs require a non-empty fn")
        id = id or nanoid(self._ctx.rng)
        self._begin_table()
        now = self._ctx.clock.now()
        self._table.put(
            Job(
                id,
                capability,
                fn,
                due,
                payload,
                retry,
                singleflight,
                hung_timeout_seconds,
                exclusive,
                recovery_loop,
                created_at=now,
            )
        )
        job = self.get(capability, id)
        if job is None:
            raise AgentError(f"The job id {id!r} belongs to another capability than {capability!r}.")
        self._runner.delays.forget(id)
        self.rearm()
        return job

    def find_once(self, capability: str, key: str) -> Job | str | None:
        """Return what there is under an idempotency key: the job, its id when it is done, or None.

        A key that is done is remembered for 30 days.
        """
        id = once_id(capability, key)
        return self.get(capability, id) or (id if self._table.is_done(id) else None)

    def move(self, job: Job, *, due: datetime | None = None, payload: Any = None) -> None:
        """Have a job at another time, or with another payload, unless it runs just now."""
        self._table.move(job.id, job.due if due is None else due, job.payload if payload is None else payload)
        if due is not None:
            self._runner.delays.forget(job.id)
        self.rearm()

    def get(self, capability: str, id: str) -> Job | None:
        """Return a capability's job, or None."""
        return self._table.get(capability, id)

    def list(self, capability: str, fn: str | None = None) -> list[Job]:
        """Return a capability's jobs, those called ``fn`` if given, in the order of time."""
        return self._table.list(capability, fn)

    def remove(self, capability: str, id: str) -> bool:
        """Forget a capability's job; return whether there was such. A run that is under way goes on."""
        if self.get(capability, id) is None:
            return False
        self._table.delete(id)
        self._runner.delays.forget(id)
        self.rearm()
        return True

    @property
    def is_closed(self) -> bool:
        """Whether the agent is being destroyed, so that nothing is done later."""
        return self._runner.is_closed

    # What the agent's life uses

    def rearm(self) -> None:
        """Set the alarm to when the next job is due."""
        if not self.is_closed and self._table.is_there:
            self._alarm_clock.arm(self.next_due())

    def next_due(self) -> datetime | None:
        """Return when the agent must wake for a job, or None. What is overdue is due now."""
        if self._dead_man is not None:
            return self._dead_man
        now = self._ctx.clock.now()
        delays = self._runner.delays
        due = self._table.soonest({*self._runner.running, *delays.waiting(to_ms(now))})
        later = delays.soonest(to_ms(now))
        times = [time for time in (due, later) if time is not None]
        return max(min(times), now + timedelta(milliseconds=1)) if times else None

    async def run_due(self) -> None:
        """Run what is due, one after another in the order of time, and set the alarm to what comes next.

        What is pushed meanwhile and due runs with the next alarm. Errors of jobs are theirs; none comes from here.
        """
        if self.is_closed or not self._table.is_there:
            return
        now = to_ms(self._ctx.clock.now())
        due = self._table.due(now)
        if due:
            with self._dispatching():
                await self._runner.run(due, now)
        self.rearm()

    def own_alarm_failed(self) -> None:
        """``on_alarm`` failed: wake again soon, as an alarm does that nobody has set meanwhile."""
        if self._table.is_there and not self._table.is_empty:
            due = self.next_due()
            soon = self._ctx.clock.now() + DEAD_MAN
            self._alarm_clock.arm(soon if due is None else min(due, soon))

    def close(self) -> None:
        """The agent is being destroyed: run nothing any more, and have no alarm."""
        self._runner.is_closed = True
        self._alarm_clock.arm(None)

    @contextmanager
    def _dispatching(self) -> Generator[None]:
        # Should the process end in the midst of it: the agent wakes again, but not so soon that a job which ends the
        # process ends the next one as well before it is up.
        self._dead_man = self._ctx.clock.now() + DEAD_MAN
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

    def _begin_table(self) -> None:
        if not self._table.is_there:
            self._table.begin()
            if self._has_own_alarm:
                self._adopt_own_alarm()
        elif not self._is_begun:
            # One that an earlier release has made lacks what came later.
            self._table.begin()
        self._is_begun = True

    # The agent's own alarm

    def _own_alarm_changed(self) -> None:
        if self.is_closed or not self._table.is_there:
            return
        self._table.delete(_OWN_ALARM)
        self._adopt_own_alarm()
        self.rearm()

    def _adopt_own_alarm(self) -> None:
        due = self._ctx.storage.alarm.get()
        if due is not None:
            epoch = datetime.fromtimestamp(0, UTC)
            self._table.put(
                Job(_OWN_ALARM, _OWN, "on_alarm", due, None, None, False, None, False, False, created_at=epoch)
            )


def once_id(capability: str, key: str) -> str:
    """Return the id of the job under an idempotency key of a capability. Raises ``AgentError`` for a blank key."""
    if not key.strip():
        raise AgentError("idempotency_key must not be blank")
    return f"{ONCE}{capability}:{key}"


async def _nothing(job: Job) -> None:
    # on_alarm() runs on each alarm, after the jobs.
    return None
