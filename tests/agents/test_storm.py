"""Storms: ten thousand jobs of one agent due at once, and many agents due at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgeagents.agents import Agent, get_agent_by_name
from edgeagents.objects import Limits
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare("Background work", "thousands of jobs that are due at once", "same: one by one")

START = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 10_000


class Busy(Agent):
    ran: list[int] = []
    at_once = most = 0
    gate: asyncio.Event | None = None

    async def plan(self, count: int) -> None:
        for number in range(count):
            await self.schedule(60 + number / 1000, "note", number)

    async def note(self, number: int) -> None:
        self.ran.append(number)

    async def ping(self) -> int:
        return len(self.ran)

    async def plan_one(self) -> None:
        await self.schedule(60, "hold")

    async def hold(self) -> None:
        Busy.at_once += 1
        Busy.most = max(Busy.most, Busy.at_once)
        assert Busy.gate is not None
        await Busy.gate.wait()
        Busy.at_once -= 1
        Busy.ran.append(0)


@pytest.fixture
def clock() -> ManualClock:
    Busy.ran, Busy.at_once, Busy.most, Busy.gate = [], 0, 0, asyncio.Event()
    return ManualClock(START)


async def test_ten_thousand_jobs_run_once_each_in_their_order(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_runtime(Busy, clock=clock) as runtime:
        busy: Any = await get_agent_by_name(runtime.namespaces["Busy"], "b")
        await busy.plan(MANY)
        clock.set_now(START + timedelta(hours=1))
        moving = asyncio.create_task(clock.advance(61))
        while not Busy.ran:
            await settle(1)
        # Whoever asks meanwhile is answered meanwhile.
        answers: list[int] = []
        while len(answers) < 20:
            answers.append(await busy.ping())
            await settle(1)
        assert answers[0] < answers[-1] < MANY
        await moving
        while len(Busy.ran) < MANY:
            await settle()
    assert Busy.ran == list(range(MANY))
    assert "10000 jobs of 'scheduler' are due at once" in caplog.text


async def test_agents_that_are_due_at_once_run_a_few_at_a_time(clock: ManualClock) -> None:
    async with agent_runtime(Busy, clock=clock, limits=Limits(alarms_at_once=16)) as runtime:
        for number in range(200):
            agent: Any = await get_agent_by_name(runtime.namespaces["Busy"], f"b{number}")
            await agent.plan_one()
        await clock.advance(61)
        assert (Busy.at_once, Busy.ran) == (16, [])
        assert Busy.gate is not None
        Busy.gate.set()
        while len(Busy.ran) < 200:
            await clock.advance(1)
    assert Busy.most == 16
