"""Objects are called from threads that run an event loop of their own, and stay on theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from edgeagents import Agent, Request, Response, get_agent_by_name, web_socket_pair
from edgeagents.errors import ObjectError
from edgeagents.testing import agent_runtime

pytestmark = pytest.mark.cloudflare(
    "Agents",
    "calls from a thread with an event loop of its own",
    "different: Workers have no threads; here such a call goes to the loop of the object",
)


class Counter(Agent):
    initial_state = {"n": 0}
    threads: set[int]

    async def on_start(self) -> None:
        self.threads = set()

    async def add(self) -> int:
        self.threads.add(threading.get_ident())
        self.set_state({"n": self.state["n"] + 1})
        return self.state["n"]

    async def where(self) -> set[int]:
        return self.threads

    async def fail(self) -> None:
        raise ValueError("no")

    async def count(self) -> AsyncIterator[int]:
        for n in range(3):
            yield n

    async def on_request(self, request: Request) -> Response:
        if request.path.endswith("/socket"):
            client, server = web_socket_pair()
            self.ctx.accept_web_socket(server)
            return Response(status=101, websocket=client)

        async def echoed() -> AsyncIterator[str]:
            yield f"{threading.get_ident()} "
            yield (await request.text()).upper()

        return Response(echoed())


def in_a_thread(work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    return asyncio.to_thread(asyncio.run, work)


async def a_counter() -> Any:
    return await get_agent_by_name(Counter, "a")


async def add() -> int:
    return await (await a_counter()).add()


async def test_calls_from_many_threads_are_one_after_another() -> None:
    async with agent_runtime(Counter):
        found = await asyncio.gather(*(in_a_thread(add()) for _ in range(8)))
        assert sorted(found) == list(range(1, 9))
        counter = await a_counter()
        assert await counter.add() == 9
        assert await counter.where() == {threading.get_ident()}


async def test_a_sync_function_of_the_application_calls_by_async_to_sync() -> None:
    async with agent_runtime(Counter):
        assert await asyncio.to_thread(async_to_sync(add)) == 1
        assert await add() == 2


async def test_an_error_reaches_the_other_loop_as_it_would_here() -> None:
    async def fails() -> None:
        await (await a_counter()).fail()

    async with agent_runtime(Counter):
        with pytest.raises(ValueError, match="no"):
            await in_a_thread(fails())


async def test_bodies_and_items_cross_as_they_are_made() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"he"
        await asyncio.sleep(0)
        yield b"llo"

    async def ask() -> tuple[str, list[int]]:
        counter = await a_counter()
        answer = await counter.fetch("http://agent/echo", method="POST", body=body())
        return await answer.text(), [n async for n in await counter.count()]

    async with agent_runtime(Counter):
        assert await in_a_thread(ask()) == (f"{threading.get_ident()} HELLO", [0, 1, 2])


async def test_a_websocket_is_refused_there_and_closed_here() -> None:
    async def connect() -> None:
        counter = await a_counter()
        await counter.fetch("http://agent/socket", headers={"upgrade": "websocket"})

    async with agent_runtime(Counter):
        with pytest.raises(ObjectError, match="on the event loop of its runtime"):
            await in_a_thread(connect())
        assert await add() == 1


def test_a_loop_that_has_ended_is_told_of() -> None:
    async def start() -> tuple[Any, Any]:
        runtime = agent_runtime(Counter)
        await runtime.__aenter__()
        return runtime, await a_counter()

    async def later(stub: Any) -> None:
        with pytest.raises(ObjectError, match="does not run any more"):
            await stub.add()

    with asyncio.Runner() as runner:
        runtime, stub = runner.run(start())
        asyncio.run(later(stub))
        runner.run(runtime.__aexit__(None, None, None))
