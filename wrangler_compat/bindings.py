"""The bindings that only make sense where code is loaded by name: the plugin that goes with ``wrangler_compat``.

Whoever runs what ``worker_loader`` has loaded gives this module to the ``Runtime``: ``plugins=[bindings]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from wrangler_compat.dynamic_workers import WorkerLoader

__all__ = ["WorkerLoaderType", "register_bindings", "shutdown"]

_loaders: WeakKeyDictionary[Any, list[WorkerLoader]] = WeakKeyDictionary()


class WorkerLoaderType:
    """``worker_loader``: makes workers of code that comes while this one runs. No options."""

    kind = "worker_loader"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        loader = WorkerLoader(runtime)
        _loaders.setdefault(runtime, []).append(loader)
        return loader


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    return [WorkerLoaderType()]


@hookimpl
async def shutdown(runtime: Any) -> None:
    for loader in _loaders.pop(runtime, ()):
        await loader.stop()
