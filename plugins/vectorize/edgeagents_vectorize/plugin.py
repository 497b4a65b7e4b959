"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl


class VectorizeType:
    """``vectorize``. Options: ``index_name``; ``dimensions`` and ``metric``, for an index that is not there yet."""

    kind = "vectorize"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        # numpy takes a tenth of a second to import, which a server that has no index need not spend.
        from edgeagents_vectorize.index import VectorizeIndex
        from edgeagents_vectorize.store import IndexStore

        name = declaration.options.get("index_name") or declaration.name
        store = IndexStore(runtime.stores, name)
        _agree(store, name, declaration.options)
        return VectorizeIndex(store, runtime.clock, runtime.rng)


def _agree(store: Any, name: str, options: Mapping[str, Any]) -> None:
    from edgeagents_vectorize.nearest import METRICS

    metric, dimensions = options.get("metric"), options.get("dimensions")
    if metric is not None and metric not in METRICS:
        raise ConfigError(f"The index {name!r} has the metric {metric!r}; metrics are {', '.join(METRICS)}.")
    for fact, wanted in (("metric", metric), ("dimensions", dimensions)):
        if wanted is None:
            continue
        kept = store.fact(fact)
        if kept is None and not (fact == "metric" and store.count()):
            store.note(fact, str(wanted))
        elif str(wanted) != (kept or "cosine"):
            raise ConfigError(
                f"The index {name!r} is there already, with {fact} {kept or 'cosine'}, not {wanted}. "
                "Give it another name, or remove its file from the state folder."
            )


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``vectorize``."""
    return [VectorizeType()]
