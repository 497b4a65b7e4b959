from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgeagents.agents import Agent, AgentClient, Connection, ConnectionContext, Reconnect, StreamingResponse, callable
from edgeagents.errors import AgentConnectionError, CallFailed, CallTimedOut, HandshakeRefused
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, connect, settle


class Counter(Agent):
    initial_state = {"n": 0}

    async def on_connect(self, connection: Connection, ctx: ConnectionContext) -> None:
        if "refuse" in ctx.request.query:
            connection.close(int(ctx.request.query["refuse"]), "go away")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(message)

    def validate_state_change(self, next_state: Any, source: Any) -> None:
        if next_state["n"] < 0:
            raise ValueError("negative")

    @callable()
    async def add(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def fail(self) -> None:
        raise ValueError("bad thing")

    @callable()
    async def never(self) -> None:
        await asyncio.get_running_loop().create_future()

    @callable()
    async def numbers(self, to: int) -> AsyncIterator[int]:
        for n in range(to):
            yield n

    @callable(streaming=True)
    async def with_result(self, stream: StreamingResponse) -> None:
        stream.send("a")
        stream.end("final")

    @callable()
    async def numbers_then_error(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("mid")


class Line:
    """Connects a client to a runtime without a network, and can be cut."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.urls: list[str] = []
        self.sockets: list[TestSocket] = []
        self.is_down = False

    async def __call__(self, url: str) -> LineSocket:
        self.urls.append(url)
        if self.is_down:
            raise ConnectionRefusedError("the line is down")
        parts = urlsplit(url)
        socket = await connect(self.runtime, f"{parts.path}?{parts.query}")
        self.sockets.append(socket)
        return LineSocket(socket)

    def cut(self) -> None:
        self.sockets[-1].lose()


class LineSocket:
    def __init__(self, socket: TestSocket) -> None:
        self._socket = socket

    async def send(self, message: str | bytes) -> None:
        self._socket.send(message)

    async def receive(self) -> str | bytes:
        return await self._socket.receive()

    async def close(self, code: int, reason: str) -> None:
        self._socket.close(code, reason)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def line(clock: ManualClock) -> AsyncIterator[Line]:
    async with agent_runtime(Counter, clock=clock) as runtime:
        yield Line(runtime)


async def collect(parts: AsyncIterator[Any], into: list[Any]) -> None:
    async for part in parts:
        into.append(part)  # noqa: PERF401 - what came before an error must stay.


def client(line: Line, clock: ManualClock, **options: Any) -> AgentClient:
    options.setdefault("host", "localhost:8000")
    return AgentClient("Counter", "x", clock=clock, rng=random.Random(1), open_socket=line, **options)


async def test_ready_means_that_identity_and_state_are_here(line: Line, clock: ManualClock) -> None:
    identities: list[Any] = []
    async with client(line, clock, on_identity=lambda *identity: identities.append(identity)) as agent:
        await agent.ready()
        assert (agent.name, agent.agent, agent.state) == ("x", "counter", {"n": 0})
    assert identities == [("x", "counter")]


async def test_calls_and_their_errors(line: Line, clock: ManualClock) -> None:
    async with client(line, clock) as agent:
        assert await agent.call("add", [2]) == 2
        assert await agent.stub.add(3) == 5
        with pytest.raises(CallFailed, match="bad thing"):
            await agent.call("fail")
        with pytest.raises(CallFailed, match="Method nope does not exist"):
            await agent.stub.nope()


async def test_streams(line: Line, clock: ManualClock) -> None:
    chunks: list[Any] = []
    async with client(line, clock) as agent:
        assert [n async for n in agent.stream("numbers", [3])] == [0, 1, 2]
        assert await agent.call("withResult", on_chunk=chunks.append) == "final"
        with pytest.raises(CallFailed, match="mid"):
            await collect(agent.stream("numbers_then_error"), chunks)
    assert chunks == ["a", 1]


async def test_state_goes_both_ways(line: Line, clock: ManualClock) -> None:
    seen: list[Any] = []
    errors: list[str] = []
    async with (
        client(line, clock, on_state_update=lambda *update: seen.append(update)) as agent,
        client(line, clock, on_state_update_error=errors.append) as other,
    ):
        await agent.ready()
        await other.ready()
        await other.set_state({"n": 5})
        assert other.state == {"n": 5}
        await settle()
        await agent.set_state({"n": 6})
        await settle()
        assert other.state == {"n": 6}
        await other.set_state({"n": -1})
        await settle()
    assert seen == [({"n": 0}, "server"), ({"n": 5}, "server"), ({"n": 6}, "client")]
    assert errors == ["State update rejected"]


async def test_other_messages_come_as_they_are(line: Line, clock: ManualClock) -> None:
    messages: list[Any] = []
    async with client(line, clock, on_message=messages.append) as agent:
        for message in ("text", b"\x00binary", '{"type":"mine"}'):
            await agent.send(message)
        await settle()
    assert messages == ["text", b"\x00binary", '{"type":"mine"}']


async def test_mcp_servers_are_told(line: Line, clock: ManualClock) -> None:
    told: list[Any] = []
    async with client(line, clock, on_mcp_update=told.append) as agent:
        await agent.ready()
        await settle()
    assert told == [{"servers": {}, "tools": [], "prompts": [], "resources": []}]


async def test_connection_comes_back_with_the_same_id(line: Line, clock: ManualClock) -> None:
    async with client(line, clock) as agent:
        await agent.ready()
        line.cut()
        await settle()
        assert not agent.is_identified
        assert not agent.is_open
        await clock.advance(3)
        await agent.ready()
        assert len(line.urls) == 2
        assert line.urls[0] == line.urls[1]
        assert f"_pk={agent.id}" in line.urls[0]


def test_delays_grow_to_a_bound_and_leave_something_to_chance() -> None:
    exact = Reconnect(jitter=0)
    assert [round(exact.delay(n, random.Random()), 2) for n in range(1, 8)] == [3, 3.9, 5.07, 6.59, 8.57, 10, 10]
    delays = [Reconnect().delay(1, random.Random(n)) for n in range(100)]
    assert 2.25 <= min(delays) < max(delays) <= 3


async def test_delay_begins_anew_after_a_connection_that_lasted(line: Line, clock: ManualClock) -> None:
    exact = Reconnect(jitter=0)
    async with client(line, clock, reconnect=exact) as agent:
        await agent.ready()
        line.is_down = True
        line.cut()
        await clock.advance(3 + 3.9)
        assert len(line.urls) == 3
        line.is_down = False
        await clock.advance(5.07)
        await agent.ready()
        await clock.advance(5.1)
        line.cut()
        await clock.advance(2.9)
        assert not agent.is_open
        await clock.advance(0.2)
        assert agent.is_open


async def test_what_is_sent_while_the_line_is_down_waits(line: Line, clock: ManualClock) -> None:
    line.is_down = True
    messages: list[Any] = []
    async with client(line, clock, on_message=messages.append) as agent:
        await settle()
        call = asyncio.ensure_future(agent.call("add", [2]))
        await agent.send("first")
        await settle()
        line.is_down = False
        await clock.advance(3)
        assert await call == 2
        assert messages == ["first"]


async def test_call_that_was_sent_fails_when_the_connection_is_lost_and_one_that_waits_does_not(
    line: Line, clock: ManualClock
) -> None:
    async with client(line, clock) as agent:
        await agent.ready()
        sent = asyncio.ensure_future(agent.call("never"))
        await settle()
        line.cut()
        await settle()
        with pytest.raises(AgentConnectionError, match="Connection closed") as lost:
            await sent
        assert lost.value.code == 1006
        waits = asyncio.ensure_future(agent.call("add", [1]))
        await settle()
        await clock.advance(3)
        assert await waits == 1


@pytest.mark.parametrize("code", [1008, 4000, 4401, 4999])
async def test_close_for_good(line: Line, clock: ManualClock, code: int) -> None:
    told: list[AgentConnectionError] = []
    async with client(line, clock, query={"refuse": str(code)}, on_connection_error=told.append) as agent:
        await settle()
        await clock.advance(60)
        assert len(line.urls) == 1
        assert told == [agent.connection_error]
        assert (told[0].code, told[0].reason) == (code, "go away")
        with pytest.raises(AgentConnectionError):
            await agent.call("add", [1])


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_other_codes_mean_come_back(line: Line, clock: ManualClock, code: int) -> None:
    async with client(line, clock, query={"refuse": str(code), "none": None}) as agent:
        await settle()
        await clock.advance(3)
        assert len(line.urls) == 2
        assert agent.connection_error is None
        assert "none" not in line.urls[0]


async def test_retries_may_be_limited(line: Line, clock: ManualClock) -> None:
    line.is_down = True
    async with client(line, clock, reconnect=Reconnect(max_retries=2)) as agent:
        waiting = asyncio.ensure_future(agent.call("add", [1]))
        await clock.advance(60)
        assert len(line.urls) == 3
        with pytest.raises(AgentConnectionError):
            await waiting
        with pytest.raises(AgentConnectionError):
            await agent.ready()


async def test_ready_says_after_a_while_what_is_in_the_way(line: Line, clock: ManualClock) -> None:
    line.is_down = True
    async with client(line, clock) as agent:
        waiting = asyncio.ensure_future(agent.ready())
        impatient = asyncio.ensure_future(agent.ready(timeout=2))
        patient = asyncio.ensure_future(agent.ready(timeout=0))
        await clock.advance(2)
        with pytest.raises(AgentConnectionError, match="x at localhost:8000 is not ready after 2 s: the line is down"):
            await impatient
        await clock.advance(28)
        with pytest.raises(AgentConnectionError, match="is not ready after 30 s: the line is down"):
            await waiting
        line.is_down = False
        await clock.advance(10)
        await patient
        await agent.ready()


async def test_call_that_was_never_sent_says_what_was_in_the_way(line: Line, clock: ManualClock) -> None:
    line.is_down = True
    async with client(line, clock) as agent:
        waiting = asyncio.ensure_future(agent.call("add", [1], timeout=2))
        await clock.advance(2)
        with pytest.raises(CallTimedOut) as late:
            await waiting
    assert str(late.value.__cause__) == "the line is down"


async def test_server_that_cannot_be_reached_is_told_once(
    line: Line, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeagents.client")
    line.is_down = True
    async with client(line, clock) as agent:
        await clock.advance(60)
        line.is_down = False
        await clock.advance(10)
        await agent.ready()
    url = "http://localhost:8000/agents/counter/x"
    assert caplog.messages == [f"{url} cannot be reached: the line is down", f"{url} is reached now."]


class Refusing:
    """A server that answers every handshake with ``status``."""

    def __init__(self, status: int) -> None:
        self.status, self.asked = status, 0

    async def __call__(self, url: str) -> LineSocket:
        self.asked += 1
        raise HandshakeRefused(self.status, "no such agent")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_handshake_that_is_refused_for_good(clock: ManualClock, status: int) -> None:
    server, told = Refusing(status), []
    agent = AgentClient("nope", "x", host="h", clock=clock, open_socket=server, on_connection_error=told.append)
    async with agent:
        with pytest.raises(AgentConnectionError, match=f"nope/x at h cannot be reached: .* {status}: no such agent"):
            await agent.ready()
        with pytest.raises(AgentConnectionError, match="no such agent"):
            await agent.call("add", [1])
        await clock.advance(60)
    assert server.asked == 1
    assert told == [agent.connection_error]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_handshake_that_is_refused_for_now(clock: ManualClock, status: int) -> None:
    server = Refusing(status)
    async with AgentClient("nope", "x", host="h", clock=clock, open_socket=server) as agent:
        await clock.advance(10)
        assert agent.connection_error is None
    assert server.asked > 1


async def test_call_times_out_and_its_answer_is_ignored(line: Line, clock: ManualClock) -> None:
    async with client(line, clock) as agent:
        await agent.ready()
        slow = asyncio.ensure_future(agent.call("never", timeout=1.5))
        default = asyncio.ensure_future(agent.call("never"))
        unlimited = asyncio.ensure_future(agent.call("never", timeout=0))
        await clock.advance(1.5)
        with pytest.raises(CallTimedOut, match="RPC call to never timed out after 1500ms"):
            await slow
        await clock.advance(28.4)
        assert not default.done()
        await clock.advance(0.2)
        with pytest.raises(TimeoutError, match="30000ms"):
            await default
        assert not unlimited.done()
    with pytest.raises(AgentConnectionError):
        await unlimited


async def test_closing_rejects_what_waits(line: Line, clock: ManualClock) -> None:
    async with client(line, clock) as agent:
        await agent.ready()
        waiting = asyncio.ensure_future(agent.call("never"))
        await settle()
        await agent.close()
        with pytest.raises(AgentConnectionError):
            await waiting
        with pytest.raises(AgentConnectionError):
            await agent.call("add", [1])


async def test_changed_identity_after_a_reconnect_is_told(line: Line, clock: ManualClock) -> None:
    changes: list[Any] = []

    async def elsewhere(url: str) -> LineSocket:
        return await line(url.replace("/x?", "/y?") if line.sockets else url)

    agent = AgentClient(
        "Counter",
        "x",
        host="localhost:8000",
        clock=clock,
        open_socket=elsewhere,
        on_identity_change=lambda *change: changes.append(change),
    )
    async with agent:
        await agent.ready()
        line.cut()
        await clock.advance(3)
        await agent.ready()
        assert agent.name == "y"
    assert changes == [("x", "y", "counter", "counter")]


async def test_query_may_be_made_anew_for_each_attempt(line: Line, clock: ManualClock) -> None:
    tokens = iter("ab")

    async def query() -> dict[str, str]:
        return {"token": next(tokens)}

    async with client(line, clock, query=query) as agent:
        await agent.ready()
        line.cut()
        await clock.advance(3)
        await agent.ready()
    assert [url.rpartition("=")[2] for url in line.urls] == ["a", "b"]


async def test_callback_that_fails_costs_no_connection(
    line: Line, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(message: Any) -> None:
        raise RuntimeError("mine")

    async with client(line, clock, on_message=fails) as agent:
        await agent.send("x")
        assert await agent.call("add", [1]) == 1
    assert "RuntimeError: mine" in caplog.text


async def test_late_answer_is_not_an_error(line: Line, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with client(line, clock) as agent:
        call = asyncio.ensure_future(agent.call("add", [1]))
        await asyncio.sleep(0)
        call.cancel()
        assert await agent.call("add", [1]) in (1, 2)
    assert not caplog.records


@pytest.mark.parametrize(
    ("host", "options", "url"),
    [
        ("localhost:8000", {}, "http://localhost:8000/agents/my-agent/room"),
        ("127.0.0.1:80/", {}, "http://127.0.0.1:80/agents/my-agent/room"),
        ("192.168.1.2", {}, "http://192.168.1.2/agents/my-agent/room"),
        ("10.0.0.1:1", {}, "http://10.0.0.1:1/agents/my-agent/room"),
        ("172.16.0.1", {}, "http://172.16.0.1/agents/my-agent/room"),
        ("172.32.0.1", {}, "https://172.32.0.1/agents/my-agent/room"),
        ("localhost", {}, "https://localhost/agents/my-agent/room"),  # As the npm client has it.
        ("example.com", {}, "https://example.com/agents/my-agent/room"),
        ("http://example.com/", {}, "http://example.com/agents/my-agent/room"),
        ("wss://localhost:1", {}, "https://localhost:1/agents/my-agent/room"),
        ("example.com", {"prefix": "api/v1"}, "https://example.com/api/v1/my-agent/room"),
        ("example.com", {"base_path": "/user"}, "https://example.com/user"),
        ("example.com", {"path": "a/b"}, "https://example.com/agents/my-agent/room/a/b"),
        ("example.com", {"base_path": "user", "path": "/a"}, "https://example.com/user/a"),
    ],
)
async def test_url(host: str, options: dict[str, Any], url: str) -> None:
    assert AgentClient("MyAgent", "room", host=host, **options).http_url == url


@pytest.mark.parametrize(
    ("name", "segment"),
    [("a b", "a%20b"), ("a%20b", "a%20b"), ("ü", "%C3%BC"), ("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("u@x", "u@x")],
)
async def test_name_is_one_segment_of_the_url(name: str, segment: str) -> None:
    assert AgentClient("A", name, host="h").http_url == f"https://h/agents/a/{segment}"


async def test_real_handshake_that_is_refused() -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def refuse(server: ServerConnection, request: Any) -> Any:
        return server.respond(400, "Invalid request")

    async def talk(server: ServerConnection) -> None:
        await server.wait_closed()

    async with serve(talk, "127.0.0.1", 0, process_request=refuse) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        async with AgentClient("nope", "x", host=f"{host}:{port}") as agent:
            with pytest.raises(AgentConnectionError, match="the server answered 400: Invalid request"):
                await agent.ready()


async def test_real_socket() -> None:
    """Against a server of the ``websockets`` library: what it raises is what we raise."""
    from websockets.asyncio.server import ServerConnection, serve

    async def talk(server: ServerConnection) -> None:
        await server.send('{"type":"cf_agent_identity","name":"x","agent":"counter"}')
        async for message in server:
            if message == "bye":
                await server.close(4001, "bye")
            await server.send(message)

    messages: list[Any] = []
    async with serve(talk, "127.0.0.1", 0) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        async with AgentClient("Counter", "x", host=f"{host}:{port}", on_message=messages.append) as agent:
            await agent.ready()
            await agent.send(b"binary")
            await agent.send("bye")
            agent._changed.clear()
            while agent.connection_error is None:
                await agent._changed.wait()
            assert (agent.connection_error.code, agent.connection_error.reason) == (4001, "bye")
    assert messages == [b"binary"]
