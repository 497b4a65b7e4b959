"""Workflows: classes of Cloudflare's SDK, run by the workflow engine.

The engine knows a class with ``run(event, step)``, and steps that are done once. What the SDK's class is given looks
like JavaScript's; what its steps return is kept as plain data, as every step's result is.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from wrangler_compat.host.clone import from_data, to_data
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.entry import JsExecutionContext
from wrangler_compat.host.environment import js_env
from wrangler_compat.host.facade import from_js
from wrangler_compat.host.model.date import JsDate
from wrangler_compat.host.model.proxy import JsObject, JsProxy, properties
from wrangler_compat.host.rpc_errors import named_error
from wrangler_compat.host.running import run_for

__all__ = ["hosted_workflow"]


def hosted_workflow(cls: Any, worker: WorkerContext) -> type:
    """Return what the engine takes for a workflow in place of ``cls``, a class of the SDK's."""

    class Hosted(_HostedWorkflow):
        _cls, _worker = cls, worker

    Hosted.__name__ = Hosted.__qualname__ = cls.__name__
    return Hosted


class _HostedWorkflow:
    _cls: Any
    _worker: WorkerContext

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx, self.env = ctx, env

    async def run(self, event: Any, step: Any) -> Any:
        instance = self._cls(JsExecutionContext(self.ctx, self._worker), js_env(self.env, self._worker))
        given = JsObject(
            {
                "payload": from_data(event.payload),
                "timestamp": JsDate(event.timestamp),
                "instanceId": event.instance_id,
                "workflowName": event.workflow_name,
            }
        )
        result = await run_for(self._worker, instance.run, given, JsWorkflowStep(step, self._worker))
        return to_data(result)


class JsWorkflowStep(JsProxy):
    """``step``, as it is before the SDK wraps it."""

    _js_name = "WorkflowStep"

    def __init__(self, step: Any, worker: WorkerContext) -> None:
        self._step, self._worker = step, worker

    async def do(self, name: Any, config_or_callback: Any, callback: Any = None) -> Any:
        """Run a step and return what it has returned, now or in an earlier run."""
        config = None if callback is None else from_js(config_or_callback)
        function = self._in_worker(config_or_callback if callback is None else callback)
        try:
            return from_data(await self._step.run(name, config, function))
        except Exception as error:
            raise _step_error(error) from error

    def _in_worker(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        async def call(ctx: Any) -> Any:
            given = JsObject(
                {
                    "step": JsObject({"name": ctx.name, "count": ctx.count}),
                    "attempt": ctx.attempt,
                    "config": from_data(_plain(ctx.config)),
                }
            )
            return to_data(await run_for(self._worker, callback, given))

        return call

    async def sleep(self, name: Any, duration: Any) -> None:
        """Wait for a duration."""
        try:
            await self._step.sleep(name, duration)
        except Exception as error:
            raise _step_error(error) from error

    async def sleepUntil(self, name: Any, when: Any) -> None:
        """Wait until a time."""
        try:
            await self._step.sleep_until(name, from_js(when))
        except Exception as error:
            raise _step_error(error) from error

    async def waitForEvent(self, name: Any, options: Any = None) -> Any:
        """Return the next event of a type."""
        given = properties(options)
        try:
            event = await self._step.wait_for_event(name, given.get("type"), given.get("timeout") or "24 hours")
        except Exception as error:
            raise _step_error(error) from error
        return JsObject({"payload": from_data(event.payload), "timestamp": JsDate(event.timestamp), "type": event.type})


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _plain(value)
        if isinstance(value, Mapping)
        else value
        if isinstance(value, str | int | float | datetime | None)
        else str(value)
        for key, value in config.items()
    }


def _step_error(error: Exception) -> BaseException:
    """Return what a step's error is to JavaScript. The SDK knows Python's own kinds by a traceback's last line."""
    kind = getattr(error, "type_name", None) or type(error).__name__
    if isinstance(getattr(builtins, kind, None), type):
        return named_error("PythonError", f"Traceback (most recent call last):\n{kind}: {error}")
    return named_error(kind, str(error))
