"""A coroutine that is begun at once, seen from its own code and from whoever waits for it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from edgeagents.objects.eager import Rest, Standby, begin_now

number: ContextVar[int] = ContextVar("number", default=0)


async def test_what_does_not_wait_is_done_at_once():
    async def answer() -> int:
        return 42

    begun = begin_now(answer())

    assert begun.done()
    assert begun.result() == 42


async def test_what_waits_goes_on_as_a_task():
    may_go_on = asyncio.Event()
    seen: list[str] = []

    async def wait() -> str:
        seen.append("begun")
        await may_go_on.wait()
        await asyncio.sleep(0)
        return "done"

    begun = begin_now(wait())
    assert seen == ["begun"]
    assert not begun.done()
    may_go_on.set()

    assert await begun == "done"


async def test_an_error_before_the_first_wait_is_kept_for_who_asks():
    async def fail() -> None:
        raise ValueError("at once")

    begun = begin_now(fail())

    assert begun.done()
    with pytest.raises(ValueError, match="at once"):
        await begun


async def test_code_has_one_task_from_its_first_line_to_its_last():
    tasks: list[object] = []

    async def look() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    caller = asyncio.current_task()
    await begin_now(look())

    first, second = tasks
    assert first is second
    assert first is not caller
    assert asyncio.current_task() is caller


async def test_who_has_kept_a_task_that_has_ended_does_not_meet_it_again():
    tasks: list[asyncio.Task[None]] = []

    async def keep() -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)

    async def wait() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    for _ in range(3):
        begin_now(keep())
    assert len(set(tasks)) == 3
    waiting = begin_now(wait())
    for task in tasks:
        task.cancel()

    assert await waiting == "done"


async def test_what_is_begun_while_another_begins_has_a_task_of_its_own():
    seen: list[object] = []

    async def look(depth: int) -> None:
        seen.append(asyncio.current_task())
        if depth:
            await begin_now(look(depth - 1))
        assert asyncio.current_task() is seen[-1 - depth]
        await asyncio.sleep(0)

    await begin_now(look(2))

    assert len(set(seen)) == 3


async def test_a_task_that_stands_by_is_one_that_can_be_cancelled_and_done_without():
    async def nothing() -> int:
        await asyncio.sleep(0)
        return 1

    async def at_once() -> int:
        return 2

    assert begin_now(at_once()).result() == 2
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()

    assert await begin_now(nothing()) == 1
    assert begin_now(at_once()).result() == 2


async def test_a_timeout_begun_before_the_first_wait_ends_that_code_alone():
    async def wait() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "not reached"

    assert await begin_now(wait()) == "timed out"


async def test_code_has_a_context_of_its_own():
    async def change() -> int:
        number.set(1)
        await asyncio.sleep(0)
        return number.get()

    begun = begin_now(change())
    assert number.get() == 0
    assert await begun == 1
    assert number.get() == 0


async def test_a_token_of_the_first_step_is_good_in_the_last():
    async def change() -> int:
        token = number.set(1)
        await asyncio.sleep(0)
        number.reset(token)
        return number.get()

    assert await begin_now(change()) == 0


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_a_task_can_be_cancelled_however_far_it_is(steps: int):
    forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def wait() -> None:
        try:
            await forever
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    begun = begin_now(wait())
    for _ in range(steps):
        await asyncio.sleep(0)
    begun.cancel()

    with pytest.raises(asyncio.CancelledError):
        await begun
    assert seen == ["cancelled"]
    assert forever.cancelled()


class Waiter:
    """A task that lends itself, and awaits what is left of what it lent itself to."""

    def __init__(self) -> None:
        self.rests: asyncio.Queue[Rest] = asyncio.Queue()
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        self.standby = Standby()
        while True:
            rest = await self.rests.get()
            try:
                await rest
            except asyncio.CancelledError:
                if self.standby.is_cancelled():
                    raise


@pytest.fixture
async def waiter():
    waiter = Waiter()
    await asyncio.sleep(0)
    yield waiter
    waiter.task.cancel()
    await asyncio.wait([waiter.task])
    assert waiter.task.cancelled()


async def test_a_task_that_waits_lends_itself(waiter: Waiter):
    seen: list[object] = []

    async def look() -> None:
        token = number.set(1)
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        number.reset(token)
        ended.set()

    ended = asyncio.Event()
    caller = asyncio.current_task()
    rest = waiter.standby.begin(look())
    assert number.get() == 0
    assert asyncio.current_task() is caller
    assert rest is not None
    waiter.rests.put_nowait(rest)
    await ended.wait()

    assert seen == [waiter.task, waiter.task]


async def test_what_does_not_wait_leaves_no_rest(waiter: Waiter):
    seen: list[int] = []

    async def note() -> None:
        seen.append(1)

    assert waiter.standby.begin(note()) is None
    assert seen == [1]


async def test_an_error_comes_to_who_begins(waiter: Waiter):
    async def fail() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        waiter.standby.begin(fail())


async def test_a_task_that_is_interrupted_goes_on(waiter: Waiter):
    seen: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("interrupted")
            raise

    async def end() -> None:
        await asyncio.sleep(0)
        ended.set()

    ended = asyncio.Event()
    rest = waiter.standby.begin(wait())
    assert rest is not None
    waiter.rests.put_nowait(rest)
    await asyncio.sleep(0)
    waiter.standby.interrupt()
    rest = waiter.standby.begin(end())
    assert rest is not None
    waiter.rests.put_nowait(rest)
    await ended.wait()

    assert seen == ["interrupted"]
