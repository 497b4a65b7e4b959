"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents_ai.binding import Ai
from edgeagents_ai.names import ModelNames


class AiType:
    """``ai``. Option: ``models``, a map of Cloudflare's names to ``provider:model``."""

    kind = "ai"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        try:
            names = ModelNames(runtime.models, runtime.env, declaration.options.get("models") or {})
        except ConfigError as fault:
            raise ConfigError(f"The binding {declaration.name!r}: {fault}") from fault
        return Ai(names, runtime.clock, runtime.rng)


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``ai``."""
    return [AiType()]
