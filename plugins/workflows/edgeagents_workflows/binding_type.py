"""The binding type ``workflow``: from a class of the worker to ``env.MY_WORKFLOW``, and what goes on at a start."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.objects.spellings import did_you_mean
from edgeagents_workflows.binding import Workflow, retention_ms
from edgeagents_workflows.instance import (
    WATCHDOG,
    Definition,
    InstanceObject,
    Retention,
)

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["Resumption", "WorkflowType"]

_STEPS: Final = 1024
_NOT_YET: Final = ("concurrency", "schedules")

_log = logging.getLogger("edgeagents.workflows")


class WorkflowType:
    """``workflow``: the instances of a class with an async ``run(event, step)``.

    Options: ``name``, what its instances are found by, and ``class_name``; ``limits``, such as ``{"steps": 5000}``, and
    ``default_retention``. In place of a ``class_name`` there can be the ``class`` itself.
    """

    kind = "workflow"

    def __init__(self) -> None:
        self._names: set[str] = set()

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        options = declaration.options
        script = options.get("script_name")
        if script not in (None, worker.name):
            # The class and its options are known to that worker, which runs the instances.
            there = Definition(options["name"], object, _STEPS, Retention(None, None))
            key = f"workflow-{there.name}"
            namespace = runtime.neighbours.namespace_of(InstanceObject, key, script, runtime.rng)
            return Workflow(namespace, there, runtime.rng)
        cls = options.get("class") or _find_class(declaration, worker.classes)
        if not inspect.iscoroutinefunction(getattr(cls, "run", None)):
            raise ConfigError(f"{cls.__name__} is no workflow: it needs a method `async def run(self, event, step)`.")
        definition = _define(cls, {**getattr(cls, "options", {}), **options})
        if definition.name in self._names:
            raise ConfigError(
                f"Two workflows are called {definition.name!r}. Rename one: its instances go by the name."
            )
        self._names.add(definition.name)
        # No class of a worker has a dash in its name, so the objects of workflows are among themselves.
        object_class = type(f"workflow-{definition.name}", (InstanceObject,), {"definition": definition})
        return Workflow(runtime.namespace_of(object_class, worker=worker), definition, runtime.rng)


def _find_class(declaration: BindingDeclaration, classes: Mapping[str, type]) -> type:
    class_name = declaration.options["class_name"]
    cls = classes.get(class_name)
    if cls is None:
        raise ConfigError(
            f"The binding {declaration.name!r} needs a class {class_name!r}, which the worker does not have."
            f"{did_you_mean(class_name, classes)}"
        )
    return cls


def _define(cls: type, options: Mapping[str, Any]) -> Definition:
    name = options.get("name") or cls.__name__
    for option in _NOT_YET:
        if option in options:
            _log.warning("The workflow %s has %r, which has no effect yet.", name, option)
    try:
        retention = retention_ms(options.get("default_retention") or {})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The default_retention of the workflow {name!r} cannot be read. {error}") from error
    return Definition(
        name,
        cls,
        (options.get("limits") or {}).get("steps", _STEPS),
        Retention(retention.get("success_retention"), retention.get("error_retention")),
    )


class Resumption:
    """The trigger that makes instances go on that were running when the last process ended, and lets them end well."""

    name = "workflows"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._workflows = {value.key: value for value in runtime.env.values() if isinstance(value, Workflow)}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to wake them; they need not wait for their alarms."""
        if self._workflows:
            self._task = asyncio.get_running_loop().create_task(self._resume(), name="resume workflows")

    async def stop(self) -> None:
        """Let no step begin any more: the code that runs is about to be cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for workflow in self._workflows.values():
            workflow.definition.stop()

    async def _resume(self) -> None:
        for key, id in self._near():
            try:
                await self._workflows[key].wake(id)
            except Exception:
                # Its alarm stands: it is tried again.
                _log.exception("The workflow %s %s could not go on at once.", key, id)

    def _near(self) -> list[tuple[str, str]]:
        """Return the instances whose alarm is so near that their code may have been in memory."""
        index, horizon = (
            self._runtime.alarms.index,
            self._runtime.clock.now() + WATCHDOG,
        )
        limit = 256
        while len(hints := index.earliest(limit)) == limit and hints[-1].due <= horizon:
            limit *= 4
        return [
            (hint.namespace, hint.object_id.name)
            for hint in hints
            if hint.due <= horizon and hint.namespace in self._workflows and hint.object_id.name is not None
        ]
