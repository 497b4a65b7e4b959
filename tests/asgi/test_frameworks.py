"""Agents inside of the frameworks that people have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.asgi import apps
from tests.asgi.client import Exchange, Fixture, Lifespan, http_scope, websocket_scope

WITHOUT_LIFESPAN = ("django", "bare")


@pytest.fixture(params=apps.APPS)
async def app(request: pytest.FixtureRequest) -> Any:
    apps.log.clear()
    apps.go_on.clear()
    return apps.APPS[request.param]()


@pytest.fixture
async def started(app: Any) -> AsyncIterator[Any]:
    async with Lifespan(app):
        yield app


async def post(exchange: Fixture, app: Any, path: str) -> tuple[int, bytes]:
    return await answer(await exchange.run(app, http_scope(path, "POST", headers={"content-length": "0"})).send())


async def get(exchange: Fixture, app: Any, path: str, **scope: Any) -> tuple[int, bytes]:
    return await answer(await exchange.run(app, http_scope(path, **scope)).send())


async def answer(call: Exchange) -> tuple[int, bytes]:
    status, _ = await call.start()
    body = await call.rest()
    # Django closes what it kept of the request after the last byte of its answer.
    await call.leave()
    await call.done()
    return status, body


async def test_a_handler_of_the_framework_reaches_an_agent(exchange: Fixture, started: Any):
    status, body = await post(exchange, started, "/bump/a")

    assert status == 200
    assert json.loads(body) == {"n": 2}
    assert json.loads((await get(exchange, started, "/agents/counter/a"))[1])["n"] == 2


async def test_an_agent_s_path_is_the_agent_s(exchange: Fixture, started: Any):
    status, body = await get(exchange, started, "/agents/counter/a%20b/x?q=1")

    assert status == 200
    assert json.loads(body) == {
        "name": "a%20b",
        "n": 0,
        "url": "http://testserver/agents/counter/a%20b/x?q=1",
        "path": "/agents/counter/a%20b/x",
    }


@pytest.mark.parametrize("path", ["/", "/nothing", "/agents", "/agents/counter", "/agents/counter/"])
async def test_every_other_path_is_the_framework_s(exchange: Fixture, started: Any, path: str):
    assert (await get(exchange, started, path))[0] == 404


async def test_an_unknown_agent_is_400(exchange: Fixture, started: Any):
    assert await get(exchange, started, "/agents/nobody/a") == (400, b"Invalid request")


async def test_events_come_as_they_are_made(exchange: Fixture, started: Any):
    call = await exchange.run(started, http_scope("/agents/counter/e/events")).send()

    status, headers = await call.start()
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert await call.chunk() == b"data: one\n\n"
    apps.go_on["e"].set()
    assert await call.rest() == b"data: two\n\n"


async def test_an_error_in_an_agent_is_500_without_a_stack(exchange: Fixture, started: Any):
    status, body = await get(exchange, started, "/agents/counter/a/fail")

    assert (status, body) == (500, b"Internal Server Error")


async def test_a_websocket_reaches_the_agent(exchange: Fixture, started: Any):
    call = exchange.run(started, websocket_scope("/agents/counter/w?_pk=me"))
    await call.put({"type": "websocket.connect"})

    assert (await call.message())["type"] == "websocket.accept"
    first = json.loads((await call.message())["text"])
    assert (first["type"], first["name"]) == ("cf_agent_identity", "w")
    assert json.loads((await call.message())["text"]) == {"type": "cf_agent_state", "state": {"n": 0}}
    await call.message()
    await call.put({"type": "websocket.receive", "text": "hello"})
    assert (await call.message())["text"] == "hello"
    await call.put({"type": "websocket.disconnect", "code": 1000})
    await call.done()


async def test_agents_work_while_the_framework_starts_and_stops(app: Any, request: pytest.FixtureRequest):
    async with Lifespan(app) as lifespan:
        started = list(apps.log)
    takes_part = not any(name in request.node.name for name in WITHOUT_LIFESPAN)

    assert started == (["app starts with 2"] if takes_part else [])
    assert apps.log == (["app starts with 2", "app stops with 4"] if takes_part else [])
    assert [message["type"] for message in lifespan.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_without_lifespan_the_first_request_starts_it(exchange: Fixture, app: Any):
    status, body = await get(exchange, app, "/agents/counter/a")

    assert (status, json.loads(body)["n"]) == (200, 0)


async def test_it_can_be_started_again(exchange: Fixture, app: Any):
    for _ in range(2):
        async with Lifespan(app):
            assert (await get(exchange, app, "/agents/counter/a"))[0] == 200


async def test_behind_compression_and_cors_events_come_as_they_are_made(exchange: Fixture):
    app = apps.behind_middleware()
    apps.go_on.clear()
    headers = {"accept-encoding": "gzip", "origin": "https://other.example"}
    async with Lifespan(app):
        whole = exchange.run(app, http_scope("/agents/counter/z", headers=headers))
        _, fields = await (await whole.send()).start()
        assert fields["content-encoding"] == "gzip"
        assert fields["x-seen"] == "yes"
        assert fields["access-control-allow-origin"] == "*"

        call = await exchange.run(app, http_scope("/agents/counter/z/events", headers=headers)).send()
        _, fields = await call.start()
        assert "content-encoding" not in fields
        assert await call.chunk() == b"data: one\n\n"
        apps.go_on["z"].set()
        assert await call.rest() == b"data: two\n\n"
