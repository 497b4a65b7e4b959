from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from edgeagents.agents import Agent, CallableMetadata, StreamingResponse, callable, get_agent_by_name
from edgeagents.runtime import Runtime
from edgeagents.testing import agent_runtime, connect, settle
from tests.agents.frames import answer, heard, say

pytestmark = [
    pytest.mark.cloudflare("Agents", "callables by name", "same; a camelCase name finds the snake_case method"),
    pytest.mark.cloudflare(
        "Agents",
        "an async generator as a streaming callable",
        "different: it ends by itself, where the SDK leaves the call open",
    ),
]


@dataclass
class Point:
    x: int
    y: int


class Base(Agent):
    @callable()
    async def inherited(self) -> str:
        return "from the base"

    @callable()
    async def hidden_again(self) -> str:
        return "reachable"

    @callable(description="Adds.")
    async def overridden(self) -> str:
        return "base"


class Calculator(Base):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.gate = asyncio.Event()
        self.finished: list[str] = []
        self.attribute = lambda: "an attribute"

    async def hidden_again(self) -> str:
        return "not marked here"

    @callable("Adds more.")
    async def overridden(self) -> str:
        return "derived"

    @callable()
    async def add_numbers(self, a: int, b: int = 1) -> int:
        return a + b

    @callable()
    async def addExact(self) -> str:
        return "exact"

    @callable()
    async def add_exact(self) -> str:
        return "snake"

    async def private_helper(self) -> str:
        return "unreachable"

    @callable()
    async def _secret(self) -> str:
        return "unreachable"

    @callable
    async def bare(self) -> str:
        return "without parentheses"

    @callable()
    def sync(self, n: int) -> int:
        return n * 2

    @callable()
    async def point(self) -> Any:
        return [Point(1, 2)]

    @callable()
    async def nan(self) -> float:
        return float("nan")

    @callable()
    async def missing_key(self) -> None:
        raise KeyError("the key")

    @callable()
    async def slow(self) -> str:
        await self.gate.wait()
        return "slow"

    @callable()
    async def open_gate(self) -> str:
        self.gate.set()
        return "opened"

    @callable()
    async def numbers(self, to: int) -> AsyncIterator[int]:
        try:
            for n in range(to):
                yield n
        finally:
            self.finished.append("numbers")

    @callable(streaming=True)
    async def numbers_then_error(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("mid")

    @callable(streaming=True)
    def sync_numbers(self, to: int) -> Iterator[int]:
        yield from range(to)

    @callable()
    async def handed_on(self) -> AsyncIterator[int]:
        return self.numbers(2)

    @callable()
    async def forever(self) -> AsyncIterator[int]:
        try:
            n = 0
            while True:
                yield n
                n += 1
                await asyncio.sleep(0)
        finally:
            self.finished.append("forever")

    @callable(streaming=True)
    def sync_stream(self, stream: StreamingResponse, parts: list[str]) -> None:
        for part in parts:
            stream.send(part)
        stream.end()

    @callable(streaming=True)
    async def after_the_end(self, stream: StreamingResponse) -> None:
        assert not stream.is_closed
        results = [stream.send(1), stream.end(2), stream.end(3), stream.send(4), stream.error("late")]
        self.finished.append(f"{results} {stream.is_closed}")

    @callable(streaming=True)
    async def says_error(self, stream: StreamingResponse) -> None:
        stream.error("my words")
        raise RuntimeError("not sent twice")

    @callable(streaming=True)
    async def bad_chunk(self, stream: StreamingResponse) -> None:
        stream.send(object())

    async def finished_so_far(self) -> list[str]:
        return self.finished


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Calculator) as runtime:
        yield runtime


PATH = "/agents/calculator/x"


@pytest.mark.parametrize(
    ("method", "args", "result"),
    [
        ("add_numbers", [1, 2], 3),
        ("addNumbers", [1, 2], 3),  # As a browser spells it.
        ("addNumbers", [1], 2),
        ("addExact", [], "exact"),  # A method of exactly that name comes first.
        ("add_exact", [], "snake"),
        ("inherited", [], "from the base"),
        ("overridden", [], "derived"),
        ("bare", [], "without parentheses"),
        ("sync", [21], 42),
        ("point", [], [{"x": 1, "y": 2}]),
    ],
)
async def test_call_is_answered(runtime: Runtime, method: str, args: list[Any], result: Any) -> None:
    socket = await connect(runtime, PATH)
    assert await answer(socket, method, *args) == {
        "type": "rpc",
        "id": "1",
        "success": True,
        "result": result,
        "done": True,
    }


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("nope", "Method nope does not exist"),
        ("private_helper", "Method private_helper is not callable"),
        ("privateHelper", "Method privateHelper is not callable"),
        ("hidden_again", "Method hidden_again is not callable"),
        ("onRequest", "Method onRequest is not callable"),
        ("set_state", "Method set_state is not callable"),
        ("setState", "Method setState is not callable"),
        ("destroy", "Method destroy is not callable"),
        ("state", "Method state does not exist"),
        ("name", "Method name does not exist"),
        ("attribute", "Method attribute is not callable"),
        ("_secret", "Method _secret does not exist"),
        ("__init__", "Method __init__ does not exist"),
        ("__class__", "Method __class__ does not exist"),
        ("", "Method  does not exist"),
        ("nan", "The number nan has no form in JSON."),
        ("missing_key", "the key"),
    ],
)
async def test_call_is_refused_or_fails_with_words_and_no_traceback(runtime: Runtime, method: str, error: str) -> None:
    socket = await connect(runtime, PATH)
    frame = await answer(socket, method)
    assert frame.pop("error").startswith(error)
    assert frame == {"type": "rpc", "id": "1", "success": False}


async def test_wrong_arguments_are_an_error_like_any_other(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    frame = await answer(socket, "add_numbers", 1, 2, 3)
    assert not frame["success"]
    assert "positional arguments" in frame["error"]


async def test_failing_call_is_logged_with_its_traceback(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    socket = await connect(runtime, PATH)
    await answer(socket, "missing_key")
    assert "missing_key" in caplog.text
    assert "Traceback" in caplog.text


async def test_unknown_method_is_not_logged_as_an_error(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    socket = await connect(runtime, PATH)
    await answer(socket, "nope")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_slow_call_does_not_hold_up_those_behind_it(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    await heard(socket)
    say(socket, type="rpc", id="a", method="slow", args=[])
    say(socket, type="rpc", id="b", method="add_numbers", args=[1])
    assert [frame["id"] for frame in await heard(socket)] == ["b"]
    say(socket, type="rpc", id="c", method="open_gate", args=[])
    assert {frame["id"] for frame in await heard(socket)} == {"a", "c"}


@pytest.mark.parametrize(
    ("method", "args", "parts"),
    [
        ("numbers", [3], [0, 1, 2]),
        ("numbers", [0], []),
        ("handed_on", [], [0, 1]),
        ("sync_numbers", [2], [0, 1]),
        ("sync_stream", [["a", "b"]], ["a", "b"]),
    ],
)
async def test_streaming_call(runtime: Runtime, method: str, args: list[Any], parts: list[Any]) -> None:
    socket = await connect(runtime, PATH)
    await heard(socket)
    frame = {"type": "rpc", "id": "1", "success": True}
    say(socket, type="rpc", id="1", method=method, args=args)
    received: list[Any] = []
    while not received or not received[-1]["done"]:
        await settle()
        received += await heard(socket)
    assert received == [
        *({**frame, "result": part, "done": False} for part in parts),
        {**frame, "result": None, "done": True},
    ]


async def test_generator_that_raises_ends_the_stream_with_its_error(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    await heard(socket)
    say(socket, type="rpc", id="1", method="numbersThenError", args=[])
    assert await heard(socket) == [
        {"type": "rpc", "id": "1", "success": True, "result": 1, "done": False},
        {"type": "rpc", "id": "1", "success": False, "error": "mid"},
    ]


async def test_generator_is_closed_when_its_client_has_gone(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    say(socket, type="rpc", id="1", method="forever", args=[])
    await settle()
    socket.lose()
    agent = await get_agent_by_name(runtime.namespaces["Calculator"], "x")
    await settle()
    assert await agent.finished_so_far() == ["forever"]


async def test_stream_ends_once(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    await heard(socket)
    say(socket, type="rpc", id="1", method="after_the_end", args=[])
    assert [frame["result"] for frame in await heard(socket)] == [1, 2]
    agent = await get_agent_by_name(runtime.namespaces["Calculator"], "x")
    assert await agent.finished_so_far() == ["[True, True, False, False, False] True"]


async def test_stream_may_end_with_an_error_of_its_own(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    await heard(socket)
    say(socket, type="rpc", id="1", method="says_error", args=[])
    assert [frame["error"] for frame in await heard(socket)] == ["my words"]


async def test_part_that_is_no_json_ends_the_stream_with_an_error(runtime: Runtime) -> None:
    socket = await connect(runtime, PATH)
    frame = await answer(socket, "bad_chunk")
    assert not frame["success"]


def test_callables_of_a_class_are_listed_with_what_was_said_of_them() -> None:
    class Small(Base):
        async def hidden_again(self) -> str:
            return ""

        @callable("Counts.", streaming=True)
        async def count(self, stream: StreamingResponse) -> None:
            pass

    assert Small.get_callable_methods(object.__new__(Small)) == {
        "inherited": CallableMetadata(),
        "overridden": CallableMetadata("Adds."),
        "count": CallableMetadata("Counts.", streaming=True),
    }


@pytest.mark.parametrize("asked", [None, 5, "".join, Base, print])
def test_who_means_pythons_own_callable_is_told(asked: Any) -> None:
    with pytest.raises(TypeError, match=r"builtins.callable\(...\)"):
        callable(asked)


def test_only_a_method_is_marked() -> None:
    with pytest.raises(TypeError, match="marks a method, not 5"):
        callable()(5)  # type: ignore[type-var]
