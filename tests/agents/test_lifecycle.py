from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from edgeagents.agents import (
    Agent,
    AgentOptions,
    Capability,
    CapabilityHost,
    Connection,
    ConnectionContext,
    callable,
    get_agent_by_name,
)
from edgeagents.errors import AgentError, BadRequest, ConfigError, ObjectReset, SqlError, WebSocketClosed
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Request, Response
from edgeagents.objects import wake
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, connect, settle
from tests.agents.frames import answer, heard, parsed, say

pytestmark = pytest.mark.cloudflare("Agents", "order of events, `onStart`, `onError`, hibernation", "same")


async def end_of(socket: TestSocket) -> tuple[list[Any], int, str]:
    """Return all frames up to the agent's close, and its code and reason."""
    frames: list[Any] = []
    try:
        while True:
            frames.append(parsed(await socket.receive()))
    except WebSocketClosed as closed:
        return frames, closed.code, closed.reason


async def ask(runtime: Runtime, path: str, **init: Any) -> Response:
    response = await runtime.route(Request(path, **init))
    assert response is not None
    return response


# Start


async def test_start_is_finished_before_anything_else() -> None:
    told: list[str] = []

    class Slow(Agent):
        async def on_start(self) -> None:
            told.append("starting")
            await asyncio.sleep(0)
            told.append("started")

        async def on_connect(self, connection: Connection) -> None:
            told.append("connected")

        async def on_request(self, request: Request) -> str:
            told.append("asked")
            return ""

    async with agent_runtime(Slow) as runtime:
        await asyncio.gather(connect(runtime, "/agents/slow/x"), ask(runtime, "/agents/slow/x"))
    assert told == ["starting", "started", "connected", "asked"]


async def test_failed_start_is_told_and_tried_again_with_the_next_event() -> None:
    starts: list[int] = []

    class Flaky(Agent):
        async def on_start(self) -> None:
            starts.append(1)
            if len(starts) == 1:
                raise RuntimeError("not yet")

        async def hello(self) -> str:
            return "hello"

    async with agent_runtime(Flaky) as runtime:
        namespace = runtime.namespaces["Flaky"]
        with pytest.raises(RuntimeError, match="not yet"):
            await get_agent_by_name(namespace, "x")
        assert await (await get_agent_by_name(namespace, "x")).hello() == "hello"


async def test_agent_needs_a_name() -> None:
    class Unnamed(Agent):
        pass

    async with agent_runtime(Unnamed) as runtime:
        namespace = runtime.namespaces["Unnamed"]
        with pytest.raises(AgentError, match="Unnamed has no name"):
            await wake(namespace.get(namespace.new_unique_id()))


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_super_of_a_handler_may_be_called_either_way(kind: str) -> None:
    class Async(Agent):
        async def on_start(self, props: Mapping[str, Any] | None) -> None:
            await super().on_start(props)

        async def on_request(self, request: Request) -> Any:
            return await super().on_request(request)

    class Sync(Agent):
        def on_start(self, props: Mapping[str, Any] | None) -> None:
            super().on_start(props)

        def on_request(self, request: Request) -> Any:
            return super().on_request(request)

    async with agent_runtime({"async": Async, "sync": Sync}[kind]) as runtime:
        response = await ask(runtime, f"/agents/{kind}/x")
        assert (response.status, await response.text()) == (404, "Not implemented")


# Requests


class Answers(Agent):
    async def on_request(self, request: Request) -> Any:
        match request.path.rsplit("/", 1)[1]:
            case "text":
                return "text"
            case "json":
                return {"a": [1]}
            case "stream":
                return self.words()
            case "bad":
                return await request.json()
            case "boom":
                raise RuntimeError("the secret reason")
            case _:
                return Response("other", status=404)

    async def words(self) -> AsyncIterator[str]:
        yield "one "
        yield "two"


class SyncAnswers(Agent):
    def on_request(self, request: Request) -> Any:
        return (word for word in ("one ", "two"))


class Generator(Agent):
    async def on_request(self, request: Request) -> AsyncIterator[str]:
        yield "one "
        yield self.name


@pytest.mark.parametrize(
    ("path", "status", "content_type", "body"),
    [
        ("/agents/answers/x/text", 200, "text/plain;charset=UTF-8", b"text"),
        ("/agents/answers/x/json", 200, "application/json", b'{"a":[1]}'),
        ("/agents/answers/x/stream", 200, "text/plain;charset=UTF-8", b"one two"),
        ("/agents/answers/x/what", 404, "text/plain;charset=UTF-8", b"other"),
        ("/agents/sync-answers/x", 200, "text/plain;charset=UTF-8", b"one two"),
        ("/agents/generator/x", 200, "text/plain;charset=UTF-8", b"one x"),
    ],
)
async def test_on_request_may_return_many_things(path: str, status: int, content_type: str, body: bytes) -> None:
    async with agent_runtime(Answers, SyncAnswers, Generator) as runtime:
        response = await ask(runtime, path)
        assert (response.status, response.headers["content-type"]) == (status, content_type)
        assert await response.bytes() == body


async def test_error_in_on_request_reaches_the_caller_as_it_was_raised() -> None:
    async with agent_runtime(Answers) as runtime:
        with pytest.raises(RuntimeError, match="the secret reason") as raised:
            await ask(runtime, "/agents/answers/x/boom")
    assert raised.value.__cause__ is not None
    assert raised.value.__cause__.__notes__ == ["In Answers 'x'. Override on_error(self, error, connection=None)."]


async def test_what_the_client_did_wrong_is_no_error_of_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(Answers) as runtime:
        with pytest.raises(BadRequest):
            await ask(runtime, "/agents/answers/x/bad", method="POST", body="{")
    assert "Override on_error" not in caplog.text


async def test_error_that_on_error_takes_care_of_is_answered_with_500() -> None:
    class Calm(Agent):
        async def on_request(self, request: Request) -> str:
            raise RuntimeError("the secret reason")

        def on_error(self, error: Exception) -> None:
            pass

    async with agent_runtime(Calm) as runtime:
        response = await ask(runtime, "/agents/calm/x")
        assert (response.status, await response.text()) == (500, "Internal Server Error")


# Connect


class Hostile(Agent):
    """Fails wherever the query says."""

    initial_state = 0
    closed: list[int]

    async def on_start(self) -> None:
        self.closed = []

    async def get_connection_tags(self, connection: Connection, ctx: ConnectionContext) -> list[str]:
        self._fail("tags", ctx)
        return []

    async def on_connect(self, connection: Connection, ctx: ConnectionContext) -> None:
        connection.send("never seen")
        self._fail("connect", ctx)
        if "refuse" in ctx.request.query:
            connection.close(4401, "log in first")

    async def on_close(self, connection: Connection, code: int) -> None:
        self.closed.append(code)

    @staticmethod
    def _fail(where: str, ctx: ConnectionContext) -> None:
        if where in ctx.request.query:
            raise RuntimeError(f"{where} boom")

    async def what_closed(self) -> tuple[list[int], int]:
        return self.closed, len(list(self.get_connections()))


@pytest.mark.parametrize("where", ["connect", "tags"])
async def test_error_while_connecting_is_told_and_closes_with_1011(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_runtime(Hostile) as runtime:
        socket = await connect(runtime, f"/agents/hostile/x?{where}")
        assert await end_of(socket) == (
            [{"error": f"{where} boom"}],
            1011,
            "Uncaught exception during session setup",
        )
        agent = await get_agent_by_name(runtime.namespaces["Hostile"], "x")
        await settle()
        assert await agent.what_closed() == ([], 0)
    assert "Traceback" in caplog.text


async def test_traceback_is_for_clients_in_debug_mode_only() -> None:
    async with agent_runtime(Hostile, debug=True) as runtime:
        frames, _, _ = await end_of(await connect(runtime, "/agents/hostile/x?connect"))
        assert "Traceback" in frames[0]["error"]


async def test_agent_may_refuse_a_client_with_a_code_that_is_final() -> None:
    async with agent_runtime(Hostile) as runtime:
        frames, code, reason = await end_of(await connect(runtime, "/agents/hostile/x?refuse"))
        assert (frames[-1], code, reason) == ("never seen", 4401, "log in first")


async def test_error_that_on_error_takes_care_of_leaves_the_connection_open() -> None:
    class Calm(Agent):
        async def on_connect(self, connection: Connection) -> None:
            raise RuntimeError("boom")

        async def on_error(self, error: Exception, connection: Connection | None = None) -> None:
            assert connection is not None
            connection.send(f"sorry: {error}")

    async with agent_runtime(Calm) as runtime:
        socket = await connect(runtime, "/agents/calm/x")
        assert (await heard(socket))[-1] == "sorry: boom"


async def test_transport_that_we_do_not_speak_is_refused_for_good() -> None:
    async with agent_runtime(Hostile) as runtime:
        frames, code, _ = await end_of(await connect(runtime, "/agents/hostile/x?__agents_transport=capnweb"))
        assert (frames, code) == ([], 1008)


@pytest.mark.parametrize(("offered", "chosen"), [("soap, mqtt , json", "json"), ("soap", None), (None, None)])
async def test_agent_chooses_one_of_the_subprotocols_offered(offered: str | None, chosen: str | None) -> None:
    class Speaks(Agent):
        def select_subprotocol(self, offered: list[str]) -> str | None:
            return "json" if "json" in offered else None

    async with agent_runtime(Speaks) as runtime:
        headers = {"sec-websocket-protocol": offered} if offered else None
        socket = await connect(runtime, "/agents/speaks/x", headers=headers)
        assert socket.response.headers.get("sec-websocket-protocol") == chosen


async def test_subprotocol_that_was_not_offered_is_an_error() -> None:
    class Wrong(Agent):
        def select_subprotocol(self, offered: list[str]) -> str | None:
            return "other"

    async with agent_runtime(Wrong) as runtime:
        socket = await connect(runtime, "/agents/wrong/x", headers={"sec-websocket-protocol": "json"})
        assert "offers only json" in (await end_of(socket))[0][0]["error"]


# Messages and closing


class Talk(Agent):
    closed: list[Any]
    errors: list[Any]

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.closed, self.errors = [], []

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if message == "boom":
            raise RuntimeError("boom")
        connection.send(message)

    async def on_close(self, connection: Connection, code: int, reason: str, was_clean: bool) -> None:
        self.closed.append((connection.id, code, reason, was_clean, len(list(self.get_connections()))))
        if reason == "boom":
            raise RuntimeError("boom")

    async def on_error(self, error: Exception, connection: Connection | None) -> None:
        self.errors.append((str(error), connection and connection.id))
        raise error

    async def told(self) -> tuple[list[Any], list[Any]]:
        return self.closed, self.errors


async def test_error_in_on_message_is_logged_and_the_socket_stays_open(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(Talk) as runtime:
        socket = await connect(runtime, "/agents/talk/x?_pk=me")
        await heard(socket)
        socket.send("boom")
        socket.send("still here")
        assert await heard(socket) == ["still here"]
        agent = await get_agent_by_name(runtime.namespaces["Talk"], "x")
        assert await agent.told() == ([], [("boom", "me")])
    assert "RuntimeError: boom" in caplog.text


async def test_default_on_error_advises_and_does_not_swallow(caplog: pytest.LogCaptureFixture) -> None:
    class Silent(Agent):
        async def on_message(self, connection: Connection, message: str | bytes) -> None:
            raise RuntimeError("boom")

    async with agent_runtime(Silent) as runtime:
        socket = await connect(runtime, "/agents/silent/x")
        socket.send("anything")
        await settle()
    assert "Override on_error" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (4000, "mine"), (1001, "")])
async def test_close_is_told_after_the_connection_is_gone(code: int, reason: str) -> None:
    async with agent_runtime(Talk) as runtime:
        socket = await connect(runtime, "/agents/talk/x?_pk=me")
        socket.close(code, reason)
        agent = await get_agent_by_name(runtime.namespaces["Talk"], "x")
        assert await agent.told() == ([("me", code, reason, True, 0)], [])


async def test_lost_connection_is_told_as_such() -> None:
    async with agent_runtime(Talk) as runtime:
        socket = await connect(runtime, "/agents/talk/x?_pk=me")
        socket.lose()
        agent = await get_agent_by_name(runtime.namespaces["Talk"], "x")
        assert await agent.told() == ([("me", 1006, "", False, 0)], [])


async def test_error_in_on_close_goes_to_on_error() -> None:
    async with agent_runtime(Talk) as runtime:
        socket = await connect(runtime, "/agents/talk/x?_pk=me")
        socket.close(1000, "boom")
        agent = await get_agent_by_name(runtime.namespaces["Talk"], "x")
        assert (await agent.told())[1] == [("boom", "me")]


async def test_socket_that_the_agent_did_not_accept_is_left_alone() -> None:
    from edgeagents.objects.websocket import web_socket_pair

    class Mixed(Agent):
        async def on_request(self, request: Request) -> Response:
            client, server = web_socket_pair()
            self.ctx.accept_web_socket(server)
            return Response(websocket=client, status=101)

        async def on_message(self, connection: Connection, message: str | bytes) -> None:
            raise AssertionError

        @callable()
        async def count(self) -> int:
            self.broadcast("agents only")
            return len(list(self.get_connections()))

    async with agent_runtime(Mixed) as runtime:
        raw = TestSocket(await ask(runtime, "/agents/mixed/x"))
        raw.send("hi")
        socket = await connect(runtime, "/agents/mixed/x")
        assert (await answer(socket, "count"))["result"] == 1
        assert await heard(raw) == []


# Alarms


async def test_alarm_reaches_on_alarm() -> None:
    clock = ManualClock()
    told: list[str] = []

    class Waker(Agent):
        async def arm(self) -> None:
            await self.ctx.storage.set_alarm(timedelta(minutes=1))

        def on_alarm(self) -> None:
            told.append(self.name)

    async with agent_runtime(Waker, clock=clock) as runtime:
        await (await get_agent_by_name(runtime.namespaces["Waker"], "x")).arm()
        await clock.advance(59)
        assert told == []
        await clock.advance(2)
        while not told:
            await settle()
    assert told == ["x"]


# Storage


async def test_sql_and_db_are_one_database() -> None:
    class Notes(Agent):
        @callable()
        async def add(self, text: str) -> Any:
            self.sql("create table if not exists notes (id integer primary key, text)")
            self.sql("insert into notes (text) values ({text})", text=text)
            return self.sql("select * from notes where text = ?", text), list(self.db["notes"].rows)

        @callable()
        def from_thread(self) -> Any:
            return self.sql("select count(*) as n from notes"), self.db["notes"].count

    async with agent_runtime(Notes) as runtime:
        socket = await connect(runtime, "/agents/notes/x")
        rows = [{"id": 1, "text": "it's"}]
        assert (await answer(socket, "add", "it's"))["result"] == [rows, rows]
        assert (await answer(socket, "fromThread"))["result"] == [[{"n": 1}], 1]


async def test_failed_statement_is_told_with_the_statement() -> None:
    class Notes(Agent):
        async def wrong(self) -> str:
            try:
                self.sql("select * from nowhere where id = {id}", id=1)
            except SqlError as error:
                return error.query
            return "no error"

    async with agent_runtime(Notes) as runtime:
        agent = await get_agent_by_name(runtime.namespaces["Notes"], "x")
        assert await agent.wrong() == "select * from nowhere where id = ?"


# Destroy


async def test_destroyed_agent_closes_its_sockets_and_is_a_fresh_one_afterwards() -> None:
    class Doomed(Agent):
        initial_state = 0

        async def put(self, state: Any) -> None:
            self.set_state(state)
            await self.ctx.storage.put("key", "value")

        async def show(self) -> Any:
            return self.state, await self.ctx.storage.get("key"), len(list(self.get_connections()))

    async with agent_runtime(Doomed) as runtime:
        namespace = runtime.namespaces["Doomed"]
        agent = await get_agent_by_name(namespace, "x")
        await agent.put(5)
        socket = await connect(runtime, "/agents/doomed/x")
        await agent.destroy()
        _, code, reason = await end_of(socket)
        assert (code, reason) == (1001, "Durable Object destroyed")
        await settle()
        assert await (await get_agent_by_name(namespace, "x")).show() == (0, None, 0)


async def test_what_runs_when_an_agent_is_destroyed_is_cancelled() -> None:
    class Doomed(Agent):
        async def wait(self) -> None:
            await asyncio.get_running_loop().create_future()

    async with agent_runtime(Doomed) as runtime:
        agent = await get_agent_by_name(runtime.namespaces["Doomed"], "x")
        waiting = asyncio.ensure_future(agent.wait())
        await settle()
        await agent.destroy()
        with pytest.raises(ObjectReset, match="destroyed"):
            await waiting


# Options and capabilities


@pytest.mark.parametrize("options", [{"send_identity_on_connect": False}, AgentOptions(send_identity_on_connect=False)])
async def test_options_are_a_dict_or_a_value_and_are_inherited(options: Any) -> None:
    given = options

    class Parent(Agent):
        options = given

    class Child(Parent):
        pass

    async with agent_runtime(Child) as runtime:
        socket = await connect(runtime, "/agents/child/x")
        assert [frame["type"] for frame in await heard(socket)] == ["cf_agent_mcp_servers"]


def test_unknown_option_is_explained() -> None:
    with pytest.raises(ConfigError, match="'hibernate', which agents do not know"):

        class Wrong(Agent):  # pyright: ignore[reportUnusedClass]
            options = {"hibernate": True}


class Recorder(Capability):
    """Hears everything, and takes what is addressed to it."""

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self.told: list[str] = []

    async def start(self, props: Mapping[str, Any] | None) -> None:
        self.told.append(f"start {props}")

    async def request(self, request: Request) -> object | None:
        self.told.append("request")
        return "by the capability" if request.path.endswith("/capability") else None

    async def connect(self, connection: Connection[Any], request: Request) -> None:
        self.told.append("connect")

    async def frame(self, connection: Connection[Any], frame: Mapping[str, Any]) -> bool:
        self.told.append(f"frame {frame.get('type')}")
        return frame.get("type") == "mine"

    async def message(self, connection: Connection[Any], message: str | bytes) -> bool:
        self.told.append(f"message {message!r}")
        return message == "mine"

    async def close(self, connection: Connection[Any], code: int, reason: str, was_clean: bool) -> None:
        self.told.append(f"close {code}")

    async def dispose(self) -> None:
        self.told.append("dispose")


class Composed(Agent):
    capability_types = (Recorder,)
    messages: list[Any]

    async def on_start(self) -> None:
        self.messages = []
        self.capability(Recorder).told.append("on_start")

    async def on_request(self, request: Request) -> str:
        return "by the agent"

    async def on_connect(self, connection: Connection) -> None:
        self.capability(Recorder).told.append("on_connect")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        self.capability(Recorder).told.append(f"on_message {message!r}")

    async def told(self) -> list[str]:
        return self.capability(Recorder).told


async def test_capability_hears_of_events_before_the_agents_own_handlers() -> None:
    async with agent_runtime(Composed) as runtime:
        assert await (await ask(runtime, "/agents/composed/x")).text() == "by the agent"
        assert await (await ask(runtime, "/agents/composed/x/capability")).text() == "by the capability"
        socket = await connect(runtime, "/agents/composed/x")
        say(socket, type="mine")
        say(socket, type="rpc", id="1", method="nope", args=[])
        socket.send("mine")
        socket.send("text")
        await settle()
        socket.close()
        agent = await get_agent_by_name(runtime.namespaces["Composed"], "x")
        assert await agent.told() == [
            "start None",
            "on_start",
            "request",
            "request",
            "connect",
            "on_connect",
            "frame mine",
            "message 'mine'",
            "message 'text'",
            "on_message 'text'",
            "close 1000",
        ]


async def test_plugin_adds_capabilities_to_every_agent() -> None:
    class Plain(Agent):
        @callable()
        async def has_recorder(self) -> bool:
            return bool(self.capability(Recorder).told)

    class Plugin:
        @hookimpl
        def register_capabilities(self) -> list[type[Capability]]:
            return [Recorder]

    async with agent_runtime(Plain, plugins=[Plugin()]) as runtime:
        socket = await connect(runtime, "/agents/plain/x")
        assert (await answer(socket, "hasRecorder"))["result"] is True


async def test_capability_that_an_agent_lacks_is_explained() -> None:
    class Plain(Agent):
        async def ask(self) -> None:
            self.capability(Recorder)

    async with agent_runtime(Plain) as runtime:
        agent = await get_agent_by_name(runtime.namespaces["Plain"], "x")
        with pytest.raises(AgentError, match="Plain has no capability of the type Recorder"):
            await agent.ask()


async def test_private_names_of_a_subclass_are_its_own() -> None:
    class Careless(Agent):
        initial_state = 0

        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self._state = self._hooks = self._connections = self._lifecycle = self._options = self._loop = "mine"

    async with agent_runtime(Careless) as runtime:
        socket = await connect(runtime, "/agents/careless/x")
        assert len(await heard(socket)) == 3


async def test_an_agent_that_is_not_set_up_is_told_what_it_left_out() -> None:
    class Half(Agent):
        def __init__(self, ctx: Any, env: Any) -> None:
            self.ctx = ctx

    async with agent_runtime(Half) as runtime:
        with pytest.raises(ConfigError, match=r"Half\.__init__\(\) did not call super\(\)\.__init__\(ctx, env\)"):
            await get_agent_by_name(runtime.namespaces["Half"], "x")


async def test_nothing_is_logged_when_nothing_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with agent_runtime(Talk) as runtime:
        socket = await connect(runtime, "/agents/talk/x")
        socket.send(json.dumps({"type": "cf_agent_state", "state": 1}))
        socket.send("x")
        await settle()
        socket.close()
        await settle()
    assert not caplog.records
