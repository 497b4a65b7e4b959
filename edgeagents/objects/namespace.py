"""Namespaces: all objects of one class, and the caller's end of one of them.

A ``Namespace`` is what a binding gives; a ``Stub`` reaches one object by what the runtime calls placement, so neither
knows whether the object lives in this process. A ``Directory`` holds the ones that do.
"""

from __future__ import annotations

import functools
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from edgeagents.errors import ObjectReset
from edgeagents.http import Identity, Request, Response
from edgeagents.objects.alarms import AlarmScheduler
from edgeagents.objects.backend import StorageBackend
from edgeagents.objects.clock import Clock
from edgeagents.objects.events import CallEvent, Event, FetchEvent, StartEvent
from edgeagents.objects.facet_slot import FacetSlot
from edgeagents.objects.facets import FacetStartup
from edgeagents.objects.gates import Durability, unkept_writes
from edgeagents.objects.hibernation import Slot
from edgeagents.objects.home_loop import HomeLoop
from edgeagents.objects.ids import Address, ObjectId, id_from_name, id_from_string, unique_id
from edgeagents.objects.lease import Lease
from edgeagents.objects.limits import Limits
from edgeagents.objects.observer import Observer
from edgeagents.objects.rpc import HandedOver, copy_arguments, exported_names, is_callable_name
from edgeagents.objects.spellings import did_you_mean

__all__ = [
    "Deliver",
    "Directory",
    "Namespace",
    "Namespaces",
    "Stub",
    "World",
    "call_part",
    "current_namespaces",
    "wake",
]

T = TypeVar("T")

current_namespaces: ContextVar[Mapping[type, Namespace[Any]]] = ContextVar("edgeagents_namespaces")
"""The namespaces of the runtime that this code runs in, by class."""


class Namespaces(dict[type, "Namespace[Any]"]):
    """The namespaces of one runtime, by class. ``admit`` refuses a request from outside, or lets it in."""

    admit: Callable[[Request], Awaitable[Response | None]] | None = None

    def in_force(self) -> AbstractContextManager[None]:
        """Make them the ``current_namespaces`` of the code of a ``with`` block."""
        return _InForce(self)


class _InForce:
    # Entered for every request: a generator would cost five times as much.
    __slots__ = ("_namespaces", "_token")

    _token: Token[Mapping[type, Namespace[Any]]]

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def __enter__(self) -> None:
        self._token = current_namespaces.set(self._namespaces)

    def __exit__(self, *_: object) -> None:
        current_namespaces.reset(self._token)


class Deliver(Protocol):
    """Brings an event to an object, wherever it lives."""

    def __call__(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """Return or raise what the object's handler does."""
        ...


@dataclass
class World:
    """What all objects of a runtime share, all of it handed in."""

    clock: Clock
    rng: random.Random
    limits: Limits
    storage: StorageBackend
    durability: Durability
    alarms: AlarmScheduler
    sync_executor: Executor
    respond: Callable[[Any, Request], Awaitable[Response]]
    observer: Observer
    lease: Callable[[Address], Lease]
    """Returns the right to write for an object of this process, or raises ``OwnershipLost``."""
    models: Any = None
    events: Any = None
    debug: bool = False
    capabilities: tuple[type, ...] = ()
    classes: Mapping[str, type] = field(default_factory=dict[str, type])
    """The worker's object classes, also those without a namespace."""
    exports: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The worker's own entrypoints and namespaces by name."""
    home: HomeLoop = field(default_factory=HomeLoop)
    namespaces: dict[type, Namespace[Any]] = field(default_factory=dict[type, "Namespace[Any]"])
    renew_identity: Callable[[Identity], Awaitable[Identity | None]] | None = None
    """Returns the identity with which a WebSocket goes on whose own has ended; None closes it."""

    def enter(self) -> None:
        """Make this the runtime of the current task."""
        current_namespaces.set(self.namespaces)


class Directory:
    """The objects of one namespace that live in this process."""

    def __init__(self, key: str, cls: type, env: object, world: World, *, has_sql: bool = True) -> None:
        self.key, self.cls, self.env, self.world, self.has_sql = key, cls, env, world, has_sql
        self.class_name = cls.__name__
        self.logger = logging.getLogger(f"edgeagents.agent.{cls.__name__}")
        self._slots: dict[str, Slot] = {}
        self._of_facets: dict[type, Directory] = {}

    def deliver(self, object_id: ObjectId, event: Event, props: Mapping[str, Any] | None = None) -> Awaitable[Any]:
        """Bring ``event`` to the object; return or raise what its handler does."""
        return self.slot(object_id).deliver(event, props)

    def slot(self, object_id: ObjectId) -> Slot:
        """Return the place of ``object_id``, made if need be."""
        slot = self._slots.get(object_id.digits)
        if slot is None:
            slot = self._slots[object_id.digits] = Slot(self, object_id)
        return slot

    def forget(self, slot: Slot) -> None:
        """Drop an empty slot."""
        if self._slots.get(slot.id.digits) is slot:
            del self._slots[slot.id.digits]

    def slots(self) -> list[Slot]:
        """Return the places of all objects that are awake or have sockets."""
        return list(self._slots.values())

    # Facets

    def of_facets(self, cls: type) -> Directory:
        """Return what the facets of the class ``cls`` that objects of this namespace have in common."""
        directory = self._of_facets.get(cls)
        if directory is None:
            directory = self._of_facets[cls] = Directory(self.key, cls, self.env, self.world)
        return directory

    def facet_slot(self, parent: Slot, name: str, startup: FacetStartup) -> FacetSlot:
        """Return a place for a facet of ``parent``."""
        return FacetSlot(parent, name, startup)

    def facet_stub(
        self, cls: type, object_id: ObjectId, deliver: Deliver, props: Mapping[str, Any] | None = None
    ) -> Stub[Any]:
        """Return a stub that sends to an object of the class ``cls`` by ``deliver``."""
        exported = exported_names(cls, self.world.capabilities)
        deliver = self.world.home.bound(deliver)
        namespace = Namespace(self.key, cls, deliver, self.world.rng, exported)
        return Stub(namespace, Address(self.key, object_id), deliver, props)


class Namespace(Generic[T]):
    """All objects of the class ``cls``, as a binding gives them."""

    def __init__(
        self,
        key: str,
        cls: type[T],
        deliver: Deliver,
        rng: random.Random,
        exported: frozenset[str] = frozenset(),
    ) -> None:
        self.key, self.cls, self.class_name, self.exported = key, cls, cls.__name__, exported
        self._deliver, self._rng = deliver, rng
        self.name_bytes = Limits.object_name_bytes
        """How long a name may be that comes from outside."""

    def id_from_name(self, name: str) -> ObjectId:
        """Return the id that ``name`` has here: always the same one."""
        return id_from_name(self.key, name)

    def new_unique_id(self) -> ObjectId:
        """Return an id that was never used."""
        return unique_id(self.key, self._rng)

    def id_from_string(self, digits: str) -> ObjectId:
        """Return the id with these 64 hexadecimal digits. Raises TypeError for an id of another namespace."""
        return id_from_string(self.key, digits)

    def get(self, object_id: ObjectId, *, props: Mapping[str, Any] | None = None) -> Stub[T]:
        """Return a stub for the object with this id. Nothing happens until it is used.

        ``props`` reach the object's start if a call of this stub wakes it.
        """
        self.id_from_string(object_id.digits)
        return Stub(self, Address(self.key, object_id), self._deliver, props)

    def get_by_name(self, name: str, *, props: Mapping[str, Any] | None = None) -> Stub[T]:
        """Return a stub for the object named ``name``."""
        return Stub(self, Address(self.key, self.id_from_name(name)), self._deliver, props)

    def jurisdiction(self, name: str) -> Namespace[T]:
        """Return the part of this namespace for a jurisdiction: the same names there are other objects."""
        part = Namespace(f"{self.key}:{name}", self.cls, self._deliver, self._rng, self.exported)
        part.name_bytes = self.name_bytes
        return part

    def __getattr__(self, name: str) -> Any:
        meant = "" if name.startswith("_") else did_you_mean(name, dir(type(self)))
        raise AttributeError(f"A namespace has no {name!r}.{meant}")

    def __repr__(self) -> str:
        return f"<Namespace {self.class_name}>"


class Stub(Generic[T]):
    """The caller's end of an object: ``fetch``, and its public methods as calls.

    ``id``, ``name`` and ``fetch`` are the stub's own; every other public name is a method of the object. ``wake`` and
    ``call_part`` are functions for that reason.

    Arguments and results cross as copies, errors as ``ObjectError`` and its kinds. Once the object was reset while a
    call of this stub ran, the stub fails for good; a new stub reaches the object anew.
    """

    def __init__(
        self, namespace: Namespace[T], address: Address, deliver: Deliver, props: Mapping[str, Any] | None
    ) -> None:
        self.id = address.id
        self._address, self._namespace, self._deliver, self._props = address, namespace, deliver, props
        self._broken: ObjectReset | None = None

    @property
    def name(self) -> str | None:
        """The name from which the id was made, if it was."""
        return self.id.name

    async def fetch(self, request: Request | str, **init: Any) -> Response:
        """Send a request to the object's ``fetch`` and return its response. ``init`` as for ``Request``."""
        if not isinstance(request, Request) or init:
            request = Request(request, **init)
        return await self._send(FetchEvent(request))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if "_namespace" not in self.__dict__:
            # Whatever makes an object without __init__() asks it for this and that.
            raise AttributeError(name)
        if not is_callable_name(self._namespace.cls, name, self._namespace.exported):
            raise AttributeError(
                f"{self._namespace.class_name} has no method {name!r} to call through a stub.{self._advice(name)}"
            )
        return functools.partial(self._call, name)

    def __copy__(self) -> Stub[T]:
        return Stub(self._namespace, self._address, self._deliver, self._props)

    def __deepcopy__(self, memo: object) -> Stub[T]:
        # It stands for an object, and is none of its data.
        return self.__copy__()

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError(
            f"{self!r} cannot be pickled: it belongs to a runtime. Keep the name of the object, and make a stub of it "
            "again where it is needed."
        )

    def __dir__(self) -> list[str]:
        cls, exported = self._namespace.cls, self._namespace.exported
        own = (name for name, _ in inspect.getmembers(cls) if is_callable_name(cls, name))
        return [*super().__dir__(), *own, *exported]

    def __repr__(self) -> str:
        return f"<Stub {self._namespace.class_name} {self.id.name if self.id.name is not None else self.id!s}>"

    def _advice(self, name: str) -> str:
        cls = self._namespace.cls
        if hasattr(cls, name) and not callable(getattr(cls, name)):
            return " Attributes stay with the object: write a method that returns it."
        return did_you_mean(name, dir(self))

    async def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        result = await self._send(CallEvent(method, *copy_arguments(args, kwargs)))
        return result.value if type(result) is HandedOver else result

    async def _call_with(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call ``method`` with arguments that are copies already, and may be what only crosses within a process."""
        result = await self._send(CallEvent(method, args, kwargs))
        return result.value if type(result) is HandedOver else result

    async def _edgeagents_wake(self) -> None:
        await self._send(StartEvent())

    async def _edgeagents_call_part(self, part: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self._call(f"{part}:{method}", *args, **kwargs)

    async def _send(self, event: Event) -> Any:
        unkept = unkept_writes()
        if unkept is not None:
            await unkept
        if self._broken is not None:
            raise self._broken
        try:
            return await self._deliver(self._address, event, self._props)
        except ObjectReset as error:
            if not error.remote:
                self._broken = error
            raise


async def wake(stub: Any) -> None:
    """Return when the object of ``stub`` is awake and started. Raises what its start raises.

    ``get_agent_by_name`` has done so for the stub that it returns; one of ``namespace.get_by_name`` does nothing yet.
    """
    await stub._edgeagents_wake()


async def call_part(stub: Any, part: str, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call ``method`` of what the object of ``stub`` is composed of, such as an agent's capability ``part``.

    ``await call_part(stub, "spending", "resume")``. Raises AttributeError when the object has no such part, or that no
    such method for other objects.
    """
    return await stub._edgeagents_call_part(part, method, *args, **kwargs)
