"""Idempotency keys: a schedule's or a task's effect on the agent's own database is there exactly once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgeagents.agents import Agent, Schedule, get_agent_by_name
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from tests.agents import killed_once
from tests.agents.frames import heard
from tests.agents.killed_once import Till

pytestmark = pytest.mark.cloudflare(
    "Background work",
    "`schedule()`, `schedule_every()` and `queue()` with an `idempotency_key`",
    "different: our own; what the callback writes is kept together with the note that it is done",
)

START = datetime(2026, 1, 1, tzinfo=UTC)


class Shop(Agent):
    """Writes what it is asked to write, and fails as often as a test wants."""

    initial_state = {"sold": 0}
    fails = 0
    gate: asyncio.Event | None = None

    async def on_start(self) -> None:
        self.sql("create table if not exists sold (what text)")

    async def sell(self, what: str) -> None:
        self.sql("insert into sold values (?)", what)
        await self.queue("ship", what)
        self.set_state({"sold": self.state["sold"] + 1})
        if Shop.gate is not None:
            await Shop.gate.wait()
        if Shop.fails:
            Shop.fails -= 1
            raise ValueError("no change")

    def sell_in_thread(self, what: str) -> None:
        self.sql("insert into sold values (?)", what)
        if Shop.fails:
            Shop.fails -= 1
            raise ValueError("no change")

    async def ship(self, what: str) -> None:
        self.sql("insert into sold values (?)", f"shipped {what}")

    async def drop(self, payload: Any, schedule: Schedule) -> None:
        self.sql("insert into sold values ('dropped')")
        await self.cancel_schedule(schedule.id)

    async def sold(self) -> list[str]:
        return [row["what"] for row in self.sql("select what from sold")]

    async def sales(self) -> Any:
        return self.state["sold"]

    async def on_error(self, error: Exception) -> None:
        """Tests look at what is kept."""


@pytest.fixture
def clock() -> ManualClock:
    Shop.fails, Shop.gate = 0, None
    return ManualClock(START)


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    async with agent_runtime(Shop, clock=clock) as runtime:
        yield runtime


@pytest.fixture
def shop(runtime: Runtime) -> Any:
    return runtime.namespaces["Shop"].get_by_name("s")


async def test_the_same_key_is_one_task_while_it_waits_and_after(shop: Any, clock: ManualClock) -> None:
    first = await shop.queue("sell", "a hat", idempotency_key="order-1")
    assert await shop.queue("sell", "another hat", idempotency_key="order-1") == first
    await clock.advance(1)
    assert await shop.queue("sell", "a third hat", idempotency_key="order-1") == first
    assert await shop.queue("sell", "a scarf", idempotency_key="order-2") != first
    await clock.advance(1)
    assert await shop.sold() == ["a hat", "shipped a hat", "a scarf", "shipped a scarf"]


async def test_so_it_is_with_schedules(shop: Any, clock: ManualClock) -> None:
    first = await shop.schedule(60, "sell", "a hat", idempotency_key="order-1")
    again = await shop.schedule(5, "sell", "another hat", idempotency_key="order-1")
    assert again == first
    await clock.advance(61)
    done = await shop.schedule(5, "sell", "another hat", idempotency_key="order-1")
    assert done.id == first.id
    await clock.advance(61)
    assert await shop.sold() == ["a hat", "shipped a hat"]
    assert await shop.list_schedules() == []


async def test_a_queue_and_schedules_have_keys_of_their_own(shop: Any, clock: ManualClock) -> None:
    await shop.queue("ship", "a", idempotency_key="k")
    await shop.schedule(1, "ship", "b", idempotency_key="k")
    await clock.advance(2)
    assert await shop.sold() == ["shipped a", "shipped b"]


async def test_a_key_is_remembered_for_thirty_days(shop: Any, clock: ManualClock) -> None:
    async def sell(what: str, key: str) -> None:
        await shop.queue("ship", what, idempotency_key=key)
        await clock.advance(1)

    await sell("a", "old")
    clock.set_now(START + timedelta(days=29))
    await sell("not again", "old")
    clock.set_now(START + timedelta(days=31))
    await sell("b", "new")
    await sell("a after all", "old")
    assert await shop.sold() == ["shipped a", "shipped b", "shipped a after all"]


async def test_what_a_failed_attempt_wrote_is_not_kept(shop: Any, runtime: Runtime, clock: ManualClock) -> None:
    socket = await connect(runtime, "/agents/shop/s")
    await heard(socket)
    Shop.fails = 2
    await shop.queue("sell", "a hat", idempotency_key="order-1")
    await clock.advance(10)
    assert await shop.sold() == ["a hat", "shipped a hat"]
    assert await shop.sales() == 1
    states = [frame["state"]["sold"] for frame in await heard(socket) if frame["type"] == "cf_agent_state"]
    assert states[-1] == 1
    assert set(states) <= {0, 1}


async def test_what_failed_for_good_left_nothing_and_may_be_asked_for_again(shop: Any, clock: ManualClock) -> None:
    Shop.fails = 3
    await shop.queue("sell", "a hat", idempotency_key="order-1")
    await clock.advance(60)
    assert await shop.sold() == []
    assert await shop.sales() == 0
    await shop.queue("sell", "a hat", idempotency_key="order-1")
    await clock.advance(1)
    assert await shop.sold() == ["a hat", "shipped a hat"]


async def test_a_sync_callback_too(shop: Any, clock: ManualClock) -> None:
    Shop.fails = 1
    await shop.queue("sell_in_thread", "a hat", idempotency_key="order-1")
    while await shop.sold() != ["a hat"]:
        await clock.advance(1)
    await clock.advance(60)
    assert await shop.sold() == ["a hat"]


async def test_nothing_else_of_the_agent_runs_meanwhile(shop: Any, clock: ManualClock) -> None:
    Shop.gate = asyncio.Event()
    await shop.queue("sell", "a hat", idempotency_key="order-1")
    await clock.advance(1)
    asked = asyncio.create_task(shop.sold())
    await settle()
    assert not asked.done()
    Shop.gate.set()
    assert "a hat" in await asked


async def test_each_run_of_what_repeats_is_there_once(shop: Any, clock: ManualClock) -> None:
    first = await shop.schedule_every(60, "ship", "a", idempotency_key="daily")
    assert await shop.schedule_every(60, "ship", "b", idempotency_key="daily") == first
    await clock.advance(185)
    assert await shop.sold() == ["shipped a"] * 3
    assert await shop.cancel_schedule(first.id)
    # Never done, so the key is free.
    await shop.schedule_every(60, "ship", "b", idempotency_key="daily")
    await clock.advance(61)
    assert (await shop.sold())[-1] == "shipped b"


async def test_a_callback_may_cancel_itself(shop: Any, clock: ManualClock) -> None:
    await shop.schedule_every(60, "drop", idempotency_key="daily")
    await clock.advance(185)
    assert await shop.sold() == ["dropped"]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"idempotency_key": " "}, "idempotency_key must not be blank"),
        ({"idempotency_key": "k", "id": "i"}, "an id or an idempotency_key, not both"),
        ({"id": "once:queue:k"}, "begin with 'once:' are those of idempotency keys"),
    ],
)
async def test_keys_that_make_no_sense_are_told(shop: Any, options: Any, fault: str) -> None:
    with pytest.raises(Exception, match=fault):
        await shop.queue("sell", "a hat", **options)


def run_until_killed(folder: Path, key: str) -> None:
    command = [sys.executable, "-m", "tests.agents.killed_once", str(folder), key]
    assert subprocess.run(command).returncode == -signal.SIGKILL


# Without a key it is at least once: what was written before the kill is kept, and written again.
@pytest.mark.parametrize(("key", "times"), [("order-1", 1), ("", 2)])
async def test_a_kill_in_the_midst_of_it_doubles_nothing(tmp_path: Path, key: str, times: int) -> None:
    await asyncio.to_thread(run_until_killed, tmp_path, key)
    Till.done = asyncio.Event()
    clock = ManualClock(datetime.now(UTC) + timedelta(minutes=1))
    async with killed_once.runtime(tmp_path, clock=clock) as running:
        await clock.advance(1)
        await Till.done.wait()
        till: Any = await get_agent_by_name(running.namespaces["Till"], "t")
        assert await till.paid() == [{"order_id": "order-1"}] * times
        if key:
            await till.begin(key)
            await clock.advance(1)
            assert await till.paid() == [{"order_id": "order-1"}]
