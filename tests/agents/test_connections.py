from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgeagents import Identity, Request, hookimpl
from edgeagents.agents import Agent, Connection, ConnectionContext, callable, get_agent_by_name
from edgeagents.agents.connections import prepare_tags
from edgeagents.errors import AgentError, WebSocketClosed
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from tests.agents.frames import answer, heard

pytestmark = pytest.mark.cloudflare("Agents", "connections: ids, tags, state, broadcast", "same")


class Room(Agent):
    """Connections by tag, with a state each."""

    connected = 0
    options = {"send_identity_on_connect": False}

    def get_connection_tags(self, connection: Connection, ctx: ConnectionContext) -> list[str]:
        return ctx.request.query.getlist("tag")

    def should_connection_be_readonly(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return "readonly" in ctx.request.query

    async def should_send_protocol_messages(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return "protocol" in ctx.request.query

    def on_connect(self, connection: Connection, ctx: ConnectionContext) -> None:
        self.connected += 1
        connection.set_state({"n": 0})

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if message == "count":
            connection.set_state(lambda state: {"n": state["n"] + 1})
            connection.send(str(connection.state["n"]))
        elif message == "self":
            connection.send(
                f"{connection.id} {connection.tags} {connection.uri} {self.is_connection_readonly(connection)} "
                f"{self.is_connection_protocol_enabled(connection)} {self.connected}"
            )
        else:
            connection.send(message)

    async def ids(self, tag: str | None = None) -> list[str]:
        return [connection.id for connection in self.get_connections(tag)]

    async def lookup(self, id: str) -> str | None:
        connection = self.get_connection(id)
        return connection and connection.id

    async def tell(self, message: str | bytes, without: list[str]) -> None:
        self.broadcast(message, without)

    async def hang_up(self, id: str, code: int, reason: str) -> None:
        connection = self.get_connection(id)
        assert connection is not None
        connection.close(code, reason)

    async def put_state(self, id: str, state: Any) -> Any:
        connection = self.get_connection(id)
        assert connection is not None
        return connection.set_state(state)

    async def put(self, state: Any) -> None:
        self.set_state(state)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    async with agent_runtime(Room, clock=clock) as runtime:
        yield runtime


async def room(runtime: Runtime) -> Room:
    return await get_agent_by_name(runtime.namespaces["Room"], "r")


async def test_connection_knows_its_id_tags_and_url(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/room/r?_pk=me&tag=a&tag=me&tag=b")
    socket.send("self")
    url = "http://localhost/agents/room/r?_pk=me&tag=a&tag=me&tag=b"
    assert await socket.receive() == f"me ('me', 'a', 'b') {url} False False 1"


@pytest.mark.parametrize("path", ["/agents/room/r", "/agents/room/r?_pk="])
async def test_connection_without_an_id_gets_one(runtime: Runtime, path: str) -> None:
    await connect(runtime, path)
    await connect(runtime, path)
    first, second = await (await room(runtime)).ids()
    assert len(first) == len(second) == 21
    assert first != second


async def test_connections_are_found_by_tag(runtime: Runtime) -> None:
    for query in ("_pk=1&tag=red", "_pk=2&tag=red&tag=big", "_pk=3"):
        await connect(runtime, f"/agents/room/r?{query}")
    agent = await room(runtime)
    assert await agent.ids() == ["1", "2", "3"]
    assert await agent.ids("red") == ["1", "2"]
    assert await agent.ids("none") == []


@pytest.mark.cloudflare(
    "Agents",
    "`getConnections(id)`: a connection's id as a tag",
    "different: a client chooses its id, so it is found by `get_connection(id)` alone; what is meant for the tag "
    '"admins" does not go to who comes with `?_pk=admins`',
)
async def test_an_id_that_a_client_chose_is_no_tag(runtime: Runtime) -> None:
    for query in ("_pk=red", "_pk=2&tag=red", "_pk=big&tag=big", "_pk=" + "x" * 256):
        await connect(runtime, f"/agents/room/r?{query}")
    agent = await room(runtime)
    assert await agent.ids("red") == ["2"]
    assert await agent.ids("2") == []
    assert await agent.ids("big") == ["big"]
    assert await agent.lookup("red") == "red"
    assert await agent.lookup("x" * 256) == "x" * 256


@pytest.mark.parametrize(("second", "is_let_in"), [("ann", True), ("bob", False)])
async def test_an_id_is_not_taken_by_another_identity(second: str, is_let_in: bool) -> None:
    class Subjects:
        @hookimpl
        def authorise(self, request: Request) -> Identity:
            return Identity(request.query["who"])

    async with agent_runtime(Room, plugins=[Subjects()]) as runtime:
        await connect(runtime, "/agents/room/r?_pk=1&who=ann")
        socket = await connect(runtime, f"/agents/room/r?_pk=1&who={second}")
        if is_let_in:
            socket.send("hello")
            assert await socket.receive() == "hello"
        else:
            with pytest.raises(WebSocketClosed) as closed:
                await socket.receive()
            assert closed.value.code == 1008
            assert await (await room(runtime)).lookup("1") == "1"


async def test_connection_is_found_by_an_id_that_only_it_has(runtime: Runtime) -> None:
    for query in ("_pk=1&tag=2", "_pk=same", "_pk=same"):
        await connect(runtime, f"/agents/room/r?{query}")
    agent = await room(runtime)
    assert await agent.lookup("1") == "1"
    assert await agent.lookup("2") is None  # A tag is no id.
    assert await agent.lookup("none") is None
    with pytest.raises(AgentError, match="More than one connection found for id same"):
        await agent.lookup("same")


async def test_older_socket_with_the_same_id_may_go_without_the_newer_one(runtime: Runtime) -> None:
    old = await connect(runtime, "/agents/room/r?_pk=same")
    new = await connect(runtime, "/agents/room/r?_pk=same")
    old.lose()
    await settle()
    new.send("still here")
    assert await new.receive() == "still here"
    assert await (await room(runtime)).lookup("same") == "same"


async def test_closed_connections_are_not_listed(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/room/r?_pk=1")
    socket.close()
    assert await (await room(runtime)).ids() == []


@pytest.mark.parametrize("message", ["hello", b"\x00\xff"])
async def test_broadcast_reaches_all_but_those_left_out(runtime: Runtime, message: str | bytes) -> None:
    a, b, c = [await connect(runtime, f"/agents/room/r?_pk={id}") for id in "abc"]
    await (await room(runtime)).tell(message, ["b"])
    await settle()
    assert [socket.pending() for socket in (a, b, c)] == [[message], [], [message]]


async def test_state_goes_to_connections_that_get_protocol_frames_and_broadcast_to_all(runtime: Runtime) -> None:
    with_frames = await connect(runtime, "/agents/room/r?protocol")
    without = await connect(runtime, "/agents/room/r")
    await heard(with_frames)
    agent = await room(runtime)
    await agent.put(1)
    await agent.tell("both", [])
    assert await heard(with_frames) == [{"type": "cf_agent_state", "state": 1}, "both"]
    assert await heard(without) == ["both"]


@pytest.mark.parametrize("message", ["text", b"\x00binary\xff", '{"type":"rpc","id":1}', "[]", ""])
async def test_messages_pass_through_as_they_are(runtime: Runtime, message: str | bytes) -> None:
    socket = await connect(runtime, "/agents/room/r")
    socket.send(message)
    assert await socket.receive() == message


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4401, "no such user"), (1008, "policy")])
async def test_agent_closes_with_its_code_and_reason(runtime: Runtime, code: int, reason: str) -> None:
    socket = await connect(runtime, "/agents/room/r?_pk=1")
    agent = await room(runtime)
    await agent.hang_up("1", code, reason)
    with pytest.raises(WebSocketClosed) as closed:
        await socket.receive()
    assert (closed.value.code, closed.value.reason) == (code, reason)
    assert await agent.ids() == []


async def test_connection_comes_back_from_hibernation_as_it_was(runtime: Runtime, clock: ManualClock) -> None:
    socket = await connect(runtime, "/agents/room/r?_pk=me&tag=a&readonly")
    socket.send("count")
    assert await socket.receive() == "1"
    await clock.advance(60)  # The agent leaves memory, its socket stays open.
    socket.send("count")
    assert await socket.receive() == "2"
    socket.send("self")
    url = "http://localhost/agents/room/r?_pk=me&tag=a&readonly"
    # No on_connect and no frames: what the object counts in memory began anew.
    assert await socket.receive() == f"me ('me', 'a') {url} True False 0"
    assert socket.pending() == []
    assert await (await room(runtime)).ids("a") == ["me"]


async def test_state_that_is_too_large_leaves_the_old_one(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/room/r?_pk=1")
    with pytest.raises(ValueError, match="16384"):
        await (await room(runtime)).put_state("1", {"n": "x" * 17_000})
    socket.send("count")
    assert await socket.receive() == "1"


async def test_setting_the_state_returns_it(runtime: Runtime) -> None:
    await connect(runtime, "/agents/room/r?_pk=1")
    agent = await room(runtime)
    assert await agent.put_state("1", {"n": 7}) == {"n": 7}
    assert await agent.put_state("1", None) is None


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([str(n) for n in range(10)], "can only have 10 tags"),
        ([7], "must be a string. Received: 7"),
        ([""], "must not be an empty string"),
        (["x" * 257], "must not exceed 256 characters"),
        ("red", "not one string"),
    ],
)
def test_tags_that_cannot_be(tags: Any, words: str) -> None:
    with pytest.raises(AgentError, match=words):
        prepare_tags("id", tags)


def test_nine_tags_and_the_id() -> None:
    tags = [str(n) for n in range(9)]
    assert prepare_tags("id", ["id", *tags, "id"]) == ("id", *tags)


async def test_id_that_cannot_be_a_tag_refuses_the_connection(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/room/r?_pk=" + "x" * 257)
    assert "256 characters" in str(await socket.receive())
    with pytest.raises(WebSocketClosed) as closed:
        await socket.receive()
    assert closed.value.code == 1011


async def test_sync_code_sends_from_its_thread() -> None:
    class Threads(Agent):
        @callable()
        def shout(self) -> int:
            connections = list(self.get_connections())
            for connection in connections:
                connection.send("direct")
            self.broadcast("to all")
            return len(connections)

    async with agent_runtime(Threads) as runtime:
        socket = await connect(runtime, "/agents/threads/x")
        other = await connect(runtime, "/agents/threads/x")
        await heard(socket), await heard(other)
        assert (await answer(socket, "shout"))["result"] == 2
        assert await heard(other) == ["direct", "to all"]


async def test_what_is_no_message_is_not_broadcast_even_to_nobody():
    class Careless(Agent):
        async def tell(self) -> None:
            self.broadcast({"n": 1})  # type: ignore[arg-type]

    async with agent_runtime(Careless):
        agent = await get_agent_by_name(Careless, "a")
        with pytest.raises(TypeError, match="str or bytes, not dict"):
            await agent.tell()
