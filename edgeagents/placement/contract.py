"""What decides where an object lives, and what it needs of the process that it decides for."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from edgeagents.objects import Address, Event, Lease

__all__ = ["Local", "Placement"]


class Local(Protocol):
    """This process's own objects."""

    def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """Bring ``event`` to the object, waking it here if need be."""
        ...

    def knows(self, namespace: str) -> bool:
        """Return whether this process has the class of the objects in ``namespace``."""
        ...

    async def vacate(self, shard: int) -> None:
        """Make the objects of a shard leave memory; their sockets close so that clients come back."""
        ...

    def shards_in_use(self) -> set[int]:
        """Return the shards of which objects are in memory here, or have sockets."""
        ...

    def shards_changed(self, owned: list[int] | None) -> None:
        """Take note of the shards that are this process's own; None for all. Its alarms are those of their objects."""
        ...

    def drop_objects(self, error: Exception) -> None:
        """Reset every object that is here with ``error``, and close every socket so that its client comes back."""
        ...


class Placement(Protocol):
    """Decides in which process an object lives, and brings events there.

    ``start`` and ``open`` frame the making of the runtime, ``close`` and ``stop`` its end.
    """

    async def start(self, local: Local) -> None:
        """Become one of those who may own objects. Raises ``ConfigError`` when this process may own none."""
        ...

    async def open(self) -> None:
        """Begin to own objects: they can be woken from now on."""
        ...

    async def close(self) -> None:
        """Let no event in any more that other processes send. The objects are about to leave memory."""
        ...

    async def stop(self) -> None:
        """Give up every claim. The objects have left memory."""
        ...

    def lease(self, address: Address) -> Lease:
        """Return this process's right to write for the object. Raises ``OwnershipLost`` if it has none."""
        ...

    def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """Bring ``event`` to the object's owner; return or raise what the object's handler does."""
        ...
