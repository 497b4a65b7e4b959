"""Two runtimes on one state folder: what comes to one reaches the object in the other, and comes back.

Both run in this process. They know of each other only by the folder and its sockets, so it is all the same to them;
what needs real processes, death and frost, is in test_processes.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents import Agent, Request, Response, Runtime, callable
from edgeagents.errors import (
    ClientDisconnected,
    DataCloneError,
    ObjectError,
    ObjectReset,
    OwnershipLost,
    WebSocketClosed,
)
from edgeagents.testing import TestSocket, agent_runtime

opened: list[asyncio.Event] = []


class Desk(Agent):
    initial_state = {"n": 0}

    @callable()
    async def add(self, by: int = 1) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def fail(self, kind: str) -> None:
        if kind == "own":
            raise _Own("mine")
        raise {"key": KeyError, "os": ConnectionResetError}[kind]("what was said")

    async def echo(self, value: Any) -> Any:
        return value

    async def code(self) -> Any:
        return lambda: 1

    async def count(self, to: int) -> AsyncIterator[int]:
        for n in range(to):
            yield n

    async def read(self, request: Request) -> dict[str, Any]:
        return {"url": request.url, "body": await request.text(), "said": request.headers["x-said"]}

    async def where(self) -> str:
        return str(id(asyncio.get_running_loop())) + str(id(self.env))

    async def on_request(self, request: Request) -> Response:
        if request.path.endswith("/upload"):
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
            return Response.from_json({"size": size, "method": request.method, "client": request.client})
        if request.path.endswith("/forever"):
            return Response(self._forever(request))
        if request.path.endswith("/large"):
            return Response(self._pieces(64, 100_000), headers={"x-kind": "large"})
        if request.path.endswith("/broken"):
            return Response(self._broken())
        return Response(f"hello {self.name}", status=203, headers=[("x-a", "1"), ("x-a", "2")])

    async def _pieces(self, count: int, size: int) -> AsyncIterator[bytes]:
        for n in range(count):
            yield bytes([n]) * size

    async def _broken(self) -> AsyncIterator[str]:
        yield "one"
        raise ValueError("no more")

    async def _forever(self, request: Request) -> AsyncIterator[str]:
        try:
            yield "tick"
            await asyncio.Event().wait()
        finally:
            opened[-1].set()

    async def on_message(self, connection: Any, message: str | bytes) -> None:
        if message == "close":
            connection.close(4001, "as you wish")
        elif message == "all":
            self.broadcast("to all")
        else:
            connection.send(f"{message!r} to {self.name}")

    async def on_close(self, connection: Any, code: int, reason: str, was_clean: bool) -> None:
        self.set_state({"n": code})


class _Own(Exception):
    pass


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Runtime, Runtime]]:
    """The first owns everything, the second sends everything to it."""
    async with (
        agent_runtime(Desk, storage=tmp_path, durability="normal") as owner,
        agent_runtime(Desk, storage=tmp_path, durability="normal") as other,
    ):
        yield owner, other


def desk(runtime: Runtime, name: str = "d") -> Any:
    return runtime.namespaces["Desk"].get_by_name(name)


async def socket(runtime: Runtime, name: str = "d") -> TestSocket:
    request = Request(f"/agents/desk/{name}", headers={"upgrade": "websocket", "connection": "upgrade"})
    response = await runtime.route(request)
    assert response is not None
    return TestSocket(response)


async def frames(end: TestSocket, count: int) -> list[str]:
    return [json.loads(await end.receive())["type"] for _ in range(count)]


async def test_both_reach_the_same_object(two):
    assert [await desk(runtime).add(1) for runtime in (*two, *two)] == [1, 2, 3, 4]
    assert await desk(two[0]).where() == await desk(two[1]).where()


@pytest.mark.parametrize("value", [None, 1, "é\ud800", b"\x00", [1, {"a": (2,)}], 2**80, {1, 2}])
async def test_values_cross_as_copies(two, value):
    assert await desk(two[1]).echo(value) == value


async def test_what_is_no_data_does_not_cross(two):
    with pytest.raises(DataCloneError):
        await desk(two[1]).code()
    with pytest.raises(DataCloneError):
        await desk(two[1]).echo(print)


async def test_errors_keep_their_kind(two):
    with pytest.raises(KeyError, match="what was said") as caught:
        await desk(two[1]).fail("key")
    assert isinstance(caught.value, ObjectError)
    assert caught.value.remote
    with pytest.raises(ConnectionResetError):
        await desk(two[1]).fail("os")
    with pytest.raises(ObjectError, match="mine") as own:
        await desk(two[1]).fail("own")
    assert own.value.type_name == "_Own"


async def test_items_of_a_generator_come_as_they_are_read(two):
    items = await desk(two[1]).count(1000)
    assert [item async for item in items] == list(range(1000))
    unfinished = await desk(two[1]).count(10**9)
    assert await anext(unfinished) == 0
    await unfinished.aclose()
    assert await desk(two[1]).add() == 1


async def test_a_request_as_an_argument_crosses_whole(two):
    request = Request("https://example.com/x?y", method="POST", body="said", headers={"x-said": "so"})
    assert await desk(two[1]).read(request) == {"url": "https://example.com/x?y", "body": "said", "said": "so"}


async def test_a_response_crosses_with_its_head(two):
    response = await two[1].route(Request("/agents/desk/d"))
    assert (response.status, response.headers.getlist("x-a"), await response.text()) == (203, ["1", "2"], "hello d")


async def test_a_large_body_streams_both_ways(two):
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 50_000

    request = Request("/agents/desk/d/upload", method="PUT", body=body(), client=("1.2.3.4", 5))
    answer = await (await two[1].route(request)).json()
    assert answer == {"size": 5_000_000, "method": "PUT", "client": ["1.2.3.4", 5]}
    large = await two[1].route(Request("/agents/desk/d/large"))
    assert await large.bytes() == b"".join(bytes([n]) * 100_000 for n in range(64))


async def test_a_body_that_breaks_off_breaks_off(two):
    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise ClientDisconnected

    with pytest.raises(ClientDisconnected):
        await two[1].route(Request("/agents/desk/d/upload", method="PUT", body=body()))
    broken = await two[1].route(Request("/agents/desk/d/broken"))
    stream = broken.stream()
    assert await anext(stream) == b"one"
    with pytest.raises(ValueError, match="no more"):
        await anext(stream)


async def test_a_reader_that_leaves_ends_the_stream_where_it_is_made(two):
    opened.append(asyncio.Event())
    response = await two[1].route(Request("/agents/desk/d/forever"))
    stream = response.stream()
    assert await anext(stream) == b"tick"
    await stream.aclose()
    await opened[-1].wait()


async def test_a_reader_that_reads_nothing_holds_nobody_up(two):
    unread = await two[1].route(Request("/agents/desk/d/large"))
    read = await two[1].route(Request("/agents/desk/d/large"))
    assert len(await read.bytes()) == 6_400_000
    assert await desk(two[1]).add() == 1
    await unread.aclose()


async def test_a_web_socket_reaches_across(two):
    end = await socket(two[1])
    assert await frames(end, 3) == ["cf_agent_identity", "cf_agent_state", "cf_agent_mcp_servers"]
    end.send("hi")
    assert await end.receive() == "'hi' to d"
    end.send(b"\x01")
    assert await end.receive() == "b'\\x01' to d"
    end.send("close")
    with pytest.raises(WebSocketClosed) as closed:
        await end.receive()
    assert (closed.value.code, closed.value.reason) == (4001, "as you wish")


async def test_a_client_that_closes_is_heard_of(two):
    here, there = await socket(two[0]), await socket(two[1])
    await frames(here, 3)
    there.close(4005, "bye")
    assert json.loads(await here.receive())["state"] == {"n": 4005}


async def test_broadcasts_reach_the_clients_of_every_process(two):
    ends = [await socket(runtime) for runtime in (*two, *two)]
    for end in ends:
        await frames(end, 3)
    ends[3].send("all")
    assert [await end.receive() for end in ends] == ["to all"] * 4


async def test_many_messages_come_in_order(two):
    end = await socket(two[1])
    await frames(end, 3)
    for n in range(1000):
        end.send(str(n))
    assert [await end.receive() for _ in range(1000)] == [f"'{n}' to d" for n in range(1000)]


async def test_a_process_that_was_killed_while_it_joined_keeps_nobody_out(tmp_path):
    async with agent_runtime(Desk, storage=tmp_path, durability="normal") as first:
        assert await desk(first).add(5) == 5
        (last,) = (tmp_path / "owners").glob("*.member")
    # Its file was there, with nothing in it yet, and its number not kept.
    (tmp_path / "owners" / f"{int(last.stem) + 1}.member").touch()
    async with agent_runtime(Desk, storage=tmp_path, durability="normal") as next_one:
        assert await desk(next_one).add(5) == 10


async def test_when_the_owner_stops_the_other_takes_over(two):
    owner, other = two
    assert await desk(other).add(5) == 5
    end = await socket(other)
    await frames(end, 3)
    await owner.stop()
    with pytest.raises(WebSocketClosed) as closed:
        await end.receive()
    assert closed.value.code == 1012
    assert await desk(other).add(5) == 10


class Bell(Agent):
    initial_state = {"rings": 0}

    async def ring(self) -> int:
        self.set_state({"rings": self.state["rings"] + 1})
        return self.state["rings"]


async def test_an_old_release_gives_up_what_a_new_class_of_the_new_one_needs(tmp_path):
    async with (
        agent_runtime(Desk, storage=tmp_path, durability="normal") as old,
        agent_runtime(Desk, Bell, storage=tmp_path, durability="normal") as new,
    ):
        bell = new.namespaces["Bell"].get_by_name("b")
        shard = bell.id.shard
        beside = next(name for name in map(str, range(10_000)) if desk(old, name).id.shard == shard)
        assert await desk(old, beside).add(5) == 5
        end = await socket(old, beside)
        await frames(end, 3)

        assert [await bell.ring() for _ in range(3)] == [1, 2, 3]

        # What the old release had of that part goes on where the bell is, and its clients come back.
        with pytest.raises(WebSocketClosed) as closed:
            await end.receive()
        assert closed.value.code == 1012
        assert await desk(old, beside).add() == 6
        assert await desk(new, beside).add() == 7
        assert await asyncio.gather(*(new.namespaces["Bell"].get_by_name(str(n)).ring() for n in range(20))) == [1] * 20


async def test_releases_with_different_classes_take_turns(tmp_path):
    async with (
        agent_runtime(Desk, storage=tmp_path, durability="normal") as desks,
        agent_runtime(Bell, storage=tmp_path, durability="normal") as bells,
    ):
        bell = bells.namespaces["Bell"].get_by_name("b")
        beside = next(name for name in map(str, range(10_000)) if desk(desks, name).id.shard == bell.id.shard)
        for turn in range(3):
            assert await bell.ring() == turn + 1
            assert await desk(desks, beside).add() == turn + 1


async def test_an_owner_whose_lease_has_ended_commits_nothing(two):
    owner, other = two
    assert await desk(owner).add() == 1
    end = await socket(owner)
    await frames(end, 3)
    freeze(owner)
    assert await desk(other).add() == 2
    # Where the lease is still believed in, the database itself says no.
    stub = owner.namespaces["Desk"].get_by_name("d")
    with pytest.raises(OwnershipLost):
        await owner._running.objects.deliver(stub._address, _call("add"), None)
    assert await desk(other).add() == 3
    thaw(owner)
    with pytest.raises(WebSocketClosed) as closed:
        await end.receive()
    assert closed.value.code == 1012
    assert await desk(owner).add() == 4


async def test_calls_under_way_when_an_owner_freezes_fail_as_reset(two):
    owner, other = two
    waiting = asyncio.create_task(other.route(Request("/agents/desk/d/forever")))
    opened.append(asyncio.Event())
    response = await waiting
    stream = response.stream()
    await anext(stream)
    freeze(owner)
    other.placement._share()
    with pytest.raises(ObjectReset):
        await anext(stream)


def freeze(runtime: Runtime) -> None:
    """Let the leases of ``runtime`` end as those of a process that does not run."""
    member = runtime.placement._member
    member.seconds = -1.0
    member.holds_until = float("inf")
    member.renew()
    member.holds_until = float("inf")


def thaw(runtime: Runtime) -> None:
    member = runtime.placement._member
    member.holds_until = 0.0
    with contextlib.suppress(OwnershipLost):
        runtime.placement._lapsed(member)


def _call(method: str) -> Any:
    from edgeagents.objects import CallEvent

    return CallEvent(method, (), {})
