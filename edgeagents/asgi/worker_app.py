"""A worker as an ASGI app of its own: every request goes to its entrypoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagents.asgi.serving import Serving
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Handle, Receive, Scope, Send

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["WorkerApp"]


class WorkerApp:
    """Serves ``runtime.fetch``, or ``fetch`` in its place. The runtime starts and stops with the server's lifespan."""

    def __init__(self, runtime: Runtime, *, fetch: Handle | None = None, keep_alive_seconds: float = 15.0) -> None:
        settings = Settings(
            limits=runtime.limits, clock=runtime.clock, keep_alive_seconds=keep_alive_seconds, debug=runtime.debug
        )
        self.runtime = runtime
        self._fetch = fetch or runtime.fetch
        self._serving = Serving(runtime, lambda: runtime, settings, self._serve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind in ("http", "websocket"):
            app = await self._serving.ready()
            await app(scope, receive, send)
        elif kind == "lifespan":
            await self._serving.lifespan(None, scope, receive, send)
        else:
            raise ValueError(f"A worker cannot serve an ASGI scope of type {kind!r}.")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.runtime.in_context():
            await self._serving.answer(scope, receive, send, self._fetch)
