"""Hibernation: what stays of an object while it is not in memory.

A ``Slot`` is all that the runtime holds for one id: its activation, if it is awake, and its sockets, which stay open
when it is not. Whatever arrives comes to the slot, which wakes the object when there is something for it to do. The
slots of its facets (``facet_slot``) are within it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edgeagents.errors import ObjectOverloaded, ObjectReset, TooManySockets
from edgeagents.objects.activation import Activation
from edgeagents.objects.eager import begin_now, is_too_deep, should_let_others_run
from edgeagents.objects.events import CloseEvent, Event, MessageEvent, StartEvent
from edgeagents.objects.expiry import watch_identity
from edgeagents.objects.ids import ObjectId, Place
from edgeagents.objects.websocket import WebSocket, WebSocketRequestResponsePair
from edgeagents.own_errors import as_raised

if TYPE_CHECKING:
    from edgeagents.objects.facet_slot import FacetSlot
    from edgeagents.objects.facets import FacetStartup
    from edgeagents.objects.namespace import Directory

__all__ = ["Slot"]

_HANDLER = "a WebSocket handler"


class Slot:
    """One id's place in this process, whether the object is awake or not."""

    __slots__ = (
        "_events",
        "_in_flight",
        "_late",
        "activation",
        "auto_response",
        "directory",
        "facets",
        "id",
        "sockets",
    )

    def __init__(self, directory: Directory, object_id: ObjectId) -> None:
        self.directory, self.id = directory, object_id
        self.activation: Activation | None = None
        self.auto_response: WebSocketRequestResponsePair | None = None
        self.sockets: dict[WebSocket, None] = {}
        self.facets: dict[str, FacetSlot] | None = None
        """The facets that are awake or have sockets."""
        self._in_flight: dict[WebSocket, int] | None = None
        self._events = 0
        self._late = 0
        """Events that have not begun, in their order: those that come now must not overtake them."""

    @property
    def place(self) -> Place:
        """Where storage has the object."""
        return Place(self.directory.key, self.id)

    @property
    def parents(self) -> tuple[Slot, ...]:
        """The places of the objects that this one is a facet of, the root first."""
        return ()

    @property
    def title(self) -> str:
        """How logs call the object."""
        return f"{self.directory.class_name} {self.id.name or str(self.id)!r}"

    # Events

    async def deliver(self, event: Event, props: Mapping[str, Any] | None = None) -> Any:
        """Handle ``event``, waking the object if need be; return or raise what its handler does.

        The event belongs to the object: it goes on when the caller is cancelled.
        """
        task = self.begin(event, props)
        if not task.done():
            try:
                return await asyncio.shield(task)
            finally:
                if not task.done():
                    # The caller has gone: nobody else hears of a failure.
                    task.add_done_callback(self._abandoned_done)
        if should_let_others_run():
            await asyncio.sleep(0)
        return task.result()

    def begin(self, event: Event, props: Mapping[str, Any] | None = None) -> asyncio.Future[Any]:
        """Start to handle ``event``, in a task of its own. What it does before it first waits is done on return."""
        limit = self.directory.world.limits.events_per_object
        # The end of a connection is always heard: it is what makes room.
        if self._events >= limit and not isinstance(event, CloseEvent):
            raise ObjectOverloaded(f"the {self.directory.class_name} {self.id.name or self.id!s}", limit)
        self._events += 1
        if self._late or is_too_deep():
            self._late += 1
            return asyncio.get_running_loop().create_task(self._handle_late(event, props))
        activation = self.activation
        return begin_now(self._handle(event, props), None if activation is None else activation.loop)

    async def _handle_late(self, event: Event, props: Mapping[str, Any] | None) -> Any:
        self._late -= 1
        return await self._handle(event, props)

    async def _handle(self, event: Event, props: Mapping[str, Any] | None) -> Any:
        self.directory.world.enter()
        try:
            activation = self.activation or self.wake(props)
            return await activation.handle(event)
        finally:
            self._events -= 1
            self._forget_if_empty()

    def _abandoned_done(self, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or not isinstance(done.exception(), ObjectReset):
            self._log_failure("what its caller did not wait for", done)

    def wake(self, props: Mapping[str, Any] | None) -> Activation:
        """Begin to wake the object. Its input gate holds events back until it has started.

        A start that fails at once has left again when this returns; its error waits for the event.
        """
        self.activation = activation = Activation(self, props)
        activation.keep_task(begin_now(activation.start()))
        return activation

    async def rise(self) -> None:
        """Return when the object is awake and has started."""
        if self.activation is None or not self.activation.is_started:
            await self.deliver(StartEvent())

    def left(self, activation: Activation) -> None:
        """Note that ``activation`` has left memory."""
        if self.activation is activation:
            self.activation = None
        self._forget_if_empty()

    def was_reset(self, error: BaseException) -> None:
        """Note that the activation, which has left, was reset: its facets are too, and every socket is closed."""
        self.reset_facets(error)
        # 1012 makes clients come back; what they then send wakes a new activation.
        self.drop_sockets(1012, "Durable Object reset")

    def reset(self, error: BaseException) -> None:
        """Drop what is in memory, with ``error`` for whoever waits, and close every socket."""
        if self.activation is not None:
            self.activation.reset(error)
        self.was_reset(error)

    async def stop(self) -> None:
        """Leave memory because the runtime stops, before the facets do: nothing can wake them then."""
        if self.activation is not None:
            await self.activation.stop()
        for facet in tuple((self.facets or {}).values()):
            await facet.stop()

    @property
    def _is_empty(self) -> bool:
        return self.activation is None and not self.sockets and not self._events and not self.facets

    def _forget_if_empty(self) -> None:
        if self._is_empty:
            self.directory.forget(self)

    # Facets

    def facet(self, name: str, startup: FacetStartup) -> FacetSlot:
        """Return the place of a facet, made if need be."""
        if self.facets is None:
            self.facets = {}
        slot = self.facets.get(name)
        if slot is None:
            slot = self.facets[name] = self.directory.facet_slot(self, name, startup)
        return slot

    def child_left(self) -> None:
        """Note that a facet's place is empty."""
        self._forget_if_empty()

    def reset_facets(self, error: BaseException) -> None:
        """Reset every facet that is awake."""
        for facet in tuple((self.facets or {}).values()):
            if facet.activation is not None:
                facet.activation.reset(error)

    # Sockets

    def accept(self, ws: WebSocket, tags: Iterable[str]) -> None:
        """Take ``ws`` for the object."""
        limits = self.directory.world.limits
        kept = tuple(dict.fromkeys(tags))
        if len(kept) > limits.socket_tags:
            raise ValueError(f"a Hibernatable WebSocket cannot have more than {limits.socket_tags} tags")
        for tag in kept:
            if len(tag) > limits.socket_tag_characters:
                raise ValueError(
                    f'"{tag}" is longer than the max tag length ({limits.socket_tag_characters} characters).'
                )
        if len(self.sockets) >= limits.sockets_per_object:
            raise TooManySockets("sockets_per_object", limits.sockets_per_object)
        self.sockets[ws] = None
        ws.give_to(self, kept, limits.attachment_bytes)
        if ws.identity is not None:
            watch_identity(ws, self.directory.world)

    def open_sockets(self, tag: str | None = None) -> list[WebSocket]:
        """Return the sockets that are open, in the order of their coming."""
        return [ws for ws in self.sockets if ws.ready_state == WebSocket.OPEN and (tag is None or tag in ws.tags)]

    def set_auto_response(self, pair: WebSocketRequestResponsePair | None) -> None:
        """Answer ``pair.request`` without the object from now on."""
        limit = self.directory.world.limits.auto_response_bytes
        if pair is not None and max(len(pair.request.encode()), len(pair.response.encode())) > limit:
            raise ValueError(
                f"An automatic request or response is at most {limit} bytes long: Limits(auto_response_bytes={limit})."
            )
        self.auto_response = pair

    def release(self, send: Callable[..., object], *args: Any) -> None:
        """See ``SocketOwner``."""
        if self.activation is None:
            send(*args)
        else:
            self.activation.output.release(send, *args)

    def socket_message(self, socket: WebSocket, message: str | bytes) -> Awaitable[None] | None:
        """See ``SocketOwner``."""
        pair = self.auto_response
        if pair is not None and message == pair.request:
            if socket.ready_state == WebSocket.OPEN:
                socket.auto_response_at = self.directory.world.clock.now()
                socket.send(pair.response)
            return None
        task = self.begin(MessageEvent(socket, message))
        if task.done():
            self._log_failure(_HANDLER, task)
            return _GIVE_WAY if should_let_others_run() else None
        in_flight = self._in_flight = self._in_flight or {}
        in_flight[socket] = in_flight.get(socket, 0) + 1
        task.add_done_callback(lambda done: self._message_done(socket, done))
        if in_flight[socket] < self.directory.world.limits.messages_in_flight:
            return None
        return _Settled(task)

    def socket_closed(self, socket: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        """See ``SocketOwner``."""
        if socket in self.sockets:
            task = self.begin(CloseEvent(socket, code, reason, was_clean))
            task.add_done_callback(lambda done: self._closed_done(socket, done))

    @property
    def has_sockets(self) -> bool:
        """Whether the object or a facet of it has sockets."""
        return bool(self.sockets) or any(facet.has_sockets for facet in (self.facets or {}).values())

    def drop_sockets(self, code: int, reason: str) -> None:
        """Close every socket, those of facets too, without the objects hearing of it."""
        for facet in tuple((self.facets or {}).values()):
            facet.drop_sockets(code, reason)
        sockets, self.sockets = self.sockets, {}
        for socket in sockets:
            socket.close(code, reason)
        self._forget_if_empty()

    def _message_done(self, socket: WebSocket, done: asyncio.Future[Any]) -> None:
        if self._in_flight is not None:
            left = self._in_flight.pop(socket, 1) - 1
            if left:
                self._in_flight[socket] = left
        self._log_failure(_HANDLER, done)

    def _closed_done(self, socket: WebSocket, done: asyncio.Future[Any]) -> None:
        self.sockets.pop(socket, None)
        self._log_failure(_HANDLER, done)
        self._forget_if_empty()

    def _log_failure(self, what: str, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self.directory.logger.error("%s: %s failed", self.title, what, exc_info=as_raised(error))


class _GiveWay:
    """Awaitable: returns when others have run. May be left unawaited."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        yield


_GIVE_WAY = _GiveWay()


class _Settled:
    """Awaitable: returns when the task has ended, however it ended. May be left unawaited."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Future[Any]) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.wait([self._task]).__await__()
