from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgeagents.asgi.worker_app import WorkerApp
from edgeagents.http import Request, Response
from tests.asgi.client import Fixture, http_scope
from tests.asgi.server_app import HandlerRuntime


@pytest.fixture
def runtime() -> HandlerRuntime:
    return HandlerRuntime()


async def test_every_request_goes_to_the_worker(exchange: Fixture, runtime: HandlerRuntime):
    app = WorkerApp(runtime)  # type: ignore[arg-type]
    call = await exchange.run(app, http_scope("/anything/else")).send()

    assert (await call.start())[0] == 500

    call = await exchange.run(app, http_scope("/")).send()
    await call.start()
    assert await call.rest() == b"hello"
    assert runtime.state == "running"


async def test_lifespan_starts_and_stops_the_runtime(runtime: HandlerRuntime):
    app = WorkerApp(runtime)  # type: ignore[arg-type]
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))

    to_app.put_nowait({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    assert runtime.state == "running"
    to_app.put_nowait({"type": "lifespan.shutdown"})
    assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
    await running
    assert runtime.state == "stopped"


async def test_a_scope_of_another_type_is_refused(runtime: HandlerRuntime):
    app = WorkerApp(runtime)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="mqtt"):
        await app({"type": "mqtt"}, asyncio.Queue().get, asyncio.Queue().put)


async def test_plugins_may_wrap_what_serves_it_each_around_the_one_before(exchange: Fixture, runtime: HandlerRuntime):
    class Implementation:
        argnames = ("app", "runtime")

        def __init__(self, name: str) -> None:
            self.name = name

        def function(self, app: Any, given: Any) -> Any:
            assert given is runtime

            async def wrapped(scope: Any, receive: Any, send: Any) -> None:
                async def named(message: Any) -> None:
                    if message["type"] == "http.response.start":
                        message["headers"].append((b"x-by", self.name.encode()))
                    await send(message)

                await app(scope, receive, named)

            return wrapped

    class Hook:
        class wrap_asgi:
            @staticmethod
            def get_hookimpls() -> list[Any]:
                return [Implementation("inner"), Implementation("outer")]

    runtime.hook = Hook()
    call = await exchange.run(WorkerApp(runtime), http_scope("/")).send()  # type: ignore[arg-type]

    message = await call.message()
    assert [value for name, value in message["headers"] if name == b"x-by"] == [b"inner", b"outer"]


async def test_draining_ends_streams_when_the_server_shuts_down(exchange: Fixture, runtime: HandlerRuntime):
    app = WorkerApp(runtime)  # type: ignore[arg-type]
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))
    to_app.put_nowait({"type": "lifespan.startup"})
    await from_app.get()
    call = await exchange.run(app, http_scope("/events")).send()
    await call.start()
    assert await call.chunk() == b"data: first\n\n"

    to_app.put_nowait({"type": "lifespan.shutdown"})

    assert await call.rest() == b""
    await running


async def test_a_request_that_fails_does_not_stop_the_worker(exchange: Fixture, runtime: HandlerRuntime):
    async def fail(request: Request) -> Response:
        raise RuntimeError("kaboom")

    runtime.fetch = fail  # type: ignore[method-assign]
    app = WorkerApp(runtime)  # type: ignore[arg-type]
    for _ in range(2):
        call = await exchange.run(app, http_scope("/")).send()
        assert (await call.start())[0] == 500
