"""The base class of user code with one live instance per id and storage of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from edgeagents.objects.context import ObjectContext

if TYPE_CHECKING:
    from edgeagents.objects.namespace import Stub

__all__ = ["DurableObject", "Env"]

Env = TypeVar("Env", default=Any)


class DurableObject(Generic[Env]):
    """A class whose objects live once each, keep what they store, and handle one event at a time between awaits.

    Handlers, all optional, sync or async: ``fetch(request)``, ``alarm(info)``, ``web_socket_message(ws, message)``,
    ``web_socket_close(ws, code, reason, was_clean)`` and ``web_socket_error(ws, error)``. A sync handler runs in a
    thread of the object's own. Any other public method can be called through a stub.
    """

    ctx: ObjectContext
    env: Env

    def __init__(self, ctx: ObjectContext, env: Env) -> None:
        self.ctx, self.env = ctx, env

    async def _edgeagents_activate(self, props: Mapping[str, Any] | None) -> None:
        """Get ready after waking, before any event. A critical section; when it raises the object is not awake.

        ``props`` are those of the stub whose event woke the object, or None.
        """

    def _edgeagents_find_part_method(self, part: str, method: str) -> Callable[..., Any] | None:
        """Return what a call of ``method`` of a part of this object runs, or None. See ``edgeagents.call_part``."""

    async def _edgeagents_open_facet(self, name: str) -> Stub[Any] | None:
        """Return the facet whose alarm is due, made with its class. None when there is no such facet any more."""
        return None

    def _edgeagents_begin_call(self) -> None:
        """Note that a method is about to be called through a stub, in the task of this call."""
