"""This process's own objects: what the placement brings events to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from edgeagents.errors import ObjectReset
from edgeagents.objects import (
    Address,
    AlarmEvent,
    Deliver,
    Directory,
    Event,
    Namespace,
    Namespaces,
    ObjectId,
    World,
)
from edgeagents.objects.hibernation import Slot
from edgeagents.objects.rpc import exported_names

__all__ = ["LocalObjects"]

T = TypeVar("T")

_log = logging.getLogger("edgeagents.runtime")


class LocalObjects:
    """The objects of one runtime that are in this process, by namespace. See ``edgeagents.placement.Local``.

    ``world`` and ``send`` are set while the runtime starts: until then there is no namespace.
    """

    world: World
    send: Deliver
    """Brings an event to an object, wherever it lives."""

    def __init__(self, env: object, by_class: Namespaces) -> None:
        self.directories: dict[str, Directory] = {}
        self.by_class = by_class
        self.is_first = False
        """Whether this process is the one, of several on a state folder, that does what only one of them may do."""
        self._env = env

    def namespace_of(self, cls: type[T], key: str, *, has_sql: bool) -> Namespace[T]:
        """Return the namespace of ``cls``, made under ``key`` if need be."""
        namespace = self.by_class.get(cls)
        if namespace is None:
            self.directories[key] = Directory(key, cls, self._env, self.world, has_sql=has_sql)
            exported = exported_names(cls, self.world.capabilities)
            namespace = self.by_class[cls] = Namespace(key, cls, self.send, self.world.rng, exported)
            namespace.name_bytes = self.world.limits.object_name_bytes
            # Programs may know the class by another one, in whose place it runs.
            other = getattr(cls, "_stands_for", None)
            if other is not None:
                self.by_class[other] = namespace
        return namespace

    async def wake_for_alarm(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...]) -> None:
        """Wake the object, which may live elsewhere by now, since its alarm is due."""
        await self.send(Address(namespace, object_id), AlarmEvent(facets), None)

    # What the placement needs

    def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """See ``Local``."""
        return self._directory(address.namespace).deliver(address.id, event, props)

    def knows(self, namespace: str) -> bool:
        """See ``Local``."""
        return namespace.partition(":")[0] in self.directories

    async def vacate(self, shard: int) -> None:
        """See ``Local``."""
        _raise_all(await _stop([slot for slot in self._slots() if slot.id.shard == shard]))

    def shards_in_use(self) -> set[int]:
        """See ``Local``."""
        return {slot.id.shard for slot in self._slots()}

    def shards_changed(self, owned: list[int] | None) -> None:
        """See ``Local``."""
        self.is_first = owned is None or 0 in owned
        self.world.alarms.limit_to(owned)

    def drop_objects(self, error: Exception) -> None:
        """See ``Local``."""
        for slot in self._slots():
            try:
                slot.reset(error)
            except Exception:
                _log.exception("%s could not be reset as it should", slot.title)

    def _slots(self) -> list[Slot]:
        return [slot for directory in self.directories.values() for slot in directory.slots()]

    def _directory(self, key: str) -> Directory:
        directory = self.directories.get(key)
        if directory is None:
            # A jurisdiction is a part of its namespace, with files of its own.
            whole = self.directories[key.partition(":")[0]]
            directory = Directory(key, whole.cls, whole.env, whole.world, has_sql=whole.has_sql)
            self.directories[key] = directory
        return directory

    # The end

    async def stop(self) -> None:
        """Make all of them leave memory. What one of them raises at its end is raised when all have left.

        One that calls another as it ends may wake it, in this process or for another jurisdiction; those end in a
        second round, in which nothing wakes any more.
        """
        errors = await _stop(self._slots())
        self.world.lease = _refuse
        _raise_all([*errors, *await _stop(self._slots())])


async def _stop(slots: Iterable[Slot]) -> list[Exception]:
    """Make objects leave memory; their sockets close with 1012, so that clients come back. Return what they raised."""
    errors: list[Exception] = []
    for slot in slots:
        slot.drop_sockets(1012, "The server is restarting")
        try:
            await slot.stop()
        except Exception as error:
            errors.append(error)
    return errors


def _raise_all(errors: list[Exception]) -> None:
    if errors:
        raise errors[0] if len(errors) == 1 else ExceptionGroup("Objects could not end as they should", errors)


def _refuse(address: Address) -> NoReturn:
    raise ObjectReset("The runtime has stopped.")
