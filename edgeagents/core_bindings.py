"""The bindings that need no product: objects' namespaces, services, and plain values.

They enter ``env`` through the same hook as a stranger's, so the hook is known to be enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents.objects.spellings import did_you_mean
from edgeagents.services import Service

__all__ = ["DurableObjectNamespaceType", "ServiceType", "ValueType", "register_bindings"]


class DurableObjectNamespaceType:
    """``durable_object_namespace``: all objects of one class of the worker, or of the neighbour ``script_name``.

    Without a name the worker's neighbours can reach them, and ``env`` does not have them.
    Options: ``class_name``; ``script_name``; ``storage``: ``sqlite`` (default), or ``legacy-kv``, whose objects have no
    SQL.
    """

    kind = "durable_object_namespace"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        options = declaration.options
        script = options.get("script_name")
        if script not in (None, worker.name):
            return runtime.neighbour_namespace(script, options["class_name"])
        class_name = options["class_name"]
        cls = worker.classes.get(class_name)
        if cls is None:
            raise ConfigError(
                f"The binding {declaration.name!r} needs a class {class_name!r}, which the worker does not have."
                f"{did_you_mean(class_name, worker.classes)}"
            )
        return runtime.namespace_of(cls, worker=worker, has_sql=options.get("storage", "sqlite") == "sqlite")


class ServiceType:
    """``service``: an entrypoint of a worker. Options: ``service``, the worker's name; ``entrypoint``; ``props``."""

    kind = "service"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        options = declaration.options
        service, entrypoint = options["service"], options.get("entrypoint")
        if service != worker.name:
            return runtime.neighbours.service(service, entrypoint, options.get("props"))
        if entrypoint not in (None, "default") and entrypoint not in worker.entrypoints:
            raise ConfigError(
                f"The binding {declaration.name!r} needs an entrypoint {entrypoint!r}, which the worker does not have."
                f"{did_you_mean(entrypoint, worker.entrypoints)}"
            )
        return Service(runtime, entrypoint, options.get("props"))


class ValueType:
    """``plain_text``, ``json`` and ``secret_text``: a value. Option: ``value``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return declaration.options["value"]


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    return [DurableObjectNamespaceType(), ServiceType(), *map(ValueType, ("plain_text", "json", "secret_text"))]
