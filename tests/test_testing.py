"""What tests of agents are given: it behaves as the real thing, and as its page says."""

from __future__ import annotations

import ast
import asyncio
import inspect
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import JSONResponse

import edgeagents
import edgeagents.testing
from edgeagents import Agent, callable
from edgeagents.agents import Connection
from edgeagents.errors import CallFailed, WebSocketClosed
from edgeagents.http import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import TestSocket, agent_runtime, connect


class Counter(Agent):
    initial_state = {"n": 0}

    @callable()
    def add(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def count(self, to: int) -> AsyncIterator[int]:
        for n in range(to):
            yield n

    @callable()
    def fail(self) -> None:
        raise ValueError("it is too late")

    @callable()
    async def leave(self) -> None:
        for connection in self.get_connections():
            connection.close(4001, "bye")
        await asyncio.Event().wait()

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(message)

    async def on_request(self, request: Request) -> Any:
        return JSONResponse({"n": self.state["n"]}, 202)


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Counter) as runtime:
        yield runtime


@pytest.fixture
async def socket(runtime: Runtime) -> TestSocket:
    return await connect(runtime, "/agents/counter/x")


async def test_the_example_of_the_page_runs_as_it_stands():
    code = textwrap.dedent(inspect.getdoc(edgeagents.testing).split("\n\n", 1)[1].split("| to |")[0])  # type: ignore[union-attr]
    names = {**vars(edgeagents.testing), "Counter": Counter, "get_agent_by_name": edgeagents.get_agent_by_name}
    exec(compile(ast.parse(code), "edgeagents.testing", "exec"), names)

    await names["test_two_and_two"]()


async def test_a_call_returns_the_result(socket: TestSocket):
    assert await socket.call("add", [2]) == 2


async def test_a_call_raises_the_agent_s_words(socket: TestSocket):
    with pytest.raises(CallFailed, match="it is too late"):
        await socket.call("fail")


async def test_a_call_tells_the_parts_of_a_stream(socket: TestSocket):
    parts: list[int] = []

    await socket.call("count", [3], on_chunk=parts.append)

    assert parts == [0, 1, 2]


async def test_a_call_ends_with_its_connection(socket: TestSocket):
    with pytest.raises(WebSocketClosed) as closed:
        await socket.call("leave")

    assert (closed.value.code, closed.value.reason) == (4001, "bye")


async def test_calls_at_the_same_time_get_their_own_answers(socket: TestSocket):
    assert await asyncio.gather(*(socket.call("add", [n]) for n in (1, 10, 100))) == [1, 11, 111]


async def test_frames_come_by_their_type_whatever_is_between(socket: TestSocket):
    await socket.call("add", [2])

    states = [(await socket.frame("cf_agent_state"))["state"] for _ in range(2)]

    assert states == [{"n": 0}, {"n": 2}]
    assert (await socket.frame("cf_agent_identity"))["name"] == "x"


async def test_a_message_of_the_agent_s_own_comes_without_the_protocol_s(socket: TestSocket):
    socket.send("hello")
    socket.send('{"type": "greeting"}')

    assert await socket.message() == "hello"
    assert await socket.message() == '{"type": "greeting"}'


async def test_what_was_passed_over_can_be_read_later(socket: TestSocket):
    socket.send("hello")
    await socket.message()

    assert "cf_agent_identity" in str(await socket.receive())
    assert [message for message in socket.pending() if "cf_agent_identity" in str(message)] == []


async def test_a_connection_that_was_lost_ends_what_waits_for_it(socket: TestSocket):
    waiting = asyncio.create_task(socket.message())
    await edgeagents.testing.settle()

    socket.lose()

    with pytest.raises(WebSocketClosed) as closed:
        await waiting
    assert closed.value.code == 1006


async def test_a_handler_may_answer_with_a_response_of_starlette(runtime: Runtime):
    response = await runtime.route(Request("/agents/counter/x"))

    assert response is not None
    assert (response.status, await response.json()) == (202, {"n": 0})
