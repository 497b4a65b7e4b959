"""Long polling is a WebSocket to the agent: same frames, same order, same end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import edgeagents_parrot
import pytest
import pytest_asyncio

from edgeagents import Agent, Connection, Request, Response, callable
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, settle


class Echo(Agent):
    initial_state = {"n": 0}

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if message == "close":
            connection.close(4001, "as asked")
        else:
            connection.send(message)

    async def on_close(self, connection: Connection, code: int, reason: str, was_clean: bool) -> None:
        self.set_state({"n": code})

    @callable()
    async def get(self) -> int:
        return self.state["n"]


def deny(request: Request, lobby: Any) -> Response | None:
    return Response("not you", status=403) if "denied" in request.url else None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    async with agent_runtime(Echo, plugins=[edgeagents_parrot], clock=clock, on_before_connect=deny) as runtime:
        yield runtime


class Client:
    """What a browser would do, with nothing but requests."""

    def __init__(self, runtime: Runtime, name: str = "x") -> None:
        self.runtime, self.name, self.session, self.cursor = runtime, name, "", 0

    async def request(self, method: str = "GET", *, query: str = "", **options: Any) -> Response:
        url = f"/agents/echo/{self.name}?transport=long-poll{query}"
        response = await self.runtime.route(Request(url, method=method, **options))
        assert response is not None
        return response

    async def open(self) -> Client:
        response = await self.request("POST")
        assert response.status == 201
        self.session = (await response.json())["session"]
        return self

    async def poll(self, cursor: int | None = None) -> dict[str, Any]:
        query = f"&session={self.session}&cursor={self.cursor if cursor is None else cursor}"
        answer = await (await self.request(query=query)).json()
        self.cursor = answer["cursor"]
        return answer

    async def send(self, message: str | bytes) -> None:
        kind = "text/plain" if isinstance(message, str) else "application/octet-stream"
        headers = {"content-type": kind}
        response = await self.request("POST", query=f"&session={self.session}", body=message, headers=headers)
        assert response.status == 204


async def opened(runtime: Runtime) -> Client:
    """Return a client that has read what comes with a connection."""
    client = await Client(runtime).open()
    await client.poll()
    return client


async def test_the_first_poll_brings_the_frames_of_a_new_connection(runtime: Runtime) -> None:
    client = await Client(runtime).open()

    first = await client.poll()

    kinds = [json.loads(message["text"])["type"] for message in first["messages"]]
    assert kinds == ["cf_agent_identity", "cf_agent_state", "cf_agent_mcp_servers"]


async def test_messages_go_both_ways(runtime: Runtime) -> None:
    client = await opened(runtime)

    await client.send("hello")
    await client.send(b"\x00\xff")

    messages = (await client.poll())["messages"]
    assert messages[:1] == [{"text": "hello"}]
    assert messages[1:] == [{"base64": base64.b64encode(b"\x00\xff").decode()}]


async def test_a_poll_waits_for_a_message(runtime: Runtime) -> None:
    client = await opened(runtime)
    poll = asyncio.create_task(client.poll())
    await settle()
    assert not poll.done()

    await client.send("at last")

    assert (await poll)["messages"] == [{"text": "at last"}]


async def test_a_poll_without_news_ends_empty(runtime: Runtime, clock: ManualClock) -> None:
    client = await opened(runtime)
    poll = asyncio.create_task(client.poll())

    await clock.advance(edgeagents_parrot.long_poll.POLL_SECONDS)

    assert await poll == {"messages": [], "cursor": 3, "closed": None}


async def test_a_lost_answer_is_asked_for_again(runtime: Runtime) -> None:
    client = await opened(runtime)
    before = client.cursor
    await client.send("once")

    lost = await client.poll()
    again = await client.poll(before)

    assert lost == again


async def test_the_agents_close_is_the_last_thing_that_a_client_reads(runtime: Runtime) -> None:
    client = await opened(runtime)

    await client.send("last words")
    await client.send("close")

    answer = await client.poll()
    assert answer["messages"] == [{"text": "last words"}]
    assert answer["closed"] == {"code": 4001, "reason": "as asked"}


async def test_a_client_that_stays_away_is_lost(runtime: Runtime, clock: ManualClock) -> None:
    client = await opened(runtime)

    await clock.advance(edgeagents_parrot.long_poll.IDLE_SECONDS)

    assert (await client.request(query=f"&session={client.session}")).status == 404
    echo = runtime.namespaces["Echo"].get_by_name("x")
    assert await echo.get() == 1006


async def test_a_client_may_close(runtime: Runtime) -> None:
    client = await opened(runtime)

    response = await client.request("DELETE", query=f"&session={client.session}")

    assert response.status == 204
    echo = runtime.namespaces["Echo"].get_by_name("x")
    assert await echo.get() == 1000


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("GET", "", 400),
        ("GET", "&session=guessed", 404),
        ("GET", "&session={session}&cursor=-1", 400),
        ("GET", "&session={session}&cursor=99", 400),
        ("GET", "&session={session}&cursor=%C2%B2", 400),
        ("PUT", "&session={session}", 405),
    ],
    ids=["no session", "unknown session", "negative", "from the future", "superscript two", "odd method"],
)
async def test_bad_requests_are_refused(runtime: Runtime, method: str, query: str, status: int) -> None:
    client = await opened(runtime)

    response = await client.request(method, query=query.replace("{session}", client.session))

    assert response.status == status


async def test_who_refuses_a_websocket_refuses_a_long_poll(runtime: Runtime) -> None:
    response = await Client(runtime).request("POST", query="&denied")

    assert (response.status, await response.text()) == (403, "not you")


async def test_other_requests_are_left_alone(runtime: Runtime) -> None:
    response = await runtime.route(Request("/agents/echo/x"))

    assert response is not None
    assert (response.status, await response.text()) == (404, "Not implemented")
