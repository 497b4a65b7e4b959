"""``run_sync`` and what it stands on: steps of coroutines in greenlets that serve one after the other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import greenlet
import pytest

from wrangler_compat.host.run_sync import Suspendable, run_sync

from .conftest import RunWorker

TASKS = """
import asyncio
import hypercorn
from workers import Response, WorkerEntrypoint

ASKED = "from pyodide.ffi import can_run_sync\\nasync def asked(): return can_run_sync()"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        told = []
        for file in (__file__, hypercorn.__file__):
            names = {}
            exec(compile(ASKED, file, "exec"), names)
            told.append(await asyncio.create_task(names["asked"]()))
        return Response.json(told)
"""


class Thing:
    pass


async def test_one_greenlet_serves_all_who_never_wait_in_it():
    async def worker() -> set[int]:
        seen: set[int] = set()
        for _ in range(3):
            seen.add(id(greenlet.getcurrent()))
            await asyncio.sleep(0)
        return seen

    first, second = await Suspendable(worker()), await Suspendable(worker())
    assert len(first) == 1
    assert first == second


async def test_who_waits_keeps_the_greenlet_until_the_wait_is_over():
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def waits() -> tuple[int, str]:
        return id(greenlet.getcurrent()), run_sync(waiting)

    async def another() -> int:
        return id(greenlet.getcurrent())

    async def run() -> tuple[int, str]:
        return await Suspendable(waits())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    meanwhile = await Suspendable(another())
    waiting.set_result("over")
    own, result = await task
    assert result == "over"
    assert own != meanwhile


async def test_a_worker_below_a_worker_waits_and_both_go_on():
    async def inner(value: int) -> int:
        return run_sync(asyncio.sleep(0, value))

    async def outer(value: int) -> list[int]:
        first = run_sync(asyncio.sleep(0, value))
        second = await Suspendable(inner(value + 1))
        return [first, second, run_sync(asyncio.sleep(0, value + 2))]

    for value in range(3):
        assert await Suspendable(outer(value)) == [value, value + 1, value + 2]


async def test_nothing_of_a_step_is_kept_by_what_ran_it():
    things: list[weakref.ref[Thing]] = []
    kept: contextvars.ContextVar[Thing] = contextvars.ContextVar("kept")

    async def worker() -> Thing:
        thing, in_context = Thing(), Thing()
        kept.set(in_context)
        things.extend((weakref.ref(thing), weakref.ref(in_context)))
        await asyncio.sleep(0)
        return thing

    async def run() -> None:
        await Suspendable(worker())

    gc.disable()
    try:
        await asyncio.create_task(run())
        # The loop itself lets go of a task one turn after its end.
        await asyncio.sleep(0)
        assert [thing() for thing in things] == [None, None]
    finally:
        gc.enable()


async def test_an_error_goes_to_who_asked_and_the_next_step_knows_nothing_of_it():
    async def fails() -> None:
        raise ValueError("no")

    async def works() -> str:
        return "yes"

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await Suspendable(fails())
        assert await Suspendable(works()) == "yes"


async def test_who_is_cancelled_while_it_waits_cleans_up_at_once():
    order: list[str] = []

    async def worker() -> None:
        try:
            run_sync(asyncio.get_running_loop().create_future())
        finally:
            order.append("cleaned")

    async def run() -> None:
        await Suspendable(worker())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["cleaned"]


async def test_a_task_that_the_server_makes_for_an_answer_is_none_of_the_workers(run: RunWorker):
    assert await (await run(TASKS)).text() == "[true, false]"
