"""A worker's module, as the runtime takes it: what is written for Cloudflare's SDK, made fit to run here."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from wrangler_compat.host.context import WorkerContext, register
from wrangler_compat.host.flags import flags_that_are_on
from wrangler_compat.host.importing import sdk

__all__ = ["hosted_names"]


def hosted_names(module: ModuleType, name: str, date: str | None, flags: Iterable[str]) -> dict[str, Any]:
    """Return the public names of ``module``; classes of the SDK's are replaced by what runs them.

    For a module that does not use the SDK these are its names and nothing else.
    """
    public = getattr(module, "__all__", None)
    names = {
        key: value
        for key, value in vars(module).items()
        if (key in public if public is not None else not key.startswith("_"))
    }
    kit = sdk()
    if kit is None or (not any(_is_the_sdks(value, kit) for value in names.values()) and "on_fetch" not in names):
        return names
    from wrangler_compat.host.durable_object import hosted_object
    from wrangler_compat.host.entry import hosted_entrypoint, hosted_module

    worker = WorkerContext(name, flags_that_are_on(date, flags))
    register(worker)
    for key, value in names.items():
        if not isinstance(value, type) or value.__module__.partition(".")[0] == "workers":
            continue
        if issubclass(value, kit.WorkerEntrypoint):
            names[key] = hosted_entrypoint(value, worker)
        elif issubclass(value, kit.DurableObject):
            names[key] = hosted_object(value, worker)
    if "python_no_global_handlers" not in worker.flags and "Default" not in names:
        names["fetch"] = hosted_module(module, worker)
    return names


def _is_the_sdks(value: Any, kit: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(
        value, kit.WorkerEntrypoint | kit.DurableObject | kit.WorkflowEntrypoint
    )
