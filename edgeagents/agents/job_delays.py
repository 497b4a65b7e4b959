"""Delays: jobs that could not be run, because something else had to start anew, run later, and others go on.

Each time it is later, from half a minute to a quarter of an hour; ten times, and then such an error counts as any
other. How often a job was put off is kept, so that a restart does not begin anew. A job stays as due as it was: what
is done with missed runs goes by that.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from edgeagents.objects.alarm_index import from_ms, to_ms

if TYPE_CHECKING:
    from edgeagents.agents.job_table import JobTable
    from edgeagents.objects.context import ObjectContext

__all__ = ["FIRST_DELAY", "LONGEST_DELAY", "MOST_DELAYS", "Delays"]

FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(minutes=15)
MOST_DELAYS: Final = 10
_KEY: Final = "cf_agents:delayed_jobs"


class Delays:
    """The jobs of one agent that were put off. Without any it is a look at an empty dict."""

    def __init__(self, ctx: ObjectContext, table: JobTable) -> None:
        self._ctx, self._table = ctx, table
        self._delays: dict[str, tuple[int, int]] | None = None

    def put_off(self, job_id: str) -> timedelta | None:
        """Put a job off and return for how long; None when it was put off too often."""
        delays = self._all()
        count = delays.get(job_id, (0, 0))[0] + 1
        if count > MOST_DELAYS:
            return None
        delay = min(FIRST_DELAY * 2 ** (count - 1), LONGEST_DELAY)
        delays[job_id] = (count, to_ms(self._ctx.clock.now() + delay))
        self._keep()
        return delay

    def forget(self, job_id: str) -> None:
        """A job was run, was replaced, or is no more."""
        if self._all().pop(job_id, None) is not None:
            self._keep()

    def is_put_off(self, job_id: str, now: int) -> bool:
        """Whether a job is not to be run at ``now``."""
        return now < self._all().get(job_id, (0, 0))[1]

    def waiting(self, now: int) -> Collection[str]:
        """Return the ids of the jobs that are not to be run at ``now``."""
        return [id for id, (_, until) in self._all().items() if now < until]

    def soonest(self, now: int) -> datetime | None:
        """Return when the first of those that wait is to be run."""
        times = [until for id, (_, until) in self._all().items() if now < until and self._table.candidate(id, until)]
        return from_ms(min(times)) if times else None

    def _all(self) -> dict[str, tuple[int, int]]:
        if self._delays is None:
            kept = self._ctx.storage.kv.get(_KEY) or {}
            self._delays = {id: (count, until) for id, (count, until) in kept.items()}
        return self._delays

    def _keep(self) -> None:
        kv, delays = self._ctx.storage.kv, self._all()
        if delays:
            kv.put(_KEY, {id: [count, until] for id, (count, until) in delays.items()})
        else:
            kv.delete(_KEY)
