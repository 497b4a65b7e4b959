"""The environment: what a worker's bindings become when its runtime starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edgeagents.errors import ConfigError, UnknownBinding
from edgeagents.objects import Namespace
from edgeagents.plugins import unique
from edgeagents.redaction import has_secret_name, hide_named
from edgeagents.services import Service

if TYPE_CHECKING:
    from edgeagents.bindings import BindingDeclaration
    from edgeagents.runtime import Runtime

__all__ = ["fill_env"]


def fill_env(runtime: Runtime, given: Mapping[str, Any]) -> None:
    """Fill the runtime's ``env``, ``exports`` and ``namespaces``; ``given`` are values beside those of its bindings.

    Raises ``ConfigError`` that tells of everything that is wrong with the bindings.
    """
    values = _make_values(runtime)
    runtime.namespaces.update((name, value) for name, value in values.items() if isinstance(value, Namespace))
    # The objects hold this very env: it is filled in place.
    vars(runtime.env).update(values)
    exports = vars(runtime.exports)
    exports.update({name: Service(runtime, name) for name in runtime.worker.entrypoints})
    exports.update({name: runtime.by_class[c] for name, c in runtime.worker.classes.items() if c in runtime.by_class})
    vars(runtime.env).update(given)
    hide_named({name: value for name, value in given.items() if has_secret_name(name)})


def _make_values(runtime: Runtime) -> dict[str, Any]:
    """Return the value of each binding of the runtime's worker, and of those that plugins declare, by its name."""
    types = unique(runtime.hook.register_bindings(runtime=runtime), "kind", "binding type")
    values: dict[str, Any] = {}
    faults: list[ConfigError] = []
    for declaration in list(_declarations(runtime)):
        try:
            if declaration.kind not in types:
                raise UnknownBinding(declaration.kind, declaration.name, types)
            value = types[declaration.kind].make(declaration, runtime=runtime, worker=runtime.worker)
        except ConfigError as fault:
            faults.append(fault)
            continue
        if declaration.name:
            values[declaration.name] = value
            if declaration.kind == "secret_text" or has_secret_name(declaration.name):
                hide_named({declaration.name: value})
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise ConfigError("\n".join(str(fault) for fault in faults))
    return values


def _declarations(runtime: Runtime) -> Iterable[BindingDeclaration]:
    worker = runtime.worker
    taken = {declaration.name for declaration in worker.bindings}
    yield from worker.bindings
    for group in reversed(runtime.hook.declare_bindings(runtime=runtime, worker=worker)):
        for declaration in group:
            if declaration.name in taken:
                raise ConfigError(f"Two bindings are called {declaration.name!r}. Rename the one of the plugin.")
            taken.add(declaration.name)
            yield declaration
