"""The middleware: agents inside of an ASGI app that is there already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edgeagents.asgi.addresses import route_path
from edgeagents.asgi.app_response import respond
from edgeagents.asgi.serving import Serving
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import ASGIApp, Receive, Scope, Send
from edgeagents.http import Request, Response
from edgeagents.http.origins import AllowedOrigins, Hosts
from edgeagents.objects import DEFAULT_HISTORY, Durability, History, Limits
from edgeagents.runtime import Runtime

__all__ = ["AgentsMiddleware"]


class AgentsMiddleware:
    """Serves agents under ``/{prefix}/{agent}/{name}`` and passes everything else to ``app`` untouched.

    All paths below ``/{prefix}/`` are the agents': one that names no agent is answered with 400.

    ``app.add_middleware(AgentsMiddleware, agents=[Counter], storage="state")`` in FastAPI and Starlette,
    ``AgentsMiddleware(app, agents=[Counter])`` around any other ASGI app. In the code of ``app``,
    ``get_agent_by_name(Counter, name)`` finds the agents.

    One per app: of two, around each other, both serve, but the app's code finds only the agents of the inner one. The
    server's event loop is asyncio's: hypercorn's trio workers cannot run it.

    The runtime starts with the server's lifespan, or with the first request where there is none, as in FastAPI's
    ``TestClient(app)`` without ``with``. Where each request or test has an event loop of its own, a new runtime starts
    on each, as after a crash: connections are gone, and what was kept is there. So it is with ``storage=None`` too,
    whose memory lasts until the end of the lifespan or, without one, as long as this value.

    One that is given as ``runtime`` takes the place of the arguments that would make one, and starts once. The other
    arguments are those of ``Runtime``.
    ``allowed_hosts`` are the names under which agents answer (``".example.com"`` with all below it); None is any.
    ``keep_alive_seconds`` is how long an event stream may be silent before a comment is sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        agents: Sequence[type] = (),
        *,
        storage: str | os.PathLike[str] | None = "state",
        prefix: str = "agents",
        cors: bool | Mapping[str, str] | None = None,
        env: Mapping[str, Any] | None = None,
        plugins: Sequence[object] = (),
        discover_plugins: bool = True,
        on_before_connect: Callable[..., Any] | None = None,
        on_before_request: Callable[..., Any] | None = None,
        allowed_origins: AllowedOrigins = None,
        allowed_hosts: Iterable[str] | None = None,
        limits: Limits | None = None,
        durability: Durability = "full",
        history: History | None = DEFAULT_HISTORY,
        model_fallback: str | None = None,
        debug: bool = False,
        keep_alive_seconds: float = 15.0,
        runtime: Runtime | None = None,
    ) -> None:
        if runtime is not None and agents:
            raise TypeError("Give AgentsMiddleware either agents or a runtime: a runtime has its agents.")

        def make() -> Runtime:
            if runtime is not None:
                return runtime
            return Runtime(
                agents=agents,
                storage=storage,
                prefix=prefix,
                cors=cors,
                env=env,
                plugins=plugins,
                discover_plugins=discover_plugins,
                on_before_connect=on_before_connect,
                on_before_request=on_before_request,
                allowed_origins=allowed_origins,
                limits=limits,
                durability=durability,
                history=history,
                model_fallback=model_fallback,
                respond=respond,
                debug=debug,
            )

        first = make()
        settings = Settings(
            limits=first.limits,
            clock=first.clock,
            keep_alive_seconds=keep_alive_seconds,
            claims=self._claims,
            debug=first.debug,
        )
        self._app = app
        self._hosts = None if allowed_hosts is None else Hosts(allowed_hosts)
        self._serving = Serving(first, make, settings, self._serve)

    def _claims(self, request: Request) -> bool:
        runtime = self.runtime
        return runtime.router.claims(request.path) or any(each.claims(request) for each in runtime.transports)

    @property
    def runtime(self) -> Runtime:
        """The runtime that serves the agents now."""
        return self._serving.runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        serving = self._serving
        if kind in ("http", "websocket"):
            agents = await serving.ready()
            runtime = serving.runtime
            if runtime.transports or runtime.router.claims(route_path(scope)):
                await agents(scope, receive, send)
                return
            with runtime.in_context():
                await self._app(scope, receive, send)
        elif kind == "lifespan":
            await serving.lifespan(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        runtime = self._serving.runtime
        with runtime.in_context():
            handle = runtime.route if self._hosts is None else self._route_for_hosts
            if not await self._serving.answer(scope, receive, send, handle):
                await self._app(scope, receive, send)

    async def _route_for_hosts(self, request: Request) -> Response | None:
        assert self._hosts is not None
        runtime = self.runtime
        if self._hosts.allows(request.headers.get("host", "")):
            return await runtime.route(request)
        is_ours = runtime.router.claims(request.path) or any(each.claims(request) for each in runtime.transports)
        return Response("This host is not allowed here.", status=403) if is_ours else None
