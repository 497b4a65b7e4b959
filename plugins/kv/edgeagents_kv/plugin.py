"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_kv.namespace import KvNamespace


class KvNamespaceType:
    """``kv_namespace``. Option: ``id``; without one the binding's name stands for it."""

    kind = "kv_namespace"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return KvNamespace(runtime.stores, declaration.options.get("id") or declaration.name, runtime.clock)


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``kv_namespace``."""
    return [KvNamespaceType()]
