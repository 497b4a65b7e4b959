"""A session with an MCP server: open while it is used and a while longer, and opened again when it is needed.

The official package's client has to be entered and left by one task, which belongs to the agent. While a session is
open its agent stays awake; an idle one is ended, so that its agent may leave memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp import Client

    from edgeagents.objects import ObjectContext, TimerHandle

__all__ = ["OpenSession"]


class OpenSession:
    """The session with one server. ``connect`` makes and enters a client; ``closed`` is called when it has ended."""

    def __init__(
        self,
        ctx: ObjectContext,
        connect: Callable[[], AbstractAsyncContextManager[Client]],
        idle_seconds: float,
        closed: Callable[[Exception | None], object],
    ) -> None:
        self._ctx, self._connect, self._idle_seconds, self._closed = ctx, connect, idle_seconds, closed
        self._opened: asyncio.Future[Client] | None = None
        self._end = asyncio.Event()
        self._ended: asyncio.Future[None] | None = None
        self._users = 0
        self._timer: TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open, or being opened."""
        return self._opened is not None

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Client]:
        """Give the client, of a new session if need be. Raises what makes that fail."""
        self._users += 1
        self._stop_timer()
        try:
            if self._opened is None:
                self._open()
            assert self._opened is not None
            yield await asyncio.shield(self._opened)
        finally:
            self._users -= 1
            if not self._users and self._opened is not None:
                self._stop_timer()
                self._timer = self._ctx.clock.call_later(self._idle_seconds, self._finish)

    async def close(self) -> None:
        """End it, and return when it has ended. Harmless when it is not open."""
        self._stop_timer()
        ended = self._ended
        if ended is not None:
            self._finish()
            with contextlib.suppress(Exception):
                await asyncio.shield(ended)

    def _finish(self) -> None:
        # Whoever comes from now on gets another session.
        self._opened = None
        self._end.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._end = end = asyncio.Event()
        self._opened = opened = loop.create_future()
        self._ended = loop.create_future()
        # Not ``spawn``: it has to go on while the agent starts, where on_start() may wait for its servers.
        self._ctx.wait_until(self._run(opened, end, self._ended))

    async def _run(self, opened: asyncio.Future[Any], end: asyncio.Event, ended: asyncio.Future[None]) -> None:
        failure: Exception | None = None
        try:
            async with self._connect() as client:
                opened.set_result(client)
                await end.wait()
        except Exception as error:
            failure = error
        finally:
            if self._opened is opened:
                self._opened = None
                self._stop_timer()
            if self._ended is ended:
                self._ended = None
            was_open = opened.done()
            if not was_open:
                opened.set_exception(failure or ConnectionError("The connection was cancelled."))
                opened.exception()  # Whoever asked for it may have gone.
            ended.set_result(None)
        if was_open:
            self._closed(failure)
