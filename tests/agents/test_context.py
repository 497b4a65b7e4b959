from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from edgeagents.agents import Agent, Connection, ConnectionContext, callable, get_agent_by_name, get_current_agent
from edgeagents.asgi.app_response import respond
from edgeagents.http import Request, Response
from edgeagents.testing import agent_runtime, connect, settle
from tests.agents.frames import answer, heard

pytestmark = pytest.mark.cloudflare("Agents", "`getCurrentAgent`", "same; in tasks, threads and streaming bodies too")

told: list[str] = []


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    told.clear()


def who(where: str) -> str:
    """Return which of agent, connection, request and email there are here."""
    current = get_current_agent()
    parts = [
        f"{type(current.agent).__name__} {current.agent.name}" if current.agent is not None else "",
        current.connection.id if current.connection is not None else "",
        current.request.path if current.request is not None else "",
        "email" if current.email is not None else "",
    ]
    told.append(f"{where}: {' '.join(part for part in parts if part)}")
    return told[-1]


class Tells(Agent):
    async def on_start(self) -> None:
        who("start")

    async def on_request(self, request: Request) -> Any:
        who("request")
        if request.path.endswith("/stream"):
            return Response(self.parts())
        if request.path.endswith("/generator"):
            return self.parts()
        if request.path.endswith("/sync"):
            return self.sync_parts()
        return "done"

    async def parts(self) -> AsyncIterator[str]:
        try:
            for n in range(2):
                yield who(f"part {n}")
        finally:
            who("closed")

    def sync_parts(self) -> Iterator[str]:
        yield who("sync part")

    async def on_connect(self, connection: Connection, ctx: ConnectionContext) -> None:
        who("connect")

    def on_message(self, connection: Connection, message: str | bytes) -> None:
        who("message in a thread")

    async def on_close(self, connection: Connection) -> None:
        who("close")

    async def on_state_changed(self, state: Any) -> None:
        who("state changed")

    @callable()
    async def call(self) -> None:
        who("call")
        await asyncio.create_task(self.in_task())

    async def in_task(self) -> None:
        who("task")

    @callable()
    async def count(self) -> AsyncIterator[int]:
        yield 1
        who("stream")

    async def by_stub(self) -> None:
        who("stub")

    def by_stub_in_thread(self) -> None:
        who("stub in a thread")


async def test_outside_of_an_agent_there_is_nothing() -> None:
    assert get_current_agent() == (None, None, None, None)


async def test_requests() -> None:
    async with agent_runtime(Tells) as runtime:
        await runtime.route(Request("/agents/tells/x"))
        assert told == ["start: Tells x", "request: Tells x /agents/tells/x"]
        assert get_current_agent().agent is None


@pytest.mark.parametrize("tail", ["stream", "generator"])
async def test_streaming_bodies_run_as_the_agent(tail: str) -> None:
    async with agent_runtime(Tells) as runtime:
        response = await runtime.route(Request(f"/agents/tells/x/{tail}"))
        assert response is not None
        async for _ in response.stream():
            # What reads the body is no agent.
            assert get_current_agent().agent is None
    path = f"Tells x /agents/tells/x/{tail}"
    assert told[2:] == [f"part 0: {path}", f"part 1: {path}", f"closed: {path}"]


async def test_body_that_is_left_early_is_closed_as_the_agent() -> None:
    async with agent_runtime(Tells) as runtime:
        response = await runtime.route(Request("/agents/tells/x/stream"))
        assert response is not None
        stream = response.stream()
        await anext(stream)
        await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    assert told[-1] == "closed: Tells x /agents/tells/x/stream"


async def test_sync_bodies_run_as_the_agent() -> None:
    async with agent_runtime(Tells) as runtime:
        response = await runtime.route(Request("/agents/tells/x/sync"))
        assert response is not None
        await response.bytes()
    assert told[-1] == "sync part: Tells x /agents/tells/x/sync"


async def test_app_that_answers_runs_as_the_agent() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        who("app")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    class Hosts(Agent):
        async def on_request(self, request: Request) -> Any:
            return app

    async with agent_runtime(Hosts, respond=respond) as runtime:
        response = await runtime.route(Request("/agents/hosts/x"))
        assert response is not None
        await response.bytes()
        assert get_current_agent().agent is None
    assert told == ["app: Hosts x /agents/hosts/x"]


async def test_connections() -> None:
    async with agent_runtime(Tells) as runtime:
        socket = await connect(runtime, "/agents/tells/x?_pk=me")
        await heard(socket)
        await answer(socket, "call")
        await answer(socket, "count")
        socket.send("text")
        while len(told) < 6:
            await settle()
        socket.close()
        while len(told) < 7:
            await settle()
    assert told == [
        "start: Tells x",
        "connect: Tells x me /agents/tells/x",
        "call: Tells x me",
        "task: Tells x me",
        "stream: Tells x me",
        "message in a thread: Tells x me",
        "close: Tells x me",
    ]


async def test_calls_through_a_stub() -> None:
    async with agent_runtime(Tells) as runtime:
        agent = await get_agent_by_name(runtime.namespaces["Tells"], "x")
        await agent.by_stub()
        await agent.by_stub_in_thread()
    assert told == ["start: Tells x", "stub: Tells x", "stub in a thread: Tells x"]


async def test_agent_that_calls_another_stays_who_it_is() -> None:
    class Front(Agent):
        async def ask(self) -> None:
            await (await get_agent_by_name(Tells, "back")).by_stub()
            who("front")

    async with agent_runtime(Front, Tells) as runtime:
        await (await get_agent_by_name(runtime.namespaces["Front"], "x")).ask()
    assert told == ["start: Tells back", "stub: Tells back", "front: Front x"]


async def test_change_of_the_state_is_told_as_whoever_made_it() -> None:
    async with agent_runtime(Tells) as runtime:
        socket = await connect(runtime, "/agents/tells/x?_pk=me")
        socket.send('{"type":"cf_agent_state","state":1}')
        await settle()
    assert told[-1] == "state changed: Tells x me"
