"""The placement of several processes on one state folder: an object lives in one of them, the others send events there.

All objects are divided in shards, and a process owns shards by leases (``registry``, ``members``). What it does not own
it sends to the process that does, over a local socket (``link``). A shard whose owner is dead or frozen is taken by the
first process that needs it. Each process aims at its fair share: it takes what is free, and gives up what it has too
much of, once no object of that shard is in memory. One that is asked for an object of a class that it does not have, as
an old release may be by a new one, gives that shard up at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final

from edgeagents.errors import ObjectError, OwnershipLost, StorageError, StorageUnavailable
from edgeagents.objects import SHARDS, Address, Event, Lease
from edgeagents.placement.contract import Local
from edgeagents.placement.folder_claim import FolderClaim
from edgeagents.placement.link import Link, LinkLost
from edgeagents.placement.members import Member, Peer, owners_folder
from edgeagents.placement.owners_end import OwnersEnd
from edgeagents.placement.registry import Registry
from edgeagents.placement.remote_call import Moved, call
from edgeagents.placement.shared_file import is_locked

__all__ = ["SharedFolder"]

_PATIENCE: Final = 10.0
_SHARING_SECONDS: Final = 1.0
_PAUSE: Final = 0.02
_SOCKET_PATH_BYTES: Final = 100

_log = logging.getLogger("edgeagents.placement")


class SharedFolder:
    """Any number of processes that run ``worker`` share its part of ``folder``.

    A lease holds for ``lease_seconds`` and is renewed four times in it.

    A process that dies is replaced at once, one that is frozen when its leases have ended. What a process does while it
    is frozen is refused; when it goes on, its objects are dropped and its clients told to come back.
    """

    def __init__(self, folder: Path, worker: str = "", *, lease_seconds: float = 5.0) -> None:
        self._owners_folder, self._seconds = owners_folder(folder, worker), lease_seconds
        self._claim = FolderClaim(folder)
        self._leases: list[Lease | None] = [None] * SHARDS
        self._owners: dict[int, Peer] = {}
        self._links: dict[Peer, asyncio.Task[Link]] = {}
        self._outgoing: set[Link] = set()
        self._incoming: set[Link] = set()
        self._vacating: dict[int, asyncio.Task[None]] = {}
        self._is_open = False
        self._stopped = threading.Event()
        self._sharing: asyncio.Task[None] | None = None

    # Life

    async def start(self, local: Local) -> None:
        """See ``Placement``."""
        self._local = local
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as begun:
            self._claim.share()
            begun.callback(self._claim.release)
            self._socket = self._socket_path(begun)
            self._server = await asyncio.start_unix_server(self._connected, self._socket)
            begun.callback(_unlink_socket, self._socket)
            begun.callback(self._server.close)
            os.chmod(self._socket, 0o600)
            self._registry = Registry(self._owners_folder)
            begun.callback(self._registry.close)
            self._member = self._join()
            begun.callback(self._leave)
            begun.push_async_callback(self._end_links)
            self._beat = threading.Thread(target=self._renew, name="edgeagents leases", daemon=True)
            self._beat.start()
            begun.callback(self._beat.join)
            begun.callback(self._stopped.set)
            self._begun = begun.pop_all()

    def _socket_path(self, begun: AsyncExitStack) -> str:
        name = f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        folder = self._owners_folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(os.fsencode(folder / name)) > _SOCKET_PATH_BYTES:
            # The operating system bounds the path of a socket.
            made = tempfile.mkdtemp(prefix="edgeagents-")
            begun.callback(shutil.rmtree, made, ignore_errors=True)
            return f"{made}/{name}"
        return str(folder / name)

    def _join(self) -> Member:
        return self._registry.join(lambda _: self._socket, self._seconds)

    async def open(self) -> None:
        """See ``Placement``."""
        self._is_open = True
        self._share()
        self._sharing = asyncio.create_task(self._keep_sharing(), name="shares of the state folder")

    async def close(self) -> None:
        """See ``Placement``."""
        self._is_open = False
        for task in (*self._vacating.values(), *([] if self._sharing is None else [self._sharing])):
            task.cancel()
        self._server.close()
        leaving = [asyncio.create_task(link.say_leaving()) for link in self._incoming]
        if leaving:
            # One that is frozen does not hold this process up.
            await asyncio.wait(leaving, timeout=self._seconds)

    async def stop(self) -> None:
        """See ``Placement``."""
        await self._begun.aclose()

    async def _end_links(self) -> None:
        await asyncio.gather(*(link.ended(self._seconds) for link in (*self._incoming, *self._outgoing)))

    def _leave(self) -> None:
        try:
            owned = (shard for shard, lease in enumerate(self._leases) if lease is not None)
            self._registry.release(self._member, owned)
        except StorageError as error:
            # That the member has left is enough: others take what it had.
            _log.warning("%s", error)
        finally:
            self._member.leave()

    # Leases

    def lease(self, address: Address) -> Lease:
        """See ``Placement``."""
        lease = self._leases[address.id.shard]
        if lease is None or time.monotonic() >= self._member.holds_until:
            raise OwnershipLost
        return lease

    def _renew(self) -> None:
        # In a thread: a handler that blocks the event loop for long does not cost this process its objects.
        while not self._stopped.wait(self._seconds / 4):
            member = self._member
            try:
                is_held = member.renew()
            except OSError as error:
                # It may go well the next time, while the leases still hold.
                _log.warning("The leases in %s could not be renewed: %s", self._owners_folder, error)
                is_held = member.holds_until > time.monotonic()
            if not is_held:
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._lapsed, member)

    def _lapsed(self, member: Member) -> None:
        """The leases ended before they were renewed: others may have what this process had."""
        if member is not self._member or self._stopped.is_set():
            return
        _log.warning("This process did not run for %g s: what it owned may have another owner now.", self._seconds)
        self._leases = [None] * SHARDS
        self._owners.clear()
        self._local.drop_objects(OwnershipLost())
        for link in tuple(self._incoming):
            link.close()
        # Its old membership ends after its objects have left memory, so that none can write by an old token unnoticed.
        self._note_shards()
        try:
            self._member = self._join()
        except (StorageError, OSError) as error:
            # It is tried again when the leases are to be renewed next.
            _log.warning("This process owns nothing until it can join again: %s", error)
        else:
            member.leave()

    async def _keep_sharing(self) -> None:
        while True:
            await asyncio.sleep(min(self._seconds / 2, _SHARING_SECONDS))
            try:
                self._share()
            except (StorageError, OSError) as error:
                _log.warning("The shares of the state folder could not be looked at: %s", error)

    def _share(self) -> None:
        for peer, task in tuple(self._links.items()):
            if peer.standing != "alive":
                self._unlink(peer, task)
        mine = sum(lease is not None for lease in self._leases)
        fair = math.ceil(SHARDS / max(self._registry.count_members(), 1))
        if mine < fair:
            taken = self._registry.claim_free(self._member, fair - mine)
            for shard, lease in taken.items():
                self._leases[shard] = lease
                self._owners.pop(shard, None)
            if taken:
                self._note_shards()
        elif mine > fair:
            self._give_up(mine - fair)

    def _give_up(self, count: int) -> None:
        in_use = self._local.shards_in_use()
        idle = [shard for shard, lease in enumerate(self._leases) if lease is not None and shard not in in_use]
        given = idle[:count]
        if given:
            # First where the others look: what this process only forgot would be nobody's.
            self._registry.release(self._member, given)
            for shard in given:
                self._leases[shard] = None
            self._note_shards()

    def _hand_over(self, shard: int) -> None:
        """Give up a shard, for a process that has more classes than this one, as a new release may."""
        if shard not in self._vacating:
            task = asyncio.create_task(self._vacate(shard), name=f"hand over the shard {shard}")
            task.add_done_callback(lambda _: self._vacating.pop(shard, None))
            self._vacating[shard] = task

    async def _vacate(self, shard: int) -> None:
        # What comes for its objects waits until somebody has it again.
        self._leases[shard] = None
        self._note_shards()
        await self._local.vacate(shard)
        self._registry.release(self._member, [shard])
        # The one that needs it comes first.
        await asyncio.sleep(5 * _PAUSE)

    def _note_shards(self) -> None:
        owned = [shard for shard, lease in enumerate(self._leases) if lease is not None]
        self._local.shards_changed(None if len(owned) == SHARDS else owned)

    # Events

    def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """See ``Placement``."""
        if self._leases[address.id.shard] is not None and time.monotonic() < self._member.holds_until:
            return self._local.deliver(address, event, props)
        return self._deliver(address, event, props)

    async def _deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
        shard = address.id.shard
        patience = time.monotonic() + self._seconds + _PATIENCE
        reason: Exception | None = None
        while not self._stopped.is_set():
            try:
                owner = self._owner(shard)
                if owner is None:
                    return await self._local.deliver(address, event, props)
                return await call(await self._link_to(owner), address, event, props)
            except (Moved, LinkLost):
                # Nothing was done: its owner gives it up just now, or has gone, or takes no more.
                self._owners.pop(shard, None)
                reason = None
            except _OwnersUnknown as error:
                if reason is not None and is_locked(reason):
                    self._registry.end_lapsed()
                reason = error.reason
            if time.monotonic() > patience:
                break
            await asyncio.sleep(_PAUSE)
        if reason is not None:
            raise reason
        raise ObjectError("The process that owns this object does not answer. Try again.")

    def _owner(self, shard: int) -> Peer | None:
        """Return which other process has the shard; None when this one has it, if need be from now on."""
        if self._leases[shard] is not None and time.monotonic() < self._member.holds_until:
            return None
        owner = self._owners.get(shard)
        if owner is not None:
            return owner
        if not self._is_open or shard in self._vacating or time.monotonic() >= self._member.holds_until:
            raise Moved
        try:
            found = self._registry.claim(self._member, shard)
        except StorageUnavailable as error:
            raise _OwnersUnknown(error) from error
        if isinstance(found, Peer):
            self._owners[shard] = found
            return found
        self._leases[shard] = found
        self._note_shards()
        return None

    # Links

    async def _link_to(self, peer: Peer) -> Link:
        task = self._links.get(peer)
        if task is None or (task.done() and not _takes_more(task)):
            task = self._links[peer] = asyncio.create_task(self._connect(peer.socket))
        await asyncio.wait([task])
        if not _is_linked(task):
            raise LinkLost
        return task.result()

    async def _connect(self, path: str) -> Link:
        link = Link(*await asyncio.open_unix_connection(path), on_close=self._outgoing.discard)
        self._outgoing.add(link)
        try:
            await link.greeted()
        except asyncio.CancelledError:
            link.close()
            raise
        return link

    def _unlink(self, peer: Peer, task: asyncio.Task[Link]) -> None:
        del self._links[peer]
        for shard in [shard for shard, owner in self._owners.items() if owner == peer]:
            del self._owners[shard]
        if _is_linked(task):
            task.result().close()
        else:
            task.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._incoming.add(Link(reader, writer, self._opened, self._incoming.discard))

    def _opened(self, link: Link, number: int, packed: list[Any]) -> OwnersEnd:
        return OwnersEnd(link, number, packed, self._handle)

    def _handle(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any] | None:
        if not self._is_open or self._leases[address.id.shard] is None:
            return None
        if time.monotonic() >= self._member.holds_until:
            return None
        if not self._local.knows(address.namespace):
            self._hand_over(address.id.shard)
            return None
        return self._local.deliver(address, event, props)


def _unlink_socket(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


class _OwnersUnknown(Exception):
    """Who owns an object could not be looked up just now."""

    def __init__(self, reason: StorageUnavailable) -> None:
        self.reason = reason


def _is_linked(task: asyncio.Task[Link]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _takes_more(task: asyncio.Task[Link]) -> bool:
    return _is_linked(task) and task.result().takes_more
