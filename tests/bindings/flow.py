"""A workflow whose params say what it does, as the one in record.mjs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from edgeagents_workflows import NonRetryableError, WorkflowEntrypoint, WorkflowEvent, WorkflowStep

from edgeagents.errors import RemoteError
from wrangler_compat.host.model.proxy import JsObject, jsnull

__all__ = ["Flow", "until"]


class Error(Exception):
    """What JavaScript calls an error."""


class Flow(WorkflowEntrypoint):
    async def run(self, event: WorkflowEvent[Any], step: WorkflowStep) -> list[Any]:
        made: list[Any] = []
        for op in event.payload.get("program", ()) if isinstance(event.payload, dict) else ():
            try:
                made.append(await self.one(op, event, step))
            except Exception as error:
                if not op.get("caught"):
                    raise
                name = error.type_name if isinstance(error, RemoteError) else type(error).__name__
                made.append(f"{name}: {error}" if str(error) else name)
        return made

    async def one(self, op: dict[str, Any], event: WorkflowEvent[Any], step: WorkflowStep) -> Any:
        match op["op"]:
            case "event":
                return {"instanceId": event.instance_id, "isDate": isinstance(event.timestamp, datetime)}
            case "sleep":
                await step.sleep(op["name"], op["for"])
                return "slept"
            case "until":
                await step.sleep_until(op["name"], datetime.now().timestamp() * 1000 + op["ms"])
                return "slept"
            case "wait":
                found = await step.wait_for_event(op["name"], op["type"], op.get("timeout"))
                told = {"payload": found.payload, "type": found.type}
                return {name: value for name, value in told.items() if value is not None}
            case "throw":
                raise Error(op["message"])

        async def work(ctx: Any) -> Any:
            if ctx.attempt <= op.get("fails", 0):
                raise Error(op.get("message", "no"))
            if "final" in op:
                raise NonRetryableError(op["final"])
            if op.get("hangs"):
                await asyncio.Event().wait()
            if op.get("context"):
                return {"step": {"name": ctx.name, "count": ctx.count}, "attempt": ctx.attempt}
            return (lambda: 1) if op.get("code") else op.get("value")

        if "config" in op:
            return await step.do(op["name"], op["config"], work)
        return await step.do(op["name"], work)


async def until(instance: Any, wanted: str) -> Any:
    """Wait until a workflow's instance has a status, and return what it tells."""
    for _ in range(1000):
        told = await instance.status()
        if told.status == wanted:
            break
        await asyncio.sleep(0.005)
    return JsObject(
        {"status": told.status, "output": jsnull if wanted == "waiting" else told.output, "error": told.error}
    )
