"""Running jobs: what is due, one after another in the order of time, each at least once.

A row is deleted when its run has ended, so one that the process did not survive runs again. A job with an idempotency
key runs in a transaction with that deletion: what it writes is kept with the note that it is done, or not at all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from edgeagents.agents.capability import Acting, Emit
from edgeagents.agents.job_delays import Delays
from edgeagents.agents.job_strikes import Strikes
from edgeagents.agents.job_table import Job, JobTable
from edgeagents.agents.retries import DEFAULT_RETRY, try_up_to
from edgeagents.errors import ObjectError
from edgeagents.own_errors import as_raised

if TYPE_CHECKING:
    from edgeagents.objects.context import ObjectContext

__all__ = ["DEAD_MAN", "JobFailed", "JobHandler", "JobRunner", "runs_in_job"]

DEAD_MAN: Final = timedelta(seconds=30)
"""How long after a run that ended the process the next one begins."""

_HUNG_SECONDS: Final = 30
_BACKLOG: Final = 10
_LONGEST_RUN: Final = 15 * 60.0
_IN_A_ROW: Final = 50
_KEYS_KEPT: Final = timedelta(days=30)

JobHandler = Callable[[Job], Awaitable[datetime | None]]
"""Does a job. None: it is done. A time: run it again then."""

JobFailed = Callable[[Job, Exception], Awaitable[datetime | None]]
"""Is told of a job whose last attempt failed. None: forget it. A time: run it again then."""

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


class _ATurn:
    """Awaited, it lets everything else that is ready run first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class _TooLong(Exception):
    """A job ran for as long as an alarm may run."""


class JobRunner:
    """Runs the jobs of one agent by the handlers of their capabilities."""

    def __init__(
        self,
        ctx: ObjectContext,
        table: JobTable,
        *,
        acting: Acting,
        emit: Emit,
        max_strikes: int,
    ) -> None:
        self._ctx, self._table, self._acting, self._emit = ctx, table, acting, emit
        self._strikes = Strikes(ctx, table, emit, max_strikes)
        self._owners: dict[tuple[str, str | None], _Owner] = {}
        self.running: dict[str, datetime] = {}
        """The jobs that run, each with when it began."""
        self.delays = Delays(ctx, table)
        """The jobs that could not be run just now, each with when it is to be run."""
        self.is_closed = False

    def on(self, capability: str, fn: str | None, handler: JobHandler, failed: JobFailed | None) -> None:
        """Have ``handler`` run the jobs of a capability that are called ``fn``; None: all without another handler."""
        self._owners[capability, fn] = _Owner(handler, failed)

    async def run(self, due: Sequence[tuple[str, str]], now: int) -> None:
        """Run the jobs with these ids, as far as they may still run at ``now``."""
        self._warn_of_backlog([capability for _, capability in due])
        await self._ctx.flushed()
        for position, (id, _) in enumerate(due, 1):
            if position % _IN_A_ROW == 0:
                # What was done is kept, and whoever else waits for the agent, or for the event loop, has a turn.
                await self._ctx.flushed()
                await _ATurn()
            if self.delays.is_put_off(id, now):
                continue
            # Looked at anew: what ran before may have replaced, moved or removed it, or keep it waiting.
            found = self._table.candidate(id, now)
            if found is not None and not await self._take(*found):
                break

    async def _take(self, job: Job, was_running: bool) -> bool:
        """Run a due job unless it runs already; return whether to go on with the next."""
        if self.is_closed:
            return False
        now = self._ctx.clock.now()
        started = self.running.get(job.id)
        if started is not None:
            seconds = (now - started).total_seconds()
            if not job.singleflight or seconds < _hung_seconds(job):
                self._ctx.logger.warning("The job %s was skipped: it still runs.", job.title)
                return True
            self._ctx.logger.warning("The job %s has run for %d s and is given up.", job.title, seconds)
        elif was_running and job.recovery_loop:
            self._strikes.strike(job)
            return True
        self.running[job.id] = now
        self._table.begin_run(job.id, now)
        try:
            if job.recovery_loop:
                await self._ctx.flushed()
            return await self._run(job)
        except BaseException:
            if not self.is_closed and self._ctx.is_alive:
                self._table.break_off_run(job.id)
            raise
        finally:
            if self.running.get(job.id) == now:
                del self.running[job.id]

    async def _run(self, job: Job) -> bool:
        owner = self._owners.get((job.capability, job.fn)) or self._owners.get((job.capability, None))
        if owner is None:
            self._ctx.logger.error(
                "Nothing here does the job %s, so it was dropped. Is a capability of the agent missing?", job.title
            )
            self._table.end_run(job.id, None)
            return True
        slow = self._ctx.clock.call_later(_hung_seconds(job), lambda: self._warn_of_slowness(job))
        try:
            with self._acting(), _in_job():
                again = await self._limited(job, owner.run)
        except Exception as error:
            if not self._ctx.is_alive:
                raise
            if _is_passing(error) and not self.is_closed:
                delay = self.delays.put_off(job.id)
                if delay is not None:
                    self._ctx.logger.warning(
                        "The job %s could not be run now and is tried again in %d s: %s",
                        job.title,
                        delay.total_seconds(),
                        error,
                    )
                    self._table.break_off_run(job.id)
                    return True
            again = await self._failed(job, owner, error)
        else:
            if job.recovery_loop:
                self._strikes.clear()
        finally:
            slow.cancel()
        if not self.is_closed:
            self._table.end_run(job.id, again)
            self.delays.forget(job.id)
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
            this = job if number == 1 else replace(job, attempt=number)
            return await (self._once(this, run) if job.is_once else run(this))

        limit = self._ctx.clock.call_later(_LONGEST_RUN, stop)
        try:
            return await try_up_to(
                attempt,
                job.retry or DEFAULT_RETRY,
                clock=self._ctx.clock,
                rng=self._ctx.rng,
                should_retry=lambda error, _: not self.is_closed,
            )
        except asyncio.CancelledError:
            if is_over and task.uncancel() == 0:
                raise _TooLong(f"It ran for {_LONGEST_RUN / 60:.0f} minutes and was stopped.") from None
            raise
        finally:
            limit.cancel()

    async def _once(self, job: Job, run: JobHandler) -> datetime | None:
        """Run a job such that all it writes is kept together with its end."""

        async def run_and_end(_: object) -> datetime | None:
            again = await run(job)
            if not self.is_closed:
                self._table.end_run(job.id, again)
                if again is None:
                    now = self._ctx.clock.now()
                    self._table.note_done(job.id, now, now - _KEYS_KEPT)
            return again

        # How long it may take is limited as that of any job.
        return await self._ctx.storage.transaction(run_and_end, is_limited=False)

    async def _failed(self, job: Job, owner: _Owner, error: Exception) -> datetime | None:
        if owner.failed is None:
            self._ctx.logger.error("The job %s failed and was dropped.", job.title, exc_info=as_raised(error))
            return None
        try:
            with self._acting():
                return await owner.failed(job, error)
        except Exception:
            self._ctx.logger.exception("The job %s failed, and so did what was to hear of it.", job.title)
            return None

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
            job.title,
            seconds,
        )
        self._emit(
            "job:slow_dispatch",
            capability=job.capability,
            fn=job.fn,
            id=job.id,
            threshold_ms=round(seconds * 1000),
        )


def _hung_seconds(job: Job) -> float:
    return _HUNG_SECONDS if job.hung_timeout_seconds is None else job.hung_timeout_seconds


def _is_passing(error: BaseException) -> bool:
    """Whether an error is another object's or the platform's, which had to start anew, so that later all is well."""
    seen = 0
    cause: BaseException | None = error
    while cause is not None and seen < 8:
        if isinstance(cause, ObjectError) and cause.retryable and not cause.overloaded:
            return True
        cause, seen = cause.__cause__, seen + 1
    return False
