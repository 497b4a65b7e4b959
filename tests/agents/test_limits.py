"""What clients may ask of an agent: one below each limit passes, one above is refused by name, others go on."""

from __future__ import annotations

import json

import pytest

from edgeagents import Agent, Connection, callable, get_agent_by_name
from edgeagents.errors import JsonTooDeep, WebSocketClosed
from edgeagents.http import Request
from edgeagents.objects import Limits
from edgeagents.testing import agent_runtime, connect
from tests.agents.frames import heard

pytestmark = pytest.mark.cloudflare("Agents", "limits of frames, names and connections", "different: they can be set")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


class Echo(Agent):
    messages: list[object] = []

    @callable()
    def back(self, value: object) -> object:
        return value

    async def on_request(self, request: Request) -> object:
        return await request.json() if request.method == "POST" else "hello"

    def on_message(self, connection: Connection, message: str | bytes) -> None:
        Echo.messages.append(message)

    @callable()
    def keep(self, size: int) -> str:
        for connection in self.get_connections():
            connection.set_state("x" * size)
        return "kept"


def call(method: str, *args: object) -> str:
    return json.dumps({"type": "rpc", "id": "1", "method": method, "args": args})


async def test_a_frame_may_nest_so_deep_and_no_deeper():
    # The frame itself and its arguments are two levels.
    async with agent_runtime(Echo, limits=Limits(json_depth=20)) as runtime:
        one, other = await connect(runtime, "/agents/echo/a"), await connect(runtime, "/agents/echo/a")
        for socket in (one, other):
            await heard(socket)
        one.send(call("back", nested(18)))
        assert json.loads(await one.receive())["result"] == nested(18)

        one.send(call("back", nested(19)))

        with pytest.raises(WebSocketClosed) as closed:
            await one.receive()
        # A code on which the official clients come back.
        assert closed.value.code == 1009
        assert closed.value.reason == "JSON nests deeper than 20 levels: Limits(json_depth=20)."
        other.send(call("back", 1))
        assert json.loads(await other.receive())["result"] == 1


async def test_json_that_nests_without_end_closes_the_connection_too():
    async with agent_runtime(Echo) as runtime:
        socket = await connect(runtime, "/agents/echo/a")
        await heard(socket)
        socket.send('{"a":' * 100_000)
        with pytest.raises(WebSocketClosed, match="1009"):
            await socket.receive()


async def test_where_there_is_no_limit_any_text_reaches_the_agent():
    Echo.messages = []
    async with agent_runtime(Echo, limits=Limits(json_depth=None)) as runtime:
        socket = await connect(runtime, "/agents/echo/a")
        await heard(socket)
        text = '{"a":' * 100_000
        socket.send(text)
        socket.send(call("back", 1))
        assert json.loads(await socket.receive())["result"] == 1
        assert Echo.messages == [text]


async def test_limits_of_a_request_hold_where_another_process_has_the_agent(tmp_path):
    async with (
        agent_runtime(Echo, storage=tmp_path, durability="normal"),
        agent_runtime(Echo, storage=tmp_path, durability="normal") as other,
    ):
        for depth in (5, 6):
            request = Request("/agents/echo/a", method="POST", json=nested(depth))
            request.json_depth = 5
            if depth == 5:
                assert (await other.route(request)).status == 200
                continue
            with pytest.raises(JsonTooDeep) as raised:
                await other.route(request)
            assert (raised.value.status, raised.value.limit) == (400, 5)


async def test_an_agent_s_name_has_a_length():
    async with agent_runtime(Echo, limits=Limits(object_name_bytes=8)) as runtime:
        assert (await runtime.route(Request("/agents/echo/12345678"))).status != 400

        refused = await runtime.route(Request("/agents/echo/123456789"))

        text = "The name of an agent is at most 8 bytes long: Limits(object_name_bytes=8)."
        assert (refused.status, await refused.text()) == (400, text)
        await get_agent_by_name(Echo, "éééé")
        with pytest.raises(ValueError, match=r"Limits\(object_name_bytes=8\)"):
            await get_agent_by_name(Echo, "ééééé")


async def test_what_a_connection_keeps_has_a_size():
    async with agent_runtime(Echo, limits=Limits(strict=False, attachment_bytes=20_000)) as runtime:
        socket = await connect(runtime, "/agents/echo/a")
        await heard(socket)
        socket.send(call("keep", 19_000))
        assert json.loads(await socket.receive())["result"] == "kept"
        socket.send(call("keep", 20_000))
        assert "Limits(attachment_bytes=20000)" in json.loads(await socket.receive())["error"]
