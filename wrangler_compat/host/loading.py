"""A worker's module, as the runtime takes it: what is written for Cloudflare's SDK, made fit to run here."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.importing import sdk

__all__ = ["hosted_names"]

_FUNCTIONS = ("on_fetch", "on_scheduled", "on_queue", "on_email", "on_alarm", "on_trace", "on_pubsub", "test")


def hosted_names(module: ModuleType, worker: WorkerContext) -> dict[str, Any]:
    """Return the public names of ``module``, the code of ``worker``, with what runs them in place of the SDK's classes.

    For a module that uses neither the SDK nor the old form these are its names and nothing else.
    """
    public = getattr(module, "__all__", None)
    names = {
        key: value
        for key, value in vars(module).items()
        if (key in public if public is not None else not key.startswith("_"))
    }
    kit: Any = sdk()
    uses_sdk = kit is not None and any(_is_the_sdks(value, kit) for value in names.values())
    is_old = "on_fetch" in names or "on_scheduled" in names
    if not uses_sdk and not is_old:
        return names
    from wrangler_compat.host.durable_object import hosted_object
    from wrangler_compat.host.entry import hosted_entrypoint, hosted_functions
    from wrangler_compat.host.workflow import hosted_workflow

    for key, value in names.items():
        if kit is None or not isinstance(value, type) or value.__module__.partition(".")[0] == "workers":
            continue
        if issubclass(value, kit.WorkerEntrypoint):
            names[key] = hosted_entrypoint(value, worker)
        elif issubclass(value, kit.DurableObject):
            names[key] = hosted_object(value, worker)
        elif issubclass(value, kit.WorkflowEntrypoint):
            names[key] = hosted_workflow(value, worker)
    if is_old and "python_no_global_handlers" not in worker.flags:
        if "Default" in names:
            raise TypeError("Cannot define multiple default entrypoints")
        functions = {key: value for key, value in names.items() if key in _FUNCTIONS and callable(value)}
        names["Default"] = hosted_functions(functions, Path(module.__file__ or module.__name__).name, worker)
    return names


def _is_the_sdks(value: Any, kit: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(
        value, kit.WorkerEntrypoint | kit.DurableObject | kit.WorkflowEntrypoint
    )
