"""One small application in each framework, with the same agents in it and the same routes beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from edgeagents.agents import Agent, Connection, callable, get_agent_by_name
from edgeagents.asgi import AgentsMiddleware
from edgeagents.http import Request, Response

log: list[str] = []
go_on: dict[str, asyncio.Event] = {}


class Counter(Agent):
    """Counts, streams and echoes."""

    initial_state = {"n": 0}

    @callable()
    async def add(self, by: int = 1) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def on_request(self, request: Request) -> Any:
        if request.path.endswith("/events"):
            return Response(self.events(), headers={"content-type": "text/event-stream"})
        if request.path.endswith("/fail"):
            raise RuntimeError("a secret of the inside")
        return {"name": self.name, "n": self.state["n"], "url": request.url, "path": request.path}

    async def events(self) -> AsyncIterator[str]:
        event = go_on.setdefault(self.name, asyncio.Event())
        yield "data: one\n\n"
        await event.wait()
        yield "data: two\n\n"

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(message)


async def bump(name: str) -> int:
    counter = await get_agent_by_name(Counter, name)
    return await counter.add(2)


OPTIONS: dict[str, Any] = {"agents": [Counter], "storage": None, "durability": "memory", "discover_plugins": False}


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    # Agents may be used while the application starts, and until it has stopped.
    log.append(f"app starts with {await bump('of lifespan')}")
    yield
    log.append(f"app stops with {await bump('of lifespan')}")


def fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(AgentsMiddleware, **OPTIONS)

    @app.post("/bump/{name}")
    async def _(name: str) -> dict[str, int]:
        return {"n": await bump(name)}

    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    return Starlette(
        routes=_starlette_routes(), lifespan=lifespan, middleware=[Middleware(AgentsMiddleware, **OPTIONS)]
    )


def _starlette_routes() -> list[Any]:
    from starlette.requests import Request as StarletteRequest
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def endpoint(request: StarletteRequest) -> JSONResponse:
        return JSONResponse({"n": await bump(request.path_params["name"])})

    return [Route("/bump/{name}", endpoint, methods=["POST"])]


def behind_middleware() -> Any:
    """Behind middleware of Starlette that wraps, compresses and adds headers."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.middleware.gzip import GZipMiddleware

    async def add_header(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-seen"] = "yes"
        return response

    return Starlette(
        routes=_starlette_routes(),
        lifespan=lifespan,
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=add_header),
            Middleware(CORSMiddleware, allow_origins=["*"]),
            Middleware(GZipMiddleware, minimum_size=1),
            Middleware(AgentsMiddleware, **OPTIONS),
        ],
    )


def litestar() -> Any:
    from litestar import Litestar, post
    from litestar import Request as LitestarRequest

    @post("/bump/{name:str}", status_code=200, signature_namespace={"LitestarRequest": LitestarRequest})
    async def endpoint(request: LitestarRequest[Any, Any, Any]) -> dict[str, int]:
        return {"n": await bump(request.path_params["name"])}

    # Litestar runs its own middleware only for the routes that it knows, so agents go around it.
    return AgentsMiddleware(Litestar([endpoint], lifespan=[lifespan]), **OPTIONS)


def quart() -> Any:
    from quart import Quart

    app = Quart(__name__)

    @app.post("/bump/<name>")
    async def _(name: str) -> dict[str, int]:
        return {"n": await bump(name)}

    @app.before_serving
    async def _() -> None:
        log.append(f"app starts with {await bump('of lifespan')}")

    @app.after_serving
    async def _() -> None:
        log.append(f"app stops with {await bump('of lifespan')}")

    app.asgi_app = AgentsMiddleware(app.asgi_app, **OPTIONS)  # type: ignore[method-assign, assignment]
    return app


def django() -> Any:
    import django as django_package
    from django.conf import settings
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    async def endpoint(request: HttpRequest, name: str) -> JsonResponse:
        return JsonResponse({"n": await bump(name)})

    class Urls:
        urlpatterns = [path("bump/<str:name>", endpoint)]

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", USE_TZ=True, MIDDLEWARE=[], DATABASES={})
        django_package.setup(set_prefix=False)
    settings.ROOT_URLCONF = Urls

    from django.core.asgi import get_asgi_application

    return AgentsMiddleware(get_asgi_application(), **OPTIONS)


def bare() -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if not scope["path"].startswith("/bump/"):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"nothing here"})
            return
        n = await bump(scope["path"].removeprefix("/bump/"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"n":%d}' % n})

    return AgentsMiddleware(app, **OPTIONS)


APPS: dict[str, Callable[[], Any]] = {
    make.__name__: make for make in (fastapi, starlette, behind_middleware, litestar, quart, django, bare)
}
