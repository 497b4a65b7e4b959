"""Gates, driven by hand."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeagents.objects.gates import InputGate, OutputGate, Turn, current_turn
from edgeagents.objects.sqlite_session import CommitPutOff

pytestmark = [
    pytest.mark.cloudflare("Durable Objects", "output gate", "same; what it waits for is `durability`"),
    pytest.mark.cloudflare(
        "Durable Objects",
        "tasks that an object starts with `asyncio.create_task`",
        "different: they do not stand still during a critical section; use `ctx.spawn`",
    ),
]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class FakeDatabase:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = self.is_held_here = False
        self.commits = 0
        self.syncs = 0
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.error: Exception | None = None
        self.is_untidy = False
        self.may_tidy = threading.Event()
        self.tidied = 0

    def commit(self) -> bool:
        if self.error is not None:
            raise self.error
        self.commits += 1
        return True

    def sync(self) -> None:
        self.may_sync.wait(5)
        self.syncs += 1

    def tidy(self) -> None:
        self.may_tidy.wait(5)
        self.tidied += 1
        self.is_untidy = False


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
async def gate(database, executor, failures) -> OutputGate:
    return OutputGate(database, "normal", executor, failures.append)


@pytest.fixture
async def syncing_gate(database, executor, failures) -> OutputGate:
    return OutputGate(database, "full", executor, failures.append)


async def test_what_follows_no_write_leaves_at_once(gate):
    sent = []
    gate.release(lambda: sent.append(1))
    assert sent == [1]


async def test_what_follows_a_write_leaves_after_its_commit(gate, database):
    sent = []
    gate.note_write()
    gate.release(lambda: sent.append(database.commits))
    assert sent == []
    await settle()
    assert sent == [1]


async def test_writes_without_an_await_between_them_share_a_commit(gate, database):
    gate.note_write()
    gate.note_write()
    await gate.flushed()
    await settle()
    assert database.commits == 1


async def test_a_commit_that_is_put_off_is_tried_again(gate, database, failures):
    sent = []
    database.error = CommitPutOff("something is busy", 0.001)
    gate.note_write()
    gate.release(lambda: sent.append(database.commits))
    await settle()
    assert sent == []
    database.error = None
    await gate.flushed()
    assert sent == [1]
    assert failures == []


async def test_what_leaves_keeps_its_order(gate):
    sent = []
    gate.note_write()
    for n in range(3):
        gate.release(lambda n=n: sent.append(n))
    await gate.flushed()
    gate.release(lambda: sent.append(3))
    assert sent == [0, 1, 2, 3]


async def test_nothing_is_committed_while_a_transaction_is_held(gate, database):
    database.held = True
    gate.note_write()
    await settle()
    assert database.commits == 0
    database.held = False
    gate.commit_now()
    assert database.commits == 1


async def test_a_full_gate_waits_for_the_disk(syncing_gate, database):
    database.may_sync.clear()
    sent = []
    syncing_gate.note_write()
    syncing_gate.release(lambda: sent.append(1))
    await settle()
    assert (database.commits, sent) == (1, [])
    database.may_sync.set()
    await syncing_gate.flushed()
    assert sent == [1]


async def test_commits_that_wait_together_share_a_sync(syncing_gate, database):
    database.may_sync.clear()
    for _ in range(5):
        syncing_gate.note_write()
        await settle()
    database.may_sync.set()
    await syncing_gate.flushed()
    assert (database.commits, database.syncs) == (5, 2)


async def test_a_failed_commit_is_told_and_lets_nothing_out(gate, database, failures):
    database.error = OSError("disk full")
    sent = []
    gate.note_write()
    gate.release(lambda: sent.append(1))
    await settle()
    assert failures == [database.error]
    gate.fail(failures[0])
    with pytest.raises(OSError, match="disk full"):
        await gate.flushed()
    assert sent == []


async def test_whoever_waits_learns_of_the_failure(syncing_gate, database):
    database.may_sync.clear()
    syncing_gate.note_write()
    waiter = asyncio.ensure_future(syncing_gate.flushed())
    await settle()
    syncing_gate.fail(OSError("gone"))
    database.may_sync.set()
    with pytest.raises(OSError, match="gone"):
        await waiter


async def in_handler(gate, work) -> None:
    """Run ``work`` as a sync handler runs: in a thread, which the gate knows of."""

    def run() -> None:
        gate.in_handler()
        work()

    async def handle() -> None:
        gate.begin_handler(current_turn.get())
        await asyncio.get_running_loop().run_in_executor(None, run)
        gate.end_handler()

    await Turn(InputGate(), handle())


async def test_a_sync_handler_may_send_in_mid_work_what_it_wrote_so_far(gate, database):
    sent = []
    finish = threading.Event()

    def work() -> None:
        gate.note_write()
        gate.release(lambda: sent.append(database.commits))
        gate.note_write()
        finish.wait(5)

    running = asyncio.create_task(in_handler(gate, work))
    while not sent:
        await asyncio.sleep(0)
    finish.set()
    await running
    await settle()
    assert (sent, database.commits) == ([1], 2)


async def test_what_a_sync_handler_writes_is_not_torn_apart_by_others_who_wait(gate, database):
    has_written, finish = threading.Event(), threading.Event()

    def work() -> None:
        gate.note_write()
        has_written.set()
        finish.wait(5)

    gate.note_write()  # An event before it has written: its commit is due in the loop's next step.
    running = asyncio.create_task(in_handler(gate, work))
    await asyncio.to_thread(has_written.wait, 5)
    waiter = asyncio.create_task(gate.flushed())
    gate.release(lambda: None)
    await settle()
    assert (database.commits, waiter.done()) == (1, False)
    finish.set()
    await running
    await waiter
    assert database.commits == 2


# The input gate


async def test_events_wait_for_a_critical_section_and_enter_in_order():
    gate, order = InputGate(), []
    section = gate.close_at_once()

    async def event(name: str) -> None:
        await gate.enter()
        order.append(name)

    tasks = [asyncio.ensure_future(event(name)) for name in "abc"]
    await settle()
    assert order == []
    gate.reopen(section)
    late = asyncio.ensure_future(event("d"))
    await asyncio.gather(*tasks, late)
    assert order == ["a", "b", "c", "d"]


async def test_an_event_that_closes_the_gate_holds_those_behind_it():
    gate, order = InputGate(), []
    first = gate.close_at_once()
    release = asyncio.Event()

    async def closer() -> None:
        await gate.enter()

        async def body() -> None:
            section = await gate.close()
            order.append("closed")
            await release.wait()
            gate.reopen(section)

        await Turn(gate, body())

    async def event() -> None:
        await gate.enter()
        order.append("event")

    tasks = [asyncio.ensure_future(closer()), asyncio.ensure_future(event())]
    await settle()
    gate.reopen(first)
    await settle()
    assert order == ["closed"]
    release.set()
    await asyncio.gather(*tasks)
    assert order == ["closed", "event"]


async def test_a_turn_stands_still_while_another_has_the_object():
    gate, order = InputGate(), []

    async def worker() -> None:
        for n in range(3):
            order.append(n)
            await asyncio.sleep(0)

    task = asyncio.ensure_future(_run(Turn(gate, worker())))
    await asyncio.sleep(0)
    section = gate.close_at_once()
    await settle()
    assert order == [0]
    gate.reopen(section)
    await task
    assert order == [0, 1, 2]


async def test_a_turn_hears_of_an_error_when_the_object_is_its_own_again():
    gate, order = InputGate(), []
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def worker() -> None:
        try:
            await broken
        except ValueError:
            order.append("error")

    task = asyncio.ensure_future(_run(Turn(gate, worker())))
    await asyncio.sleep(0)
    section = gate.close_at_once()
    broken.set_exception(ValueError("it broke"))
    await settle()
    order.append("section ends")
    gate.reopen(section)
    await task
    assert order == ["section ends", "error"]


async def test_a_turn_hears_that_it_is_cancelled_when_the_object_is_its_own_again():
    gate, order = InputGate(), []

    async def worker() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cleaned up")

    task = asyncio.ensure_future(_run(Turn(gate, worker())))
    await asyncio.sleep(0)
    section = gate.close_at_once()
    task.cancel()
    await settle()
    assert order == []
    gate.reopen(section)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["cleaned up"]


async def test_turns_of_an_object_that_is_no_more_come_to_their_end():
    gate = InputGate()
    task = asyncio.ensure_future(_run(Turn(gate, asyncio.Event().wait())))
    await asyncio.sleep(0)
    gate.close_at_once()
    gate.give_up()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_sections_of_one_turn_run_one_after_another():
    gate, order = InputGate(), []

    async def section(name: str) -> None:
        mine = await gate.close()
        order.append(f"{name} begins")
        await asyncio.sleep(0)
        order.append(f"{name} ends")
        gate.reopen(mine)

    async def body() -> None:
        await asyncio.gather(section("a"), section("b"))

    await Turn(gate, body())
    assert order == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_section_within_another_holds_back_what_runs_beside_it():
    gate, order = InputGate(), []

    async def inner() -> None:
        mine = await gate.close()
        order.append("inner begins")
        await asyncio.sleep(0)
        order.append("inner ends")
        gate.reopen(mine)

    async def body() -> None:
        mine = await gate.close()
        await asyncio.gather(inner(), inner())
        order.append("outer ends")
        gate.reopen(mine)

    await Turn(gate, body())
    assert order == [*["inner begins", "inner ends"] * 2, "outer ends"]
    assert gate.is_open


async def test_a_turn_passes_cancellation_and_results():
    gate = InputGate()

    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert await Turn(gate, answer()) == 42

    cleaned = []

    async def patient() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    task = asyncio.ensure_future(_run(Turn(gate, patient())))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def _run(turn: Turn) -> object:
    return await turn


async def nothing() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_nothing_waits_for_tidying_up(database, failures, durability):
    with ThreadPoolExecutor(2) as pool:
        gate = OutputGate(database, durability, pool, failures.append)
        database.is_untidy = True
        for _ in range(3):
            gate.note_write()
            await gate.flushed()
        assert (database.commits, database.tidied) == (3, 0)
        database.may_tidy.set()
    assert database.tidied == 1
    assert failures == []
