"""The placement of one process: every object lives here."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from edgeagents.objects import Address, Event, Lease
from edgeagents.placement.contract import Local
from edgeagents.placement.folder_claim import FolderClaim

__all__ = ["SingleProcess"]


class SingleProcess:
    """Everything lives in this process, which holds the state folder (None: memory, nothing to hold).

    Its databases need no locks of their own, which makes a commit a little cheaper than where processes share a folder.
    """

    def __init__(self, folder: Path | None, worker: str = "") -> None:
        self._claim = FolderClaim(folder) if folder is not None else None
        self._lease = Lease(1)
        self._local: Local | None = None

    async def start(self, local: Local) -> None:
        """See ``Placement``."""
        if self._claim is not None:
            self._lease = Lease(self._claim.take_whole())
        self._local = local

    async def open(self) -> None:
        """See ``Placement``."""
        assert self._local is not None
        self._local.shards_changed(None)

    async def close(self) -> None:
        """See ``Placement``. Nothing comes from elsewhere."""

    async def stop(self) -> None:
        """See ``Placement``."""
        self._local = None
        if self._claim is not None:
            self._claim.release()

    def lease(self, address: Address) -> Lease:
        """See ``Placement``."""
        return self._lease

    def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """See ``Placement``."""
        if self._local is None:
            raise RuntimeError("The runtime is not running.")
        return self._local.deliver(address, event, props)
