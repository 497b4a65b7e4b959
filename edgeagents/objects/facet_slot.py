"""The place of a facet: what stays of it while it is not in memory, inside of its parent's place.

It is a slot like any other, with three differences. What comes from outside, over a socket, wakes the parent first.
While the facet is awake it keeps the parent awake. And a reset leaves its sockets open: the object at the root goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from edgeagents.errors import ObjectReset
from edgeagents.objects.activation import Activation
from edgeagents.objects.events import CloseEvent, Event, MessageEvent, SocketErrorEvent
from edgeagents.objects.facets import FacetStartup
from edgeagents.objects.hibernation import Slot
from edgeagents.objects.ids import Place
from edgeagents.objects.websocket import WebSocket

__all__ = ["FacetSlot"]


class FacetSlot(Slot):
    """A facet's place."""

    __slots__ = ("_arriving", "_holding", "_starting", "is_ended", "name", "parent", "startup")

    def __init__(self, parent: Slot, name: str, startup: FacetStartup) -> None:
        # Its directory is the parent's until its class is known.
        super().__init__(parent.directory, parent.id)
        self.parent, self.name, self.startup = parent, name, startup
        self.is_ended = False
        self._holding: Activation | None = None
        self._arriving = asyncio.Lock()
        self._starting = asyncio.Lock()

    @property
    def place(self) -> Place:
        namespace, object_id, facets = self.parent.place
        return Place(namespace, object_id, (*facets, self.name))

    @property
    def parents(self) -> tuple[Slot, ...]:
        return (*self.parent.parents, self.parent)

    async def _handle(self, event: Event, props: Mapping[str, Any] | None) -> Any:
        self.directory.world.enter()
        try:
            if isinstance(event, MessageEvent | CloseEvent | SocketErrorEvent):
                # One after another, so that none overtakes those that wait for the parent. What the parent itself asks
                # for must not wait: it may ask in its start.
                async with self._arriving:
                    await self.parent.rise()
                    activation = self.activation or await self._begin(props)
            else:
                activation = self.activation or await self._begin(props)
            return await activation.handle(event)
        finally:
            self._events -= 1
            self._forget_if_empty()

    async def _begin(self, props: Mapping[str, Any] | None) -> Activation:
        async with self._starting:
            if self.activation is None:
                cls, object_id = await self.startup.resolve()
                self.directory = self.parent.directory.of_facets(cls)
                self.id = object_id or self.parent.id
            return self.activation or self.wake(props)

    def wake(self, props: Mapping[str, Any] | None) -> Activation:
        parent = self.parent.activation
        if parent is None or self.is_ended:
            raise ObjectReset(f"The facet {self.name!r} has ended, or its parent has left memory.")
        parent.hold()
        self._holding = parent
        try:
            return super().wake(props)
        except BaseException:
            self._let_parent_go()
            raise

    def left(self, activation: Activation) -> None:
        self._let_parent_go()
        super().left(activation)

    def _let_parent_go(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            holding.let_go()

    async def rise(self) -> None:
        await self.parent.rise()
        await super().rise()

    def was_reset(self, error: BaseException) -> None:
        self.reset_facets(error)

    def socket_message(self, socket: WebSocket, message: str | bytes) -> Awaitable[None] | None:
        # One that came after the facet was deleted must not bring it back.
        return None if self.is_ended else super().socket_message(socket, message)

    def _forget_if_empty(self) -> None:
        if not self._is_empty:
            return
        facets = self.parent.facets
        if facets is not None and facets.get(self.name) is self:
            del facets[self.name]
        self.parent.child_left()

    def end(self, error: ObjectReset, close_reason: str) -> None:
        """The facet is being deleted: reset it for good and close its sockets with 1001, as all that is below it."""
        self.is_ended = True
        if self.activation is not None:
            self.activation.reset(error)
        for facet in tuple((self.facets or {}).values()):
            facet.end(error, close_reason)
        self.drop_sockets(1001, close_reason)
