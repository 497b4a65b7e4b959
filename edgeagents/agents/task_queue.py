"""The task queue: methods of an agent that are called soon, one after another, in the order in which they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from edgeagents.agents.callbacks import Callback, callback_name, run_callback
from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.job_table import ONCE
from edgeagents.agents.jobs import Job, once_id
from edgeagents.agents.retries import RetryOptions
from edgeagents.errors import AgentError
from edgeagents.objects.alarm_index import to_ms
from edgeagents.objects.records import record
from edgeagents.own_errors import as_raised

__all__ = ["QueueItem", "TaskQueue"]

_CAPABILITY: Final = "queue"
_STEP: Final = timedelta(milliseconds=1)


@record("queue item")
@dataclass(frozen=True, slots=True)
class QueueItem:
    """A task that waits or runs."""

    id: str
    callback: str
    payload: Any
    created_at: datetime
    retry: RetryOptions | None = None

    def __json__(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": self.id, "callback": self.callback, "payload": self.payload}
        shown["createdAt"] = to_ms(self.created_at)
        if self.retry is not None:
            shown["retry"] = self.retry
        return shown


class TaskQueue(Capability):
    """Calls methods of the agent soon."""

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self._retry = host.options.retry_defaults
        self._last: datetime | None = None
        host.jobs.on(_CAPABILITY, None, self._run, failed=self._failed)

    async def queue(
        self,
        callback: Callback,
        payload: Any = None,
        *,
        id: str | None = None,
        idempotency_key: str | None = None,
        retry: RetryOptions | Mapping[str, Any] | None = None,
    ) -> str:
        """Have a method of the agent called as ``callback(payload, item)`` after all that are queued; return its id.

        It is called at least once, also when the process ends meanwhile, with as many arguments as it takes. A task
        with the same ``id`` that still waits is replaced where it stands. What fails is tried again as ``retry`` says
        or the agent's ``options`` do, and then dropped.

        With an ``idempotency_key`` it has its effect on the agent's database once: see ``schedule``.
        """
        name = callback_name(self.host, callback, "this.{} is not a function")
        options = RetryOptions.of(retry)
        options.check(self._retry)
        if id is not None and not id.strip():
            raise AgentError("Queue item ids must be non-empty")
        if idempotency_key is not None:
            if id is not None:
                raise AgentError("A task has an id or an idempotency_key, not both")
            known = self.host.jobs.find_once(_CAPABILITY, idempotency_key)
            if known is not None:
                return known if isinstance(known, str) else known.id
            id = once_id(_CAPABILITY, idempotency_key)
        elif id is not None and id.startswith(ONCE):
            raise AgentError(f"Queue item ids that begin with {ONCE!r} are those of idempotency keys")
        waiting = self.host.jobs.get(_CAPABILITY, id) if id is not None else None
        job = self.host.jobs.push(
            _CAPABILITY,
            name,
            {"payload": payload},
            id=id,
            due=self._end() if waiting is None else waiting.due,
            retry=options.over(self._retry),
        )
        self.host.emit("queue:create", callback=name, id=job.id)
        return job.id

    async def dequeue(self, id: str) -> bool:
        """Forget a task; return whether there was one. A call that is under way goes on."""
        return self.host.jobs.remove(_CAPABILITY, id)

    async def dequeue_all(self) -> int:
        """Forget all tasks; return how many there were."""
        return self._remove(None)

    async def dequeue_all_by_callback(self, callback: Callback) -> int:
        """Forget all calls of a method; return how many there were."""
        return self._remove(callback if isinstance(callback, str) else callback.__name__)

    async def get_queue(self, id: str) -> QueueItem | None:
        """Return a task, or None."""
        job = self.host.jobs.get(_CAPABILITY, id)
        return None if job is None else _item(job)

    async def get_queues(self, key: str, value: Any) -> list[QueueItem]:
        """Return the tasks whose payload is an object with ``value`` under ``key``, in their order."""
        items = map(_item, self.host.jobs.list(_CAPABILITY))
        return [
            item
            for item in items
            if isinstance(item.payload, dict) and key in item.payload and item.payload[key] == value
        ]

    def _end(self) -> datetime:
        """The time of a task that comes after all others: each is due a millisecond later than the one before."""
        if self._last is None:
            waiting = self.host.jobs.list(_CAPABILITY)
            self._last = waiting[-1].due if waiting else None
        now = self.host.ctx.clock.now()
        # In whole milliseconds, as jobs are kept.
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last = now if self._last is None else max(now, self._last + _STEP)
        return self._last

    def _remove(self, callback: str | None) -> int:
        jobs = self.host.jobs.list(_CAPABILITY, callback)
        return sum(self.host.jobs.remove(_CAPABILITY, job.id) for job in jobs)

    async def _run(self, job: Job) -> None:
        if job.attempt > 1:
            attempts = job.retry.max_attempts if job.retry else None
            self.host.emit("queue:retry", callback=job.fn, id=job.id, attempt=job.attempt, max_attempts=attempts)
        await run_callback(self.host, job.fn, job.payload["payload"], _item(job))

    async def _failed(self, job: Job, error: Exception) -> None:
        attempts = job.retry.max_attempts if job.retry else None
        self.host.ctx.logger.error(
            "%s: %s() failed %s times as the task %s",
            self.host.title,
            job.fn,
            attempts,
            job.id,
            exc_info=as_raised(error),
        )
        self.host.emit("queue:error", callback=job.fn, id=job.id, error=str(error), attempts=attempts)
        try:
            await self.host.report(error, None)
        except Exception:
            # It is logged already, and the next task is to run.
            pass


def _item(job: Job) -> QueueItem:
    return QueueItem(job.id, job.fn, job.payload["payload"], job.created_at, job.retry)
