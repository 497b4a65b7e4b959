"""A runtime behind a server: when it starts, what it serves with, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from edgeagents.asgi.broken_off import log_as_lines
from edgeagents.asgi.http import serve_http
from edgeagents.asgi.lifespan import serve_lifespan
from edgeagents.asgi.settings import OpenConnections, Settings
from edgeagents.asgi.stop_notice import StopNotice
from edgeagents.asgi.types import ASGIApp, Handle, Receive, Scope, Send
from edgeagents.asgi.websocket import serve_websocket

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["Serving"]

_DRAIN_SECONDS: Final = 1.0


class Serving:
    """Starts a runtime with the server's lifespan, or else with the first request, and stops it with the server.

    One that runs already is somebody else's and is not stopped. After the end of ``first``, a new lifespan gets a new
    runtime from ``make``: tests start one app many times. Without a lifespan nobody says that it is over: when a
    request comes after the event loop was closed, as with a test client that makes a loop for each, the runtime of that
    loop is let go of and a new one starts, with what the other one had in memory.
    """

    def __init__(self, first: Runtime, make: Callable[[], Runtime], settings: Settings, app: ASGIApp) -> None:
        self.runtime, self._make = first, make
        self._first_settings = self.settings = settings
        self._app = app
        self._ready: ASGIApp | None = None
        self._notice: StopNotice | None = None
        self._is_ours = False
        self._leaving: asyncio.Task[None] | None = None

    async def ready(self) -> ASGIApp:
        """Return what serves the agents, with the runtime started."""
        if self._ready is None or self.runtime.state != "running" or self.runtime.is_stranded:
            await self._start()
            assert self._ready is not None
        return self._ready

    async def _start(self) -> None:
        await self._leave_closed_loop()
        if self.runtime.state == "stopped":
            before, self.runtime = self.runtime, self._make()
            if self.runtime is before:
                raise RuntimeError(
                    "This runtime has stopped, maybe with its event loop, and cannot be started again. Enter the "
                    "lifespan of the app, as with TestClient(app), or give AgentsMiddleware agents: for these it makes "
                    "a runtime each time."
                )
            self.runtime.go_on_from(before)
        runtime = self.runtime
        if runtime.state != "running":
            self._is_ours = True
            await runtime.ensure_started()
        if self._ready is None:
            self.settings = replace(self._first_settings, connections=OpenConnections(self._listen))
            self._ready = _wrapped(runtime, self._app)
            self._notice = StopNotice(lambda: self.settings.connections.drain())
            self._notice.listen_for_signals()
            log_as_lines()

    async def _leave_closed_loop(self) -> None:
        if self._leaving is not None and self._leaving.get_loop().is_closed():
            self._leaving = None
        if self._leaving is None and self._is_ours and self.runtime.is_stranded:
            self._leaving = asyncio.create_task(self.stop(), name="edgeagents: a runtime is let go of")
        if (leaving := self._leaving) is not None:
            # Requests at the same time share it: what it holds must be free before the next runtime starts.
            await asyncio.shield(leaving)
            if self._leaving is leaving:
                self._leaving = None

    def _listen(self) -> None:
        if self._notice is not None:
            self._notice.listen_to_hypercorn()

    async def drain(self) -> None:
        """End the streams and sockets that are open."""
        # What was told to end writes its last bytes before anything below it is taken away.
        await self.settings.connections.drained(_DRAIN_SECONDS)

    async def stop(self) -> None:
        """Stop the runtime, if it was started here."""
        self._ready = None
        if self._notice is not None:
            self._notice.close()
            self._notice = None
        if self._is_ours:
            self._is_ours = False
            await self.runtime.stop()

    async def lifespan(self, app: ASGIApp | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the lifespan of ``app`` inside of the runtime's own."""
        await serve_lifespan(
            scope,
            receive,
            send,
            app=None if app is None else self._in_context(app),
            start=self._start,
            drain=self.drain,
            stop=self.stop,
        )

    def _in_context(self, app: ASGIApp) -> ASGIApp:
        async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
            with self.runtime.in_context():
                await app(scope, receive, send)

        return lifespan

    async def answer(self, scope: Scope, receive: Receive, send: Send, handle: Handle) -> bool:
        """Let ``handle`` answer a request or handshake. Return False when it returned None."""
        serve = serve_http if scope["type"] == "http" else serve_websocket
        return await serve(scope, receive, send, handle, self.settings)


def _wrapped(runtime: Runtime, app: ASGIApp) -> ASGIApp:
    # The hook's implementations wrap each other, so each is given what the one before it returned.
    given = {"runtime": runtime}
    for implementation in runtime.hook.wrap_asgi.get_hookimpls():
        values: list[Any] = [app if name == "app" else given[name] for name in implementation.argnames]
        wrap: Callable[..., ASGIApp] = implementation.function
        app = wrap(*values)
    return app
