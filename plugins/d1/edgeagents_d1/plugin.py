"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_d1.database import D1Database
from edgeagents_d1.engine import Engine

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

_engines: WeakKeyDictionary[Any, dict[str, Engine]] = WeakKeyDictionary()


class D1Type:
    """``d1``. Option: ``database_id``; without one ``database_name``, or the binding's name, stands for it."""

    kind = "d1"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        name = database_id(declaration)
        engines = _engines.setdefault(runtime, {})
        if name not in engines:
            stores = runtime.stores
            engines[name] = Engine(stores.path("d1", name), runtime.clock, is_synced=stores.is_synced)
        return D1Database(engines[name])


def database_id(declaration: BindingDeclaration) -> str:
    """Return what a database is kept under."""
    options = declaration.options
    return options.get("database_id") or options.get("database_name") or declaration.name


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``d1``."""
    return [D1Type()]


@hookimpl
def shutdown(runtime: Runtime) -> None:
    """Close the databases."""
    for engine in _engines.pop(runtime, {}).values():
        engine.close()


@hookimpl
def import_state(source: Any, state: Any) -> None:
    """Copy databases that ``wrangler dev`` has kept."""
    from edgeagents_d1.importing import import_databases

    import_databases(source, state)


@hookimpl
def register_commands(cli: Any) -> None:
    """Add ``edgeagents d1``."""
    from edgeagents_d1.commands import d1

    cli.add_command(d1)
