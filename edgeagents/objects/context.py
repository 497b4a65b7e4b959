"""``ctx``: what an object's code may do beyond its own memory.

A thin face of the ``Activation``; the work is done there.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from edgeagents.objects.clock import Clock
from edgeagents.objects.facets import Facets
from edgeagents.objects.ids import ObjectId
from edgeagents.objects.limits import Limits
from edgeagents.objects.websocket import WebSocket, WebSocketRequestResponsePair

if TYPE_CHECKING:
    from edgeagents.objects.activation import Activation
    from edgeagents.objects.namespace import Stub
    from edgeagents.objects.storage import Storage

__all__ = ["ObjectContext"]

T = TypeVar("T")


class ObjectContext:
    """An object's identity, its storage, and its say over its own life."""

    id: ObjectId
    storage: Storage
    clock: Clock
    rng: random.Random
    limits: Limits
    logger: logging.Logger
    debug: bool
    models: Any
    """The runtime's registry of model providers."""
    events: Any
    """Where agents of the runtime tell of themselves, or None."""

    def __init__(self, activation: Activation) -> None:
        world = activation.world
        self._activation = activation
        self.id = activation.id
        self.storage = activation.storage
        self.clock, self.rng, self.limits = world.clock, world.rng, world.limits
        self.models, self.events, self.debug = world.models, world.events, world.debug
        self.capabilities: tuple[type, ...] = world.capabilities
        self.classes: Mapping[str, type] = world.classes
        self.exports: Mapping[str, Any] = world.exports
        self.logger = activation.logger

    @property
    def props(self) -> Mapping[str, Any] | None:
        """The props of the stub that woke the object, or None."""
        return self._activation.props

    @cached_property
    def facets(self) -> Facets:
        """Children of this object with databases of their own, which share its life."""
        return Facets(self._activation)

    @property
    def parents(self) -> tuple[tuple[type, ObjectId], ...]:
        """The objects that this one is a facet of, the root first: the class and the id of each."""
        return tuple((slot.directory.cls, slot.id) for slot in self._activation.slot.parents)

    @property
    def facet_name(self) -> str | None:
        """The name that this object has as a facet, or None when it is none."""
        names = self._activation.slot.place.facets
        return names[-1] if names else None

    @property
    def parent(self) -> Stub[Any] | None:
        """A stub of the object that this one is a facet of, or None."""
        return self._activation.parent_stub()

    def in_parent(self, work: Callable[[Any], Coroutine[Any, Any, T]], *, name: str) -> asyncio.Task[T]:
        """Run ``work`` with the instance of the object that this one is a facet of, as one of that object's tasks."""
        return self._activation.in_parent(work, name=name)

    @property
    def is_leaving(self) -> bool:
        """Whether what runs is cancelled because the object leaves memory: the runtime stops, or it was reset."""
        return self._activation.is_stopping or self._activation.failure is not None

    @property
    def is_started(self) -> bool:
        """Whether the object has woken in full, so that events reach it."""
        return self._activation.is_started

    @property
    def is_alive(self) -> bool:
        """Whether the object is still in memory, so that what it writes is kept."""
        return self._activation.failure is None

    @property
    def is_on_loop(self) -> bool:
        """Whether the caller is on the event loop, and not in the object's own thread."""
        return self._activation.is_on_loop

    def wait_until(self, awaitable: Awaitable[object]) -> None:
        """Stay awake until ``awaitable`` is done. Its error is logged, not raised."""
        self._activation.wait_until(awaitable)

    def block_concurrency_while(self, fn: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Run ``fn`` while no other event of this object runs; return what it returns.

        In ``__init__`` it need not be awaited: it delays the first event. Otherwise await it. An error in ``fn``, or
        more than 30 seconds, resets the object.
        """
        return self._activation.block_concurrency_while(fn)

    def abort(self, reason: str | None = None) -> NoReturn:
        """Reset this object now: its memory and unconfirmed writes are lost, every caller gets ``reason``."""
        self._activation.abort(reason)

    def accept_web_socket(self, ws: WebSocket, tags: Iterable[str] = ()) -> None:
        """Receive for ``ws`` through the object's handlers; the object may leave memory meanwhile.

        At most 10 ``tags`` of 256 characters, for ``get_web_sockets``. Raises ValueError for more.
        """
        self._activation.slot.accept(ws, tags)

    def get_web_sockets(self, tag: str | None = None) -> list[WebSocket]:
        """Return the open sockets that were accepted, those with ``tag`` if given, the latest last."""
        return self._activation.slot.open_sockets(tag)

    def get_tags(self, ws: WebSocket) -> list[str]:
        """Return the tags with which ``ws`` was accepted."""
        return list(ws.tags)

    def set_web_socket_auto_response(self, pair: WebSocketRequestResponsePair | None = None) -> None:
        """Answer a text message equal to ``pair.request`` with ``pair.response``, without waking the object.

        At most 2048 bytes each, else ValueError. None ends it.
        """
        self._activation.slot.set_auto_response(pair)

    def get_web_socket_auto_response(self) -> WebSocketRequestResponsePair | None:
        """Return what ``set_web_socket_auto_response`` was given last."""
        return self._activation.slot.auto_response

    def get_web_socket_auto_response_timestamp(self, ws: WebSocket) -> datetime | None:
        """Return when ``ws`` got its last automatic response, or None."""
        return ws.auto_response_at

    def invoke(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Call user code as a handler is called: awaited if async, else in the object's own thread."""
        return self._activation.invoke(fn, *args, **kwargs)

    def keep_awake(self) -> AbstractContextManager[None]:
        """Return a context in which the object is not evicted."""
        return self._activation.keep_awake()

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run ``coroutine`` in a task that belongs to the object and not to the event that started it.

        It keeps the object awake, stands still in critical sections of others, and is cancelled when the object is
        reset or the runtime stops. Its error is logged.
        """
        return self._activation.spawn(coroutine, name=name)

    async def flushed(self) -> None:
        """Return when everything that was written so far is kept as durably as the runtime is asked to."""
        await self._activation.output.flushed()
