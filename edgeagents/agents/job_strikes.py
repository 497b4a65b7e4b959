"""Strikes: jobs of a recovery loop that end the process each time run ever later, and in the end no more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from edgeagents.agents.capability import Emit
from edgeagents.agents.job_table import Job, JobTable

if TYPE_CHECKING:
    from edgeagents.objects.context import ObjectContext

__all__ = ["Strikes"]

_KEY: Final = "cf_agents:oom_alarm_strikes"


class Strikes:
    """How often the process has ended while such a job ran. ``most`` is when none of them runs any more."""

    def __init__(self, ctx: ObjectContext, table: JobTable, emit: Emit, most: int) -> None:
        self._ctx, self._table, self._emit, self._most = ctx, table, emit, most

    def strike(self, job: Job) -> None:
        """The process ended while ``job`` ran: run it, and all like it, later or no more."""
        kv = self._ctx.storage.kv
        strikes = (kv.get(_KEY) or 0) + 1
        is_sealed = strikes >= self._most
        self._ctx.logger.error(
            "The process ended while the job %s ran, for the %d. time of %d.%s",
            job.title,
            strikes,
            self._most,
            " It and all jobs of recovery loops are dropped." if is_sealed else "",
        )
        if is_sealed:
            self._table.delete_recovery_loops()
            kv.delete(_KEY)
        else:
            self._table.delay_recovery_loops(self._ctx.clock.now() + timedelta(seconds=min(300, 30 * strikes)))
            kv.put(_KEY, strikes)
        self._emit(
            "alarm:memory_limit_reset",
            strikes=strikes,
            limit=self._most,
            sealed=is_sealed,
            error=f"The process ended while the job {job.title} ran.",
        )

    def clear(self) -> None:
        """Such a job has come to its end."""
        kv = self._ctx.storage.kv
        if kv.get(_KEY):
            kv.delete(_KEY)
