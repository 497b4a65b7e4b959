"""The task queue: an agent's methods called soon, one after another, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgeagents.agents import Agent, QueueItem, get_agent_by_name
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare("Background work", "the task queue: order, ids, retries, errors", "same")


class Worker(Agent):
    """Notes what is called; the test tells it what to queue and how calls end."""

    done: list[Any] = []
    held: asyncio.Event | None = None
    fails: int = 0

    async def add(self, payload: Any = None, callback: Any = "work", **options: Any) -> str:
        return await self.queue(callback, payload, **options)

    async def add_many(self, count: int) -> None:
        for number in range(count):
            await self.queue(self.work, number)

    async def work(self, payload: Any, item: QueueItem) -> None:
        cls = type(self)
        cls.done.append(payload)
        if cls.held is not None:
            await cls.held.wait()
        if cls.fails:
            cls.fails -= 1
            raise ValueError("no luck")

    def look(self, payload: Any, item: QueueItem) -> None:
        self.done.append(asdict(item))

    async def more(self, payload: int) -> None:
        self.done.append(payload)
        if payload:
            await self.queue("more", payload - 1)

    async def remove(self, id: str) -> bool:
        return await self.dequeue(id)

    async def remove_all(self) -> int:
        return await self.dequeue_all()

    async def remove_calls(self, callback: str) -> int:
        return await self.dequeue_all_by_callback(callback)

    async def find(self, id: str) -> Any:
        item = await self.get_queue(id)
        return None if item is None else item.payload

    async def find_by(self, key: str, value: Any) -> list[Any]:
        return [item.payload for item in await self.get_queues(key, value)]

    async def on_error(self, error: Exception) -> None:
        self.done.append(str(error))

    async def has_database(self) -> bool:
        return self.ctx.storage.database.exists


@pytest.fixture
async def clock() -> ManualClock:
    Worker.done, Worker.held, Worker.fails = [], None, 0
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def worker(clock: ManualClock) -> AsyncIterator[Any]:
    async with agent_runtime(Worker, clock=clock) as runtime:
        yield await get_agent_by_name(runtime.namespaces["Worker"], "x")


async def test_tasks_run_at_once_in_the_order_in_which_they_came(worker: Any, clock: ManualClock) -> None:
    await worker.add_many(50)
    await clock.advance(1)
    assert Worker.done == list(range(50))


async def test_one_task_runs_at_a_time(worker: Any, clock: ManualClock) -> None:
    Worker.held = asyncio.Event()
    await worker.add("first")
    await worker.add("second")
    await clock.advance(10)
    assert Worker.done == ["first"]
    Worker.held.set()
    await settle()
    assert Worker.done == ["first", "second"]


async def test_the_callback_gets_its_payload_and_the_item(worker: Any, clock: ManualClock) -> None:
    id = await worker.add({"n": 1}, "look", id="mine", retry={"max_attempts": 2})
    await clock.advance(1)
    while not Worker.done:
        await settle()
    assert id == "mine"
    assert Worker.done == [
        {
            "id": "mine",
            "callback": "look",
            "payload": {"n": 1},
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            "retry": {"max_attempts": 2, "base_delay_ms": 100, "max_delay_ms": 3000},
        }
    ]


async def test_a_task_may_queue_the_next(worker: Any, clock: ManualClock) -> None:
    await worker.add(3, "more")
    await clock.advance(5)
    assert Worker.done == [3, 2, 1, 0]


async def test_a_task_with_the_same_id_is_replaced_where_it_stands(worker: Any, clock: ManualClock) -> None:
    Worker.held = asyncio.Event()
    await worker.add("running")
    await clock.advance(1)
    await worker.add("old", id="letter")
    await worker.add("last")
    await worker.add("new", id="letter")
    Worker.held.set()
    await clock.advance(1)
    assert Worker.done == ["running", "new", "last"]


async def test_a_failed_task_is_tried_three_times_and_dropped(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    async with agent_runtime(Worker, clock=clock) as runtime:
        runtime.events.subscribe("agents:schedule", lambda event: told.append((event.type, dict(event.payload))))
        worker = await get_agent_by_name(runtime.namespaces["Worker"], "x")
        Worker.fails = 3
        id = await worker.add("unlucky")
        await worker.add("next")
        await clock.advance(10)
        assert Worker.done == ["unlucky"] * 3 + ["no luck", "next"]
        assert await worker.find(id) is None
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert said.getMessage() == f"Worker 'x': work() failed 3 times as the task {id}"
    named = {"callback": "work", "id": id}
    assert [each for each in told if each[1]["id"] == id] == [
        ("queue:create", named),
        ("queue:retry", {**named, "attempt": 2, "max_attempts": 3}),
        ("queue:retry", {**named, "attempt": 3, "max_attempts": 3}),
        ("queue:error", {**named, "error": "no luck", "attempts": 3}),
    ]


async def test_waiting_tasks_are_found_and_removed(worker: Any, clock: ManualClock) -> None:
    Worker.held = asyncio.Event()
    await worker.add("running")
    await clock.advance(1)
    first = await worker.add({"user": "ada", "n": 1})
    await worker.add({"user": "bob", "n": 2})
    await worker.add({"user": "ada", "n": 3}, "look")
    await worker.add("text")
    assert await worker.find(first) == {"user": "ada", "n": 1}
    assert await worker.find("unknown") is None
    assert await worker.find_by("user", "ada") == [{"user": "ada", "n": 1}, {"user": "ada", "n": 3}]
    assert await worker.remove(first) is True
    assert await worker.remove(first) is False
    assert await worker.remove_calls("look") == 1
    assert await worker.remove_all() == 3
    Worker.held.set()
    await clock.advance(1)
    assert Worker.done == ["running"]


@pytest.mark.parametrize(
    ("callback", "options", "error"),
    [
        (5, {}, "Callback must be a string"),
        ("nothing", {}, r"this\.nothing is not a function"),
        ("work", {"id": " "}, "Queue item ids must be non-empty"),
        ("work", {"retry": {"max_attempts": 1.5}}, r"retry\.maxAttempts must be an integer"),
        ("work", {"retry": {"attempts": 1}}, r"retry has 'attempts', which it does not know\. It knows: max_attempts"),
    ],
)
async def test_what_cannot_be_queued_is_told(worker: Any, callback: Any, options: Any, error: str) -> None:
    with pytest.raises(Exception, match=error):
        await worker.add(None, callback, **options)
    assert await worker.has_database() is False


async def test_the_queue_survives_a_restart_in_its_order(tmp_path: Path, clock: ManualClock) -> None:
    def runtime(seed: int) -> Any:
        return agent_runtime(Worker, clock=clock, storage=tmp_path, durability="normal", rng=Random(seed))

    Worker.held = asyncio.Event()
    async with runtime(1) as first:
        worker = await get_agent_by_name(first.namespaces["Worker"], "x")
        await worker.add_many(3)
        await clock.advance(1)
        assert Worker.done == [0]
    Worker.held.set()
    async with runtime(2) as second:
        worker = await get_agent_by_name(second.namespaces["Worker"], "x")
        await worker.add("later")
        await clock.advance(1)
        while len(Worker.done) < 5:
            await settle()
    assert Worker.done == [0, 0, 1, 2, "later"]
