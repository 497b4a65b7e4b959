"""The end of an agent: everything is deleted, also when the process ends in the midst of it.

A mark is kept before anything else is touched. An agent that wakes and finds it deletes what is left before it starts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.jobs import Job, runs_in_job
from edgeagents.objects.alarm_index import to_ms

__all__ = ["Destruction"]

_PENDING: Final = "cf_agents_destroy_pending"
_CAPABILITY: Final = "host"
_ID: Final = "cf:destroy"
_DELAY: Final = timedelta(seconds=1)


class Destruction(Capability):
    """Destroys the agent, now or in a second. ``dispose`` lets go of what outlives its storage."""

    def __init__(self, host: CapabilityHost, dispose: Callable[[], Awaitable[None]]) -> None:
        super().__init__(host)
        self._dispose = dispose
        host.jobs.on(_CAPABILITY, "destroy", self._run)

    async def finish(self) -> None:
        """Delete what an earlier destruction has left, if there was one that came to no end. Before anything starts."""
        ctx = self.host.ctx
        pending = ctx.storage.kv.get(_PENDING) if ctx.storage.database.exists else None
        if pending is True or (pending is not None and pending <= to_ms(ctx.clock.now())):
            ctx.facets.delete_all()
            await ctx.storage.delete_all()
            self.host.emit("destroy")

    async def destroy(self) -> None:
        """Close all connections with 1001, delete everything that is stored, and leave memory."""
        if runs_in_job():
            # The job is to come to its end first, and whoever waits for it.
            self.later()
        else:
            await self._now()

    def later(self) -> None:
        """Destroy the agent in a second. Until then it goes on, but no other job runs."""
        ctx = self.host.ctx
        due = ctx.clock.now() + _DELAY
        ctx.storage.kv.put(_PENDING, to_ms(due))
        self.host.jobs.push(_CAPABILITY, "destroy", id=_ID, due=due, exclusive=True)

    async def _run(self, job: Job) -> datetime | None:
        await self._now()
        return None

    async def _now(self) -> None:
        ctx = self.host.ctx
        ctx.storage.kv.put(_PENDING, True)
        await ctx.flushed()
        self.host.jobs.close()
        await self._dispose()
        await ctx.storage.delete_all()
        self.host.emit("destroy")
        # In a task of its own, so that whoever asked for it still gets an answer.
        ctx.spawn(self._leave(), name="destroy")

    async def _leave(self) -> None:
        await self.host.ctx.flushed()
        self.host.ctx.abort("destroyed")
