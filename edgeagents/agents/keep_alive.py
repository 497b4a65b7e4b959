"""Keeping an agent awake: in memory while something holds it, and woken again should the process end meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.jobs import Job

__all__ = ["KeepAlive", "Lease"]

T = TypeVar("T")

_CAPABILITY: Final = "host"
_ID: Final = "cf:keep-alive"


class Lease:
    """Holds an agent awake until it is called, or until the ``with`` or ``async with`` block that it stands in ends."""

    def __init__(self, release: Callable[[], object]) -> None:
        self._release: Callable[[], object] | None = release

    def __call__(self) -> None:
        """Hold the agent no more. Harmless when repeated."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __await__(self) -> Generator[Any, None, Lease]:
        return self
        yield

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self()

    async def __aenter__(self) -> Lease:
        return self

    async def __aexit__(self, *_: object) -> None:
        self()


class KeepAlive(Capability):
    """Counts who holds the agent awake. While anybody does, a heartbeat is kept among the agent's jobs."""

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self._loop = asyncio.get_running_loop()
        self._holders = 0
        self._awake: AbstractContextManager[None] | None = None
        host.jobs.on(_CAPABILITY, "keepAlive", self._beat)

    def keep_alive(self) -> Lease:
        """Keep the agent in memory until the lease that this returns is called: ``dispose = self.keep_alive()``.

        ``await`` it or not, or use it as a context: ``async with self.keep_alive(): ...``. Should the process end
        meanwhile, the agent wakes again by itself within the ``keep_alive_interval_ms`` of its options.
        """
        self._holders += 1
        if self._holders == 1:
            self.host.jobs.push(_CAPABILITY, "keepAlive", id=_ID, due=self._next_beat())
            self._on_loop(self._hold)
        return Lease(self._release)

    async def keep_alive_while(self, fn: Callable[[], Awaitable[T] | T]) -> T:
        """Return what ``fn`` returns, and keep the agent in memory meanwhile."""
        with self.keep_alive():
            return await self.host.ctx.invoke(fn)

    async def dispose(self) -> None:
        self._holders = 0
        self._hold()

    def _release(self) -> None:
        self._holders = max(0, self._holders - 1)
        if self._holders == 0 and self.host.ctx.is_alive:
            self.host.jobs.remove(_CAPABILITY, _ID)
            self._on_loop(self._hold)

    async def _beat(self, job: Job) -> datetime | None:
        return self._next_beat() if self._holders else None

    def _next_beat(self) -> datetime:
        return self.host.ctx.clock.now() + timedelta(milliseconds=self.host.options.keep_alive_interval_ms)

    def _hold(self) -> None:
        """See that the object is held if anybody holds the agent, and not otherwise."""
        if self._holders and self._awake is None:
            self._awake = self.host.ctx.keep_awake()
            self._awake.__enter__()
        elif not self._holders and self._awake is not None:
            awake, self._awake = self._awake, None
            awake.__exit__(None, None, None)

    def _on_loop(self, fn: Callable[[], object]) -> None:
        if self.host.ctx.is_on_loop:
            fn()
        else:
            self._loop.call_soon_threadsafe(fn)
