from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import pytest
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from edgeagents.agents import Agent, get_agent_by_name
from edgeagents.asgi import AgentsMiddleware
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Request, Response
from edgeagents.objects import Limits
from edgeagents.testing import ManualClock, agent_runtime
from tests.asgi.apps import OPTIONS, Counter
from tests.asgi.client import Fixture, Lifespan, http_scope, websocket_scope


class Inner:
    """An app that remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []
        self.counted: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        if scope["type"] == "lifespan":
            raise ValueError("only http")
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def inner() -> Inner:
    return Inner()


async def ask(exchange: Fixture, app: Any, path: str, **scope: Any) -> tuple[int, bytes]:
    call = await exchange.run(app, http_scope(path, **scope)).send()
    status, _ = await call.start()
    return status, await call.rest()


@pytest.mark.parametrize("path", ["/", "/x", "/agents", "/agents/counter", "/agentsx/counter/a", "/a%67ents/counter/a"])
async def test_what_is_not_ours_is_passed_on_as_it_came(exchange: Fixture, inner: Inner, path: str):
    app = AgentsMiddleware(inner, **OPTIONS)
    scope = http_scope(path)
    before = dict(scope)

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        return

    async with Lifespan(app):
        inner.calls.clear()
        await app(scope, receive, send)

    assert len(inner.calls) == 1
    assert inner.calls[0][0] is scope
    assert inner.calls[0][1] is receive
    assert inner.calls[0][2] is send
    assert scope == before


async def test_a_scope_of_an_unknown_type_is_passed_on(inner: Inner):
    app = AgentsMiddleware(inner, **OPTIONS)
    scope = {"type": "mqtt"}

    await app(scope, None, None)  # type: ignore[arg-type]

    assert inner.calls == [(scope, None, None)]
    assert app.runtime.state == "new"


async def test_a_websocket_that_is_not_ours_is_passed_on(inner: Inner):
    app = AgentsMiddleware(inner, **OPTIONS)
    scope = websocket_scope("/chat")
    async with Lifespan(app):
        inner.calls.clear()
        await app(scope, asyncio.Queue().get, asyncio.Queue().put)

    assert inner.calls[0][0] is scope


async def test_requests_at_the_same_time_start_it_once(exchange: Fixture, inner: Inner):
    app = AgentsMiddleware(inner, **OPTIONS)

    answers = await asyncio.gather(*(ask(exchange, app, "/agents/counter/a") for _ in range(10)))

    assert [status for status, _ in answers] == [200] * 10
    assert app.runtime.state == "running"
    await app.runtime.stop()


async def test_a_runtime_of_somebody_else_is_not_stopped(exchange: Fixture, inner: Inner):
    async with agent_runtime(Counter) as runtime:
        app = AgentsMiddleware(inner, runtime=runtime)
        async with Lifespan(app):
            assert (await ask(exchange, app, "/agents/counter/a"))[0] == 200
        assert runtime.state == "running"


def test_agents_and_a_runtime_are_one_too_many(inner: Inner):
    with pytest.raises(TypeError, match="either agents or a runtime"):
        AgentsMiddleware(inner, agents=[Counter], runtime=agent_runtime(Counter))


def test_two_agents_of_one_name_are_refused_at_once(inner: Inner):
    other = type("Counter", (Agent,), {})

    with pytest.raises(ConfigError, match="Counter"):
        AgentsMiddleware(inner, agents=[Counter, other], storage=None)


async def test_the_server_is_told_when_it_cannot_start(inner: Inner, tmp_path: Any):
    (tmp_path / "file").write_text("not a folder")
    app = AgentsMiddleware(inner, agents=[Counter], storage=tmp_path / "file" / "state", discover_plugins=False)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ConfigError, match="cannot be used"):
        await app({"type": "lifespan"}, receive, send)

    assert sent[0]["type"] == "lifespan.startup.failed"
    assert inner.calls == []


def test_a_test_client_is_told_when_it_cannot_start(inner: Inner, tmp_path: Any):
    (tmp_path / "file").write_text("not a folder")
    app = AgentsMiddleware(inner, agents=[Counter], storage=tmp_path / "file" / "state", discover_plugins=False)

    with pytest.raises(ConfigError, match="cannot be used"), TestClient(app):
        pass


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"path": "/mount/agents/counter/a", "raw_path": b"/mount/agents/counter/a"}, id="left in"),
        pytest.param({"path": "/agents/counter/a", "raw_path": b"/mount/agents/counter/a"}, id="taken out of path"),
        pytest.param({"path": "/agents/counter/a", "raw_path": b"/agents/counter/a"}, id="taken out of both"),
    ],
)
async def test_mounted_agents_see_the_whole_url(exchange: Fixture, inner: Inner, scope: dict[str, Any]):
    app = AgentsMiddleware(inner, **OPTIONS)
    async with Lifespan(app):
        call = await exchange.run(app, {**http_scope(), "root_path": "/mount", **scope}).send()
        status, _ = await call.start()
        body = await call.rest()

    assert status == 200
    assert json.loads(body)["url"] == "http://testserver/mount/agents/counter/a"
    assert json.loads(body)["path"] == "/agents/counter/a"


async def test_mounted_by_starlette(exchange: Fixture, inner: Inner):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    agents = AgentsMiddleware(inner, **OPTIONS)
    app = Starlette(routes=[Mount("/mount", agents)])

    status, body = await ask(exchange, app, "/mount/agents/counter/a%2Fb")
    assert (status, json.loads(body)["name"]) == (200, "a%2Fb")
    assert json.loads(body)["url"] == "http://testserver/mount/agents/counter/a%2Fb"
    assert (await ask(exchange, app, "/mount/other"))[0] == 299
    await agents.runtime.stop()


async def test_agents_are_found_in_tasks_that_the_app_begins(exchange: Fixture):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        n = await asyncio.create_task(count())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % n})

    async def count() -> int:
        return await (await get_agent_by_name(Counter, "x")).add(3)

    agents = AgentsMiddleware(app, **OPTIONS)

    assert await ask(exchange, agents, "/") == (200, b"3")
    await agents.runtime.stop()


async def test_two_of_them_do_not_meet(exchange: Fixture, inner: Inner):
    class Other(Counter):
        pass

    both = AgentsMiddleware(
        AgentsMiddleware(inner, **{**OPTIONS, "agents": [Other]}, prefix="others"),
        **OPTIONS,
    )
    async with Lifespan(both):
        assert (await ask(exchange, both, "/agents/counter/a"))[0] == 200
        assert (await ask(exchange, both, "/others/other/a"))[0] == 200
        assert (await ask(exchange, both, "/agents/other/a"))[0] == 400


async def test_arguments_reach_the_runtime(exchange: Fixture, inner: Inner):
    async def refuse(request: Request, where: Any) -> Response:
        return Response("not you", status=403)

    app = AgentsMiddleware(
        inner,
        **OPTIONS,
        prefix="api/v1",
        cors=True,
        on_before_request=refuse,
        on_before_connect=refuse,
        limits=Limits(body_bytes=5),
        env={"KEY": "value"},
    )
    async with Lifespan(app):
        call = await exchange.run(app, http_scope("/api/v1/counter/a")).send()
        status, headers = await call.start()
        assert (status, headers["access-control-allow-origin"]) == (403, "*")
        assert (await ask(exchange, app, "/api/v1/counter/a", headers={"content-length": "6"}))[0] == 413
        socket = exchange.run(app, websocket_scope("/api/v1/counter/a"))
        await socket.put({"type": "websocket.connect"})
        assert (await socket.message())["status"] == 403
        assert app.runtime.env.KEY == "value"


def test_one_runtime_is_made_for_an_app(inner: Inner, caplog: pytest.LogCaptureFixture):
    AgentsMiddleware(inner, **OPTIONS, allowed_origins="*")
    assert len(caplog.records) == 1  # The warning that each runtime gives for this.


async def test_a_request_after_one_for_which_it_could_not_start_is_served(exchange: Fixture, inner: Inner):
    class Broker:
        faults: ClassVar = [OSError("cannot reach the broker")]

        @hookimpl
        async def startup(self) -> None:
            if self.faults:
                raise self.faults.pop()

    app = AgentsMiddleware(inner, **OPTIONS, plugins=[Broker()])
    with pytest.raises(OSError, match="broker"):
        await app(http_scope("/agents/counter/a"), asyncio.Event().wait, print)
    assert (await ask(exchange, app, "/agents/counter/a"))[0] == 200
    await app.runtime.stop()


async def test_debug_shows_tracebacks(exchange: Fixture, inner: Inner):
    app = AgentsMiddleware(inner, **OPTIONS, debug=True)
    async with Lifespan(app):
        status, body = await ask(exchange, app, "/agents/counter/a/fail")

    assert status == 500
    assert b"a secret of the inside" in body


class Answering(Agent):
    """Answers with an ASGI app."""

    async def on_request(self, request: Request) -> Any:
        async def words() -> Any:
            yield "a"
            yield "b"

        return StreamingResponse(words(), media_type="text/x-words")


async def test_an_agent_may_answer_with_a_response_of_a_framework(exchange: Fixture, inner: Inner):
    app = AgentsMiddleware(inner, **{**OPTIONS, "agents": [Answering]})
    async with Lifespan(app):
        call = await exchange.run(app, http_scope("/agents/answering/a")).send()
        status, headers = await call.start()
        assert (status, headers["content-type"]) == (200, "text/x-words; charset=utf-8")
        assert await call.rest() == b"ab"


async def test_a_silent_stream_is_kept_alive_by_the_runtime_s_clock(exchange: Fixture, inner: Inner):
    clock = ManualClock()
    async with agent_runtime(Counter, clock=clock) as runtime:
        app = AgentsMiddleware(inner, runtime=runtime, keep_alive_seconds=1.0)
        async with Lifespan(app):
            call = await exchange.run(app, http_scope("/agents/counter/quiet/events")).send()
            await call.start()
            assert await call.chunk() == b"data: one\n\n"

            await clock.advance(1)

            assert await call.chunk() == b": keep-alive\n\n"


async def test_sockets_are_closed_with_1012_when_the_server_stops(exchange: Fixture, inner: Inner):
    app = AgentsMiddleware(inner, **OPTIONS)
    lifespan = Lifespan(app)
    async with lifespan:
        call = exchange.run(app, websocket_scope("/agents/counter/w"))
        await call.put({"type": "websocket.connect"})
        while (await call.message())["type"] != "websocket.accept":
            pass

    close = await call.message()
    while close["type"] == "websocket.send":
        close = await call.message()
    assert (close["type"], close["code"]) == ("websocket.close", 1012)


@pytest.mark.parametrize(("allowed", "status"), [("testserver", 200), (".testserver", 200), ("app.example", 403)])
async def test_agents_answer_under_their_hosts_and_the_app_under_any(
    exchange: Fixture, inner: Inner, allowed: str, status: int
):
    app = AgentsMiddleware(inner, allowed_hosts=[allowed], **OPTIONS)
    async with Lifespan(app):
        assert (await ask(exchange, app, "/agents/counter/a"))[0] == status
        assert (await ask(exchange, app, "/other"))[0] == 299


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    exchange: Fixture, inner: Inner, headers: dict[str, str], status: int
):
    app = AgentsMiddleware(inner, **OPTIONS)
    async with Lifespan(app):
        assert (await ask(exchange, app, "/agents/counter/a", method="POST", headers=headers))[0] == status
        assert (await ask(exchange, app, "/agents/counter/a", method="DELETE", headers=headers))[0] == status
        # What only reads is answered; the browser does not show it to the page without CORS.
        assert (await ask(exchange, app, "/agents/counter/a", headers=headers))[0] == 200


async def test_a_page_of_another_site_opens_no_websocket(exchange: Fixture, inner: Inner):
    app = AgentsMiddleware(inner, **OPTIONS)
    sent: asyncio.Queue[Any] = asyncio.Queue()
    scope = websocket_scope("/agents/counter/a")
    scope["headers"] += [(b"origin", b"https://evil.example"), (b"cookie", b"session=1")]

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async with Lifespan(app):
        await app(scope, receive, sent.put)
        start = sent.get_nowait()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
