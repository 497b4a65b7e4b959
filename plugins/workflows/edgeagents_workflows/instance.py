"""An instance of a workflow: a Durable Object with a journal and an alarm.

While its code is in memory an alarm is never far away, so that a process that dies is followed by one that goes on.
When the code stands at a wait for longer than objects stay in memory without anything to do, it is put aside, and the
alarm is what wakes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final

from edgeagents.errors import DataCloneError
from edgeagents.objects import DurableObject, ObjectContext, TimerHandle
from edgeagents.objects.alarm_index import from_ms, to_ms
from edgeagents.objects.values import decode, encode
from edgeagents.worker import ExecutionContext
from edgeagents_workflows.entrypoint import WorkflowEvent
from edgeagents_workflows.errors import (
    InstanceExists,
    InstanceNotFound,
    WorkflowError,
    WorkflowFatalError,
    describe,
    is_retryable,
)
from edgeagents_workflows.execution import LARGEST_VALUE, Execution, NotSerialisable
from edgeagents_workflows.journal import BaseStatus, InstanceRecord, Journal
from edgeagents_workflows.step import WorkflowStep

__all__ = ["WATCHDOG", "Definition", "InstanceObject"]

WATCHDOG: Final = timedelta(seconds=30)
"""How far away the alarm of an instance is at most while its code is in memory."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long an instance is kept after its end, in milliseconds; None is for ever."""

    success_ms: int | None = None
    error_ms: int | None = None


@dataclass(eq=False)
class Definition:
    """One workflow of a worker. ``name`` is what identifies it: its instances are found by it."""

    name: str
    cls: type
    step_limit: int
    retention: Retention
    running: set[InstanceObject] = field(default_factory=set["InstanceObject"])
    is_stopping: bool = False

    def stop(self) -> None:
        """Note no step any more: the runtime is about to cancel the code that runs."""
        self.is_stopping = True
        for instance in tuple(self.running):
            instance.put_aside()


class InstanceObject(DurableObject[Any]):
    """One instance. Its class is made for one workflow, with ``definition`` set."""

    definition: ClassVar[Definition]

    def __init__(self, ctx: ObjectContext, env: Any) -> None:
        super().__init__(ctx, env)
        self._journal = Journal(ctx.storage)
        self._execution: Execution | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle_timer: TimerHandle | None = None

    async def _edgeagents_activate(self, props: Mapping[str, Any] | None) -> None:
        record = self._journal.instance()
        if record is None:
            return
        if record.status == "waitingForPause":
            # The steps that it waited for ended with the process.
            self._journal.set_status("paused", paused_at=self._now())
        elif record.status in ("queued", "running") and not record.is_asleep:
            await self._begin(record)

    # What the binding calls

    async def create(self, params: Any, retention: Mapping[str, int | None]) -> None:
        """Begin. Raises ``InstanceExists`` when it has begun before."""
        if self._journal.instance() is not None:
            raise InstanceExists
        data = _encode(params, "The params of the instance")
        default = self.definition.retention
        self._journal.create(
            data,
            self._now(),
            retention.get("success_retention", default.success_ms),
            retention.get("error_retention", default.error_ms),
        )
        await self._begin(self._record())

    async def exists(self) -> bool:
        """Return whether there is such an instance."""
        return self._journal.instance() is not None

    async def status(self) -> dict[str, Any]:
        """Return where it stands: ``status``, ``output`` and ``error``."""
        record = self._record()
        status: str = record.status
        execution = self._execution
        if status == "running" and (record.is_asleep or (execution is not None and execution.is_waiting)):
            status = "waiting"
        error = None
        if record.error_name is not None:
            error = {"name": record.error_name, "message": record.error_message}
        output = None if record.output is None else decode(record.output)
        return {"status": status, "output": output, "error": error}

    async def pause(self) -> None:
        """Stop when the steps that run now have ended. Does nothing to an instance that does not run."""
        record = self._record()
        if record.status != "running":
            return
        self._journal.set_status("waitingForPause")
        execution = self._execution
        if execution is not None:
            execution.hold()
        if execution is None or not execution.active:
            await self._pause()

    async def resume(self) -> None:
        """Go on after a pause. What waited, waits for as long as was left."""
        record = self._record()
        if record.status == "waitingForPause":
            self._journal.set_status("running")
            if self._execution is not None:
                self._execution.let_go()
        elif record.status == "paused":
            if record.paused_at is not None:
                self._journal.postpone(self._now() - record.paused_at)
            await self._begin(record)

    async def terminate(self) -> None:
        """End it now. Raises ``WorkflowError`` when it has ended."""
        if self._record().is_final:
            raise WorkflowError("(instance.cannot_terminate) Cannot terminate instance since its on a finite state")
        self.put_aside()
        await self._end("terminated")

    async def restart(self) -> None:
        """Begin anew with the same params, whatever the state; what steps have done is forgotten."""
        self._record()
        self.put_aside()
        self._journal.restart()
        await self._begin(self._record())

    async def send_event(self, type: str, payload: Any) -> None:
        """Give an event to the step that waits for it, now or later. An instance that has ended takes none."""
        if self._record().is_final:
            return
        self._journal.add_event(type, _encode(payload, f"The payload of the event {type!r}"), self._now())
        if self._execution is not None:
            self._execution.offer(type)
        elif self._record().status == "running":
            await self._begin(self._record())

    async def delete(self) -> None:
        """End it and forget everything about it."""
        self._record()
        self.put_aside()
        await self._forget()

    async def alarm(self) -> None:
        """Go on with what is due."""
        record = self._journal.instance()
        if record is None or record.status == "paused":
            return
        if record.is_final:
            await self._forget()
        elif self._execution is None:
            await self._begin(record)
        else:
            self._execution.tick(self._now())
            await self._arm(self._execution)

    # The code

    async def _begin(self, record: InstanceRecord) -> None:
        if self.definition.is_stopping:
            return
        self._journal.set_status("running")
        execution = self._execution = Execution(
            self.ctx,
            self._journal,
            step_limit=self.definition.step_limit,
            changed=self._changed,
        )
        self.definition.running.add(self)
        self._task = self.ctx.spawn(self._run(execution, record), name="run")
        await self._arm(execution)

    async def _run(self, execution: Execution, record: InstanceRecord) -> None:
        event = WorkflowEvent(
            decode(record.params),
            from_ms(record.created_at),
            self.ctx.id.name or "",
            self.definition.name,
        )
        try:
            workflow = self.definition.cls(ExecutionContext(self.ctx.wait_until), self.env)
            # A host of foreign classes gives one that has only ``run``.
            code = getattr(workflow, "_edgeagents_execute", None) or workflow.run
            output = await execution.run(code(event, WorkflowStep(execution)))
            data = _encode(output, "The output of the instance")
        except asyncio.CancelledError as error:
            if execution.is_closed or _is_cancelled():
                return  # It was put aside.
            await self._fail(
                execution,
                WorkflowError(f"The code of the workflow was cancelled from within. {error}"),
            )
        except NotSerialisable as error:
            await self._fail(execution, WorkflowFatalError(str(error)))
        except Exception as error:
            await self._fail(execution, error)
        else:
            if not execution.is_closed:
                self.put_aside()
                await self._end("complete", output=data)

    async def _fail(self, execution: Execution, error: Exception) -> None:
        if execution.is_closed:
            return
        advice = "" if is_retryable(error) else " by a NonRetryableError"
        self.ctx.logger.error("The workflow %s was ended%s", self.ctx.id.name, advice, exc_info=error)
        self.put_aside()
        await self._end("errored", error=describe(error))

    async def _end(
        self,
        status: BaseStatus,
        *,
        output: bytes | None = None,
        error: tuple[str, str] | None = None,
    ) -> None:
        now = self._now()
        self._journal.end(status, now, output, error)
        record = self._record()
        kept_for = record.success_retention if status == "complete" else record.error_retention
        if kept_for is None:
            await self.ctx.storage.delete_alarm()
        else:
            await self.ctx.storage.set_alarm(from_ms(now + kept_for))

    async def _forget(self) -> None:
        await self.ctx.storage.delete_all()
        self._journal.forget()

    def put_aside(self) -> None:
        """Stop the code, if it runs. Steps that have ended are kept; what runs is made again when it goes on."""
        execution, self._execution = self._execution, None
        task, self._task = self._task, None
        self.definition.running.discard(self)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if execution is not None:
            execution.close()
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _pause(self) -> None:
        self._journal.set_status("paused", paused_at=self._now())
        self.put_aside()
        await self.ctx.storage.delete_alarm()

    # Waking

    async def _changed(self, execution: Execution) -> None:
        if execution.is_held and not execution.active:
            await self._pause()
            return
        await self._arm(execution)
        if self._idle_timer is None and execution.next_due is not None:
            self._idle_timer = self.ctx.clock.call_later(self.ctx.limits.idle_seconds, self._look)

    async def _arm(self, execution: Execution) -> None:
        wanted = from_ms(self._now()) + WATCHDOG
        if execution.next_due is not None:
            wanted = min(wanted, from_ms(execution.next_due))
        alarm = await self.ctx.storage.get_alarm()
        # One that is too early only looks: that is cheaper than to move it with each step.
        if alarm is None or wanted < alarm:
            await self.ctx.storage.set_alarm(wanted)

    def _look(self) -> None:
        self._idle_timer = None
        execution = self._execution
        if execution is None or execution.next_due is None:
            return
        if execution.is_idle and execution.next_due > self._now():
            self.ctx.spawn(self._fall_asleep(execution), name="fall asleep")

    async def _fall_asleep(self, execution: Execution) -> None:
        due = execution.next_due
        if execution is self._execution and execution.is_idle and due is not None:
            self._journal.fall_asleep()
            await self.ctx.storage.set_alarm(from_ms(due))
            self.put_aside()

    def _record(self) -> InstanceRecord:
        record = self._journal.instance()
        if record is None:
            raise InstanceNotFound
        return record

    def _now(self) -> int:
        return to_ms(self.ctx.clock.now())


def _encode(value: Any, what: str) -> bytes:
    try:
        data = encode(value)
    except DataCloneError as error:
        raise WorkflowFatalError(f"{what} cannot be kept. {error}") from error
    if len(data) > LARGEST_VALUE:
        raise WorkflowFatalError(f"{what} is too large. Maximum allowed size is 1MiB.")
    return data


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
