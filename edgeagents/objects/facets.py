"""Facets: children of an object, each with a class, memory, gates and a database of its own.

A facet lives in its parent's process and within its parent's life. While a facet is awake the parent is too; when the
parent is reset its facets are, and nobody else can reach them. A facet can have facets. The two databases do not commit
together, but a call's result comes after the facet's commit, as from any object.

This is the parent's view. The place that a facet has while it is not awake is a ``FacetSlot``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from edgeagents.errors import ObjectReset, StorageError
from edgeagents.objects.alarm_index import AlarmIndexBusy
from edgeagents.objects.ids import ObjectId, Place, id_from_name
from edgeagents.objects.rpc import UnknownClass

if TYPE_CHECKING:
    from edgeagents.objects.activation import Activation
    from edgeagents.objects.events import Event
    from edgeagents.objects.ids import Address
    from edgeagents.objects.namespace import Stub

__all__ = ["FacetStartup", "Facets"]

T = TypeVar("T")

_DELETED = "Facet deleted"


@dataclass(frozen=True, slots=True)
class FacetStartup:
    """How a facet is made: of a class, or of what a function tells when the facet starts."""

    source: type | Callable[[], Any]
    id: ObjectId | None = None

    @property
    def cls(self) -> type:
        """The class, or ``UnknownClass`` until the facet starts."""
        return self.source if isinstance(self.source, type) else UnknownClass

    async def resolve(self) -> tuple[type, ObjectId | None]:
        """Return the class, and the id if one was chosen."""
        if isinstance(self.source, type):
            return self.source, self.id
        told = self.source()
        if inspect.isawaitable(told):
            told = await told
        cls, object_id = (told.get("class"), told.get("id")) if isinstance(told, Mapping) else (told, None)
        if not isinstance(cls, type) or not isinstance(object_id, ObjectId | None):
            raise TypeError(
                "What starts a facet is a class, or a function that returns one, or that returns "
                f'{{"class": ..., "id": ...}} with an id of a namespace; not {told!r}.'
            )
        return cls, object_id


class Facets:
    """The facets of one object, by names that it chooses."""

    def __init__(self, activation: Activation) -> None:
        self._activation, self._slot = activation, activation.slot
        self._ended: dict[str, int] = {}
        self._going: set[str | None] = set()
        """Names, or None for all, whose data a transaction that has not ended deletes."""

    @overload
    def get(
        self, name: str, startup: type[T], *, id: ObjectId | None = None, props: Mapping[str, Any] | None = None
    ) -> Stub[T]: ...
    @overload
    def get(
        self,
        name: str,
        startup: Callable[[], Any],
        *,
        id: ObjectId | None = None,
        props: Mapping[str, Any] | None = None,
    ) -> Stub[Any]: ...
    def get(
        self,
        name: str,
        startup: type[T] | Callable[[], Any],
        *,
        id: ObjectId | None = None,
        props: Mapping[str, Any] | None = None,
    ) -> Stub[Any]:
        """Return a stub of the facet ``name``. It is made, or woken, when the stub is used.

        ``startup`` is the facet's class, or a function, sync or async, that is called each time the facet starts and
        returns the class or ``{"class": Cls, "id": object_id}``. ``id`` is the facet's ``ctx.id``, by default that of
        this object. ``props`` reach its start if a call of this stub wakes it. For a facet that is awake already
        ``startup`` has no effect. Raises ValueError where facets stand too deep already.
        """
        limit = self._activation.world.limits.facet_depth
        if len(self._slot.place.facets) >= limit:
            raise ValueError(f"The facet {name!r} would stand below {limit} others: Limits(facet_depth={limit}).")
        how = FacetStartup(startup, id)
        number = self._ended.get(name, 0)

        async def deliver(address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
            if self._activation.failure is not None:
                raise self._activation.failure
            if self._ended.get(name, 0) != number:
                raise ObjectReset(f"The facet {name!r} was aborted or deleted. Get it again.")
            if self._going and not self._going.isdisjoint((name, None)):
                raise StorageError(f"A transaction deletes the facet {name!r}: the name is free when that has ended.")
            return await self._slot.facet(name, how).deliver(event, props)

        return self._slot.directory.facet_stub(how.cls, id or self._activation.id, deliver, props)

    def abort(self, name: str, reason: BaseException | str | None = None) -> None:
        """Reset the facet, and its facets with it: their memory and unconfirmed writes are lost.

        Whoever waits for it gets ``reason``, stubs of it fail from now on; ``get`` starts it anew. Its sockets stay
        open. One that is not awake is left alone.
        """
        self._on_loop(lambda: self._abort(name, reason))

    def delete(self, name: str, *, close_reason: str = _DELETED) -> None:
        """Reset the facet, close its sockets with 1001 and delete all that it and its facets have stored.

        The name is free for a new facet afterwards. One that was never there is no error. The deletion survives what
        this object's next write survives. In a transaction it is done when that ends, and not when that is rolled
        back; until then the name is not free.
        """
        self._on_loop(lambda: self._delete(name, close_reason))

    def delete_all(self, *, close_reason: str = _DELETED) -> None:
        """Delete every facet of this object."""
        self._on_loop(lambda: self._delete_all(close_reason))

    def is_awake(self, name: str) -> bool:
        """Return whether the facet is in memory and has started."""
        slot = (self._slot.facets or {}).get(name)
        return slot is not None and slot.activation is not None and slot.activation.is_started

    def id_from_name(self, name: str) -> ObjectId:
        """Return the id that ``name`` has in the namespace of this object, or of the one that it is a facet of."""
        return id_from_name(self._slot.place.namespace, name)

    def _abort(self, name: str, reason: BaseException | str | None) -> None:
        slot = (self._slot.facets or {}).get(name)
        if slot is None or slot.activation is None:
            return
        self._ended[name] = self._ended.get(name, 0) + 1
        error = _reset_error(reason, "The facet was aborted by its parent.")
        slot.activation.reset(error, cause=reason if isinstance(reason, BaseException) else None)

    def _delete(self, name: str, close_reason: str) -> None:
        self._ended[name] = self._ended.get(name, 0) + 1
        place = self._slot.place
        facets = (*place.facets, name)
        slot = (self._slot.facets or {}).pop(name, None)
        if slot is not None:
            slot.end(ObjectReset("The facet was deleted by its parent."), close_reason)
        self._delete_stored(name, Place(place.namespace, place.id, facets))

    def _delete_all(self, close_reason: str) -> None:
        for name in tuple(self._slot.facets or ()):
            self._delete(name, close_reason)
        self._delete_stored(None, self._slot.place)

    def _delete_stored(self, name: str | None, place: Place) -> None:
        def delete() -> None:
            self._going.discard(name)
            self._delete_now(place)

        self._going.add(name)
        self._activation.database.follow(delete, lambda: self._going.discard(name))

    def _delete_now(self, place: Place) -> None:
        world = self._activation.world
        folder = world.storage.delete_facets(*place)
        if folder is not None:
            self._activation.database.sync_folder_too(folder)
        # An entry that stays is removed when it would wake a facet that is not there.
        with suppress(AlarmIndexBusy):
            world.alarms.index.remove_facets(*place)

    def _on_loop(self, work: Callable[[], None]) -> None:
        if self._activation.is_on_loop:
            work()
            return

        async def do() -> None:
            work()

        asyncio.run_coroutine_threadsafe(do(), self._activation.loop).result()


def _reset_error(reason: BaseException | str | None, otherwise: str) -> ObjectReset:
    if isinstance(reason, ObjectReset):
        return reason
    return ObjectReset(str(reason) if reason is not None and str(reason) else otherwise)
