"""``ctx.facets``: children of an object, each of a class that may come from a dynamic worker."""

from __future__ import annotations

import inspect
from typing import Any

from edgeagents.objects import Namespace, ObjectContext
from wrangler_compat.host.durable_namespace import DurableObjectId, DurableObjectNamespace, DurableObjectStub
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, properties

__all__ = ["DurableObjectFacets"]


class DurableObjectFacets(JsProxy):
    """The facets of one object, by names that it chooses."""

    def __init__(self, ctx: ObjectContext) -> None:
        self._ctx = ctx

    def get(self, name: Any, startup: Any = None) -> DurableObjectStub:
        """Return a stub of the facet ``name``.

        ``startup`` is called each time the facet starts, and gives ``{class, id}``, at once or as a promise; ``class``
        is what ``getDurableObjectClass`` gives, or an object class of ``ctx.exports``.
        """
        if not callable(startup):
            raise JsTypeError(
                "Failed to execute 'get' on 'DurableObjectFacets': parameter 2 is not of type 'Function'."
            )

        async def start() -> dict[str, Any]:
            told = startup()
            given = properties(await told if inspect.isawaitable(told) else told)
            object_id = given.get("id")
            return {
                "class": await _class_of(given.get("class")),
                "id": object_id._native if isinstance(object_id, DurableObjectId) else None,
            }

        native = self._ctx.facets.get(to_text(name), start)
        return DurableObjectStub(native, native._namespace)

    def abort(self, name: Any, reason: Any = None) -> None:
        """Reset the facet; whoever waits for it gets ``reason``."""
        why = reason if isinstance(reason, BaseException) else None if is_nullish(reason) else to_text(reason)
        self._ctx.facets.abort(to_text(name), why)

    def delete(self, name: Any) -> None:
        """Reset the facet and delete all that it has stored."""
        self._ctx.facets.delete(to_text(name))

    def _keys(self) -> list[str]:
        return []


async def _class_of(value: Any) -> type:
    if isinstance(value, DurableObjectNamespace) and isinstance(value._native, Namespace):
        return value._native.cls
    load = getattr(value, "_load_class", None)
    if load is None:
        raise JsTypeError("Incorrect type for the 'class' field on 'StartupOptions': it is no Durable Object class.")
    return await load()
