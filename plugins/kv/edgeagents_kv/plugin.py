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
        return KvNamespace(runtime.stores, namespace_id(declaration), runtime.clock)


def namespace_id(declaration: BindingDeclaration) -> str:
    """Return what a namespace is kept under."""
    return declaration.options.get("id") or declaration.name


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``kv_namespace``."""
    return [KvNamespaceType()]


@hookimpl
def import_state(source: Any, state: Any) -> None:
    """Copy namespaces that ``wrangler dev`` has kept."""
    from edgeagents_kv.importing import import_namespaces

    import_namespaces(source, state)


@hookimpl
def register_commands(cli: Any) -> None:
    """Add ``edgeagents kv``."""
    from edgeagents_kv.commands import kv

    cli.add_command(kv)
