"""Waiting for the disk together: those who come while a sync runs share the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgeagents.errors import StorageUnavailable

__all__ = ["GroupSync"]


class GroupSync:
    """Calls ``sync``, which blocks, in a thread. ``what`` names what it syncs in errors."""

    def __init__(self, sync: Callable[[], object], what: str) -> None:
        self._sync, self._what = sync, what
        self._is_running = False
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return when a sync that began after this call has ended.

        Raises ``StorageUnavailable`` when the disk does not do it, and whatever else ``sync`` raises.
        """
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_future()
        mine = self._next
        if not self._is_running:
            self._start(loop)
        # One of those who wait may be cancelled: the others wait on.
        await asyncio.shield(mine)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        future, self._next, self._is_running = self._next, None, True
        assert future is not None

        async def run() -> None:
            try:
                await asyncio.to_thread(self._sync)
            except Exception as error:
                future.set_exception(self._told(error))
                future.exception()  # Nobody may be waiting any more.
            else:
                future.set_result(None)
            finally:
                future.cancel()  # Unless it is done.
                self._is_running = False
                if self._next is not None:
                    self._start(loop)

        self._task = loop.create_task(run(), name=f"syncing {self._what}")

    def _told(self, error: Exception) -> Exception:
        if not isinstance(error, OSError):
            return error
        told = StorageUnavailable(f"{self._what} cannot be used: {error}")
        told.__cause__ = error
        return told
