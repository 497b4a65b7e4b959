"""What a real ``agents`` 0.32 on workerd was seen to send, frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgeagents.agents import Agent, Connection, ConnectionContext, StreamingResponse, callable
from edgeagents.http import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import TestSocket, agent_runtime, connect
from tests.agents.frames import answer, heard, say

pytestmark = pytest.mark.cloudflare("Agents", "frames for identity, state, RPC, streaming", "same")

IDENTITY = {"type": "cf_agent_identity", "name": "g1", "agent": "counter"}
MCP = {
    "mcp": {"prompts": [], "resources": [], "servers": {}, "tools": []},
    "type": "cf_agent_mcp_servers",
}


class Counter(Agent):
    initial_state = {"n": 0}

    async def on_connect(self, connection: Connection, ctx: ConnectionContext) -> None:
        connection.send(f"hello {self.name}")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(f"echo:{message}")

    def validate_state_change(self, next_state: Any, source: Any) -> None:
        if next_state["n"] < 0:
            raise ValueError("negative")

    def should_connection_be_readonly(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return ctx.request.query.get("readonly") == "1"

    def should_send_protocol_messages(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return ctx.request.query.get("protocol") != "0"

    @callable()
    async def add(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def void(self) -> None:
        pass

    @callable()
    async def bad(self) -> None:
        raise ValueError("bad thing")

    @callable()
    async def unserialisable(self) -> Any:
        return object()

    @callable(streaming=True)
    async def count(self, stream: StreamingResponse, to: int) -> None:
        for i in range(to):
            stream.send({"i": i})
        stream.end("fin")

    @callable(streaming=True)
    async def count_and_fail(self, stream: StreamingResponse) -> None:
        stream.send(1)
        raise ValueError("mid")

    @callable(streaming=True)
    async def never_end(self, stream: StreamingResponse) -> None:
        stream.send(1)


class NoState(Agent):
    pass


class Nameless(Agent):
    initial_state = 0
    options = {"send_identity_on_connect": False}


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Counter, NoState, Nameless) as runtime:
        yield runtime


async def open_quietly(runtime: Runtime, path: str = "/agents/counter/g1") -> TestSocket:
    socket = await connect(runtime, path)
    await heard(socket)
    return socket


async def test_connect_with_state(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/counter/g1?_pk=A")
    assert await heard(socket) == [
        {**IDENTITY, "stateFollows": True},
        {"type": "cf_agent_state", "state": {"n": 0}},
        MCP,
        "hello g1",
    ]


async def test_connect_without_state(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/no-state/g1")
    assert await heard(socket) == [{**IDENTITY, "agent": "no-state"}, MCP]


async def test_connect_without_identity(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/nameless/g1")
    assert await heard(socket) == [{"type": "cf_agent_state", "state": 0}, MCP]


async def test_connect_without_protocol(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/counter/g1?protocol=0")
    assert await heard(socket) == ["hello g1"]


async def test_state(runtime: Runtime) -> None:
    a = await open_quietly(runtime)
    b = await open_quietly(runtime)
    mute = await open_quietly(runtime, "/agents/counter/g1?protocol=0")
    readonly = await open_quietly(runtime, "/agents/counter/g1?readonly=1")

    say(a, type="cf_agent_state", state={"n": 5})
    assert await heard(b) == [{"state": {"n": 5}, "type": "cf_agent_state"}]
    assert await heard(a) == []
    assert await heard(mute) == []

    say(a, type="cf_agent_state", state={"n": -5})
    assert await heard(a) == [{"type": "cf_agent_state_error", "error": "State update rejected"}]

    await heard(readonly)
    say(readonly, type="cf_agent_state", state={"n": 9})
    assert await heard(readonly) == [{"type": "cf_agent_state_error", "error": "Connection is readonly"}]

    await heard(b)
    say(a, type="cf_agent_state")
    assert await heard(a) == ['echo:{"type": "cf_agent_state"}']
    assert await heard(b) == []


async def test_call(runtime: Runtime) -> None:
    a = await open_quietly(runtime)
    b = await open_quietly(runtime)
    readonly = await open_quietly(runtime, "/agents/counter/g1?readonly=1")

    say(a, type="rpc", id="1", method="add", args=[7])
    assert await heard(a) == [
        {"state": {"n": 7}, "type": "cf_agent_state"},
        {"done": True, "id": "1", "result": 7, "success": True, "type": "rpc"},
    ]
    assert await heard(b) == [{"state": {"n": 7}, "type": "cf_agent_state"}]

    assert await answer(readonly, "add", 2, id="2") == {
        "error": "Connection is readonly",
        "id": "2",
        "success": False,
        "type": "rpc",
    }


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("void", {"done": True, "success": True, "result": None}),
        ("bad", {"error": "bad thing", "success": False}),
        (
            "unserialisable",
            {
                "error": "A value of type object has no form in JSON. "
                "Make it a dict, or give its class a method __json__.",
                "success": False,
            },
        ),
        ("nope", {"error": "Method nope does not exist", "success": False}),
        ("onStart", {"error": "Method onStart is not callable", "success": False}),
    ],
)
async def test_call_that_ends_otherwise(runtime: Runtime, method: str, expected: dict[str, Any]) -> None:
    socket = await open_quietly(runtime)
    assert await answer(socket, method, id="r") == {"id": "r", "type": "rpc", **expected}


async def test_stream(runtime: Runtime) -> None:
    socket = await open_quietly(runtime)
    say(socket, type="rpc", id="s", method="count", args=[2])
    assert await heard(socket) == [
        {"done": False, "id": "s", "result": {"i": 0}, "success": True, "type": "rpc"},
        {"done": False, "id": "s", "result": {"i": 1}, "success": True, "type": "rpc"},
        {"done": True, "id": "s", "result": "fin", "success": True, "type": "rpc"},
    ]


async def test_stream_that_fails(runtime: Runtime) -> None:
    socket = await open_quietly(runtime)
    say(socket, type="rpc", id="s", method="count_and_fail", args=[])
    assert await heard(socket) == [
        {"done": False, "id": "s", "result": 1, "success": True, "type": "rpc"},
        {"error": "mid", "id": "s", "success": False, "type": "rpc"},
    ]


async def test_stream_without_end_stays_open(runtime: Runtime) -> None:
    socket = await open_quietly(runtime)
    say(socket, type="rpc", id="s", method="never_end", args=[])
    assert await heard(socket) == [{"done": False, "id": "s", "result": 1, "success": True, "type": "rpc"}]


@pytest.mark.parametrize("path", ["/agents/zzz/x", "/agents/Counter/x"])
async def test_unknown_class(runtime: Runtime, path: str) -> None:
    for headers in ({}, {"upgrade": "websocket"}):
        response = await runtime.route(Request(path, headers=headers))
        assert response is not None
        assert (response.status, await response.text()) == (400, "Invalid request")
        assert response.headers["content-type"] == "text/plain;charset=UTF-8"


async def test_agent_without_on_request(runtime: Runtime) -> None:
    response = await runtime.route(Request("/agents/no-state/x"))
    assert response is not None
    assert (response.status, await response.text()) == (404, "Not implemented")
