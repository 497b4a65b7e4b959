"""The placement of one process: every object lives here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from edgeagents.objects import Address, Event
from edgeagents.placement.lease import FolderLease, Lease

__all__ = ["Local", "Placement", "SingleProcess"]


class Local(Protocol):
    """This process's own objects."""

    async def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
        """Bring ``event`` to the object, waking it here if need be."""
        ...


class Placement(Protocol):
    """Decides in which process an object lives, and brings events there."""

    async def start(self, local: Local) -> None:
        """Claim what this process may own. Raises ``ConfigError`` when it may own nothing."""
        ...

    async def stop(self) -> None:
        """Give up every claim. The objects have left memory."""
        ...

    def lease(self, address: Address) -> Lease | None:
        """Return this process's right to write for the object, or None if it has none."""
        ...

    async def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
        """Bring ``event`` to the object's owner; return or raise what the object's handler does."""
        ...


class SingleProcess:
    """Everything lives in this process, which holds the state folder (None: memory, nothing to hold)."""

    def __init__(self, folder: Path | None) -> None:
        self._claim = FolderLease(folder) if folder is not None else None
        self._lease: Lease | None = None
        self._local: Local | None = None

    async def start(self, local: Local) -> None:
        self._lease = self._claim.claim() if self._claim is not None else Lease(1)
        self._local = local

    async def stop(self) -> None:
        self._lease = self._local = None
        if self._claim is not None:
            self._claim.release()

    def lease(self, address: Address) -> Lease | None:
        return self._lease

    async def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
        if self._local is None:
            raise RuntimeError("The runtime is not running.")
        return await self._local.deliver(address, event, props)
