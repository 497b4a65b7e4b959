"""What goes between two processes: nothing of it is too long, lost on the way, or left behind when its reader leaves.

As in test_two_processes.py, both are in this process.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edgeagents import Agent, Limits, Request, Response, Runtime
from edgeagents.errors import DataCloneError, ObjectError, ObjectReset
from edgeagents.objects.rpc import crossing_error
from edgeagents.placement import link as links
from edgeagents.placement import wire
from edgeagents.testing import TestSocket, agent_runtime

LARGE = 70 * 1024 * 1024


class Events:
    """What a test and the agent tell each other."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()


events: Events


class Desk(Agent):
    initial_state = {"heard": 0}

    async def on_request(self, request: Request) -> Any:
        if request.path.endswith("/large"):
            return Response(b"x" * LARGE)
        if request.path.endswith("/later"):
            await self._wait()
        return Response(self._pieces())

    async def _wait(self) -> None:
        events.begun.set()
        await events.go_on.wait()

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(1000):
                yield b"x" * 10_000
        finally:
            events.over.set()

    async def copy(self, value: bytes) -> bytes:
        return value

    async def items(self) -> AsyncIterator[int]:
        await self._wait()

        async def numbers() -> AsyncIterator[int]:
            for number in range(1000):
                yield number

        return numbers()

    async def cancelled(self) -> AsyncIterator[int]:
        async def numbers() -> AsyncIterator[int]:
            yield 1
            await self._of_a_cancelled_task()

        return numbers()

    async def _of_a_cancelled_task(self) -> None:
        task = asyncio.ensure_future(asyncio.sleep(3600))
        task.cancel()
        await task

    async def on_connect(self, connection: Any, context: Any) -> None:
        if "wait" in context.request.query:
            await self._wait()

    async def on_message(self, connection: Any, message: str | bytes) -> None:
        await self._wait()
        self.set_state({"heard": self.state["heard"] + 1})

    async def on_close(self, connection: Any, code: int, reason: str, was_clean: bool) -> None:
        events.over.set()

    async def heard(self) -> int:
        return self.state["heard"]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Runtime, Runtime]]:
    """The first owns everything, the second sends everything to it. An agent takes two messages of a client at once."""
    global events
    events = Events()
    limits = Limits(messages_in_flight=2)
    async with (
        agent_runtime(Desk, storage=tmp_path, durability="normal", limits=limits) as owner,
        agent_runtime(Desk, storage=tmp_path, durability="normal", limits=limits) as other,
    ):
        await desk(other).copy(b"")
        yield owner, other


def desk(runtime: Runtime) -> Any:
    return runtime.namespaces["Desk"].get_by_name("d")


def upgrade(query: str = "") -> Request:
    return Request(f"/agents/desk/d{query}", headers={"upgrade": "websocket", "connection": "upgrade"})


def channels(two: tuple[Runtime, Runtime]) -> int:
    """Return what is under way on the link from the second to the first, at both ends."""
    (here,), (there,) = two[1].placement._outgoing, two[0].placement._incoming
    return len(here._channels) + len(there._channels)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            gc.collect()
            await asyncio.sleep(0)


async def test_a_response_may_be_large(two):
    response = await two[1].route(Request("/agents/desk/d/large"))
    assert len(await response.bytes()) == LARGE


async def test_arguments_and_results_may_be_large(two):
    value = b"x" * LARGE
    assert await desk(two[1]).copy(value) == value


async def test_what_is_too_long_for_a_link_is_refused_and_the_link_stays(two, monkeypatch):
    monkeypatch.setattr(links, "_LONGEST_FRAME", 1_000_000)
    with pytest.raises(DataCloneError, match="are too many to go to another process at once: at most 1,000,000"):
        await desk(two[1]).copy(b"x" * 2_000_000)
    assert await desk(two[1]).copy(b"x") == b"x"
    await until(lambda: channels(two) == 0)


async def test_a_caller_that_leaves_while_it_sends_leaves_nothing_behind(two):
    calling = asyncio.ensure_future(desk(two[1]).copy(b"x" * LARGE))
    (there,) = two[0].placement._incoming
    await until(lambda: bool(there._parts))
    calling.cancel()
    await until(lambda: not there._parts and channels(two) == 0)
    assert await desk(two[1]).copy(b"x") == b"x"


async def test_a_response_that_is_dropped_unread_ends_where_it_is_made(two):
    response = await two[1].route(Request("/agents/desk/d/stream"))
    assert response.status == 200
    del response
    await until(events.over.is_set)
    await until(lambda: channels(two) == 0)


@pytest.mark.parametrize("what", ["response", "items"])
async def test_a_caller_that_left_is_sent_no_stream(two, what):
    call = two[1].route(Request("/agents/desk/d/later")) if what == "response" else desk(two[1]).items()
    calling = asyncio.ensure_future(call)
    await events.begun.wait()
    calling.cancel()
    await asyncio.wait([calling])
    events.go_on.set()
    await until(lambda: channels(two) == 0)


async def test_a_caller_that_left_has_no_web_socket(two):
    calling = asyncio.ensure_future(two[1].route(upgrade("?wait")))
    await events.begun.wait()
    calling.cancel()
    await asyncio.wait([calling])
    events.go_on.set()
    await until(events.over.is_set)
    await until(lambda: channels(two) == 0)


@pytest.mark.parametrize("what", ["response", "items", "socket"])
async def test_an_answer_finds_no_link_any_more(two, what):
    call = {
        "response": lambda: two[1].route(Request("/agents/desk/d/later")),
        "items": lambda: desk(two[1]).items(),
        "socket": lambda: two[1].route(upgrade("?wait")),
    }[what]
    calling = asyncio.ensure_future(call())
    await events.begun.wait()
    (there,) = two[0].placement._incoming
    serving = [channel._task for channel in there._channels.values()]
    there.close()
    with pytest.raises(ObjectReset):
        await calling
    events.go_on.set()
    await asyncio.wait(serving, timeout=10)
    assert all(task.done() for task in serving)
    if what == "socket":
        await until(events.over.is_set)


async def test_what_a_client_sent_before_it_closed_is_heard(two):
    end = TestSocket(await two[1].route(upgrade()))
    for number in range(50):
        end.send(str(number))
    end.close()
    await events.begun.wait()
    (there,) = two[0].placement._incoming
    await until(lambda: not there._channels)  # The close has come, and the object is at its first messages.
    events.go_on.set()
    await until(events.over.is_set)
    assert await desk(two[0]).heard() == 50


async def test_who_waits_to_send_more_is_let_go_when_the_link_is_lost(two):
    response = await two[1].route(upgrade())
    waits = [response.websocket.feed(str(number)) for number in range(64)]
    assert waits[:63] == [None] * 63
    (here,) = two[1].placement._outgoing
    here.close()
    async with asyncio.timeout(10):
        await waits[63]
    events.go_on.set()


async def test_what_cannot_be_read_ends_the_link_and_is_told(two, caplog):
    calling = asyncio.ensure_future(desk(two[1]).items())
    await events.begun.wait()
    (there,) = two[0].placement._incoming
    with caplog.at_level(logging.ERROR, "edgeagents.placement"):
        there._write(b"\xff")
        with pytest.raises(ObjectReset):
            await calling
    assert "What another process sent cannot be read" in caplog.text
    events.go_on.set()


@pytest.mark.parametrize("kind", ["result", "response", "error", "a kind of a later release"])
async def test_an_answer_that_cannot_be_read_is_an_error_of_its_call_alone(two, kind):
    calling = asyncio.ensure_future(desk(two[1]).items())
    await events.begun.wait()
    (there,) = two[0].placement._incoming
    (number,) = there._channels
    there.send(number, kind, b"\xff")
    with pytest.raises(ObjectError, match="cannot be read in this one"):
        await asyncio.wait_for(calling, 10)
    assert await desk(two[1]).copy(b"x") == b"x"
    events.go_on.set()
    await until(lambda: channels(two) == 0)


async def test_a_frame_that_an_owner_cannot_read_ends_the_call(two):
    calling = asyncio.ensure_future(desk(two[1]).items())
    await events.begun.wait()
    (here,) = two[1].placement._outgoing
    (number,) = here._channels
    here.send(number, "a kind of a later release")
    with pytest.raises(ObjectError, match="What was sent to the object cannot be read"):
        await asyncio.wait_for(calling, 10)
    (there,) = two[0].placement._incoming
    assert not there._channels
    events.go_on.set()
    assert await desk(two[1]).copy(b"x") == b"x"


def test_an_error_that_this_python_does_not_have_is_of_the_nearest_kind_that_it_has():
    packed = wire.pack_error(crossing_error(RuntimeError("the end")))
    newer = [packed[0], "PythonFinalizationError", packed[2], "PythonFinalizationError", [packed[1], *packed[4]]]
    error = wire.unpack_error(newer)
    assert (isinstance(error, RuntimeError), str(error)) == (True, "the end")
    assert str(wire.unpack_error([*packed[:1], "SystemExit", *packed[2:4]])) == "the end"


async def test_a_source_that_ends_in_a_cancellation_is_an_error_for_its_reader(two):
    items = await desk(two[1]).cancelled()
    assert await anext(items) == 1
    with pytest.raises(ObjectError):
        await asyncio.wait_for(anext(items), 10)
    await until(lambda: channels(two) == 0)


async def test_a_frozen_process_does_not_hold_up_one_that_stops(two):
    owner, _ = two
    _, writer = await asyncio.open_unix_connection(owner.placement._socket)  # Who never reads.
    await until(lambda: len(owner.placement._incoming) == 2)
    for link in owner.placement._incoming:
        link.send(1, "message", b"x" * 10_000_000)
    owner.placement._seconds = 0.05
    async with asyncio.timeout(10):
        await owner.stop()
    writer.transport.abort()
