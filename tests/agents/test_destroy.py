"""The end of an agent: everything is deleted, at once, in a second, or when it wakes again after the process ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgeagents.agents import Agent, Capability, get_agent_by_name
from edgeagents.errors import ObjectReset
from edgeagents.testing import ManualClock, agent_runtime, connect, settle

pytestmark = pytest.mark.cloudflare("Background work", "`destroy`, resumed when it was cut short", "same")


class Stubborn(Capability):
    """Does not let go while the test says so, as a process that ends does not."""

    holds = False

    async def dispose(self) -> None:
        if self.holds:
            self.host.ctx.abort("the process ended")


class Mortal(Agent):
    capability_types = (Stubborn,)
    started: list[bool] = []

    async def on_start(self) -> None:
        self.started.append(await self.has_memory())

    async def remember(self) -> None:
        self.set_state({"memory": True})
        await self.schedule(3600, "wake")

    async def has_memory(self) -> bool:
        return self.state is not None or bool(self.get_schedules())

    async def end(self) -> str:
        await self.destroy()
        return "ended"

    async def end_soon(self) -> str:
        await self.schedule_destroy()
        return "will end"

    async def end_in_job(self) -> None:
        await self.queue("ending")
        await self.queue("wake")

    async def ending(self) -> None:
        await self.destroy()
        self.woken.append("after destroy()")

    woken: list[str] = []

    async def wake(self) -> None:
        self.woken.append("woken")

    async def on_alarm(self) -> None:
        self.woken.append("alarm")


@pytest.fixture
async def clock() -> ManualClock:
    Mortal.started, Mortal.woken, Stubborn.holds = [], [], False
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Any]:
    async with agent_runtime(Mortal, clock=clock) as runtime:
        yield runtime


async def mortal(runtime: Any) -> Any:
    return await get_agent_by_name(runtime.namespaces["Mortal"], "x")


async def test_nothing_is_left_and_nothing_is_done_later(runtime: Any, clock: ManualClock) -> None:
    told: list[Any] = []
    runtime.events.subscribe("agents:lifecycle", lambda event: told.append((event.type, dict(event.payload))))
    agent = await mortal(runtime)
    await agent.remember()
    assert await agent.end() == "ended"
    await settle()
    await clock.advance(7200)
    assert await (await mortal(runtime)).has_memory() is False
    assert Mortal.woken == []
    assert told == [("destroy", {})]


async def test_in_a_job_it_is_put_off_by_a_second_and_no_other_job_runs(runtime: Any, clock: ManualClock) -> None:
    socket = await connect(runtime, "/agents/mortal/x")
    agent = await mortal(runtime)
    await agent.remember()
    await agent.end_in_job()
    await clock.advance(0.9)
    assert Mortal.woken[0] == "after destroy()"
    assert socket.closed is None
    await clock.advance(1)
    assert socket.closed is not None
    assert socket.closed.code == 1001
    await clock.advance(7200)
    assert "woken" not in Mortal.woken
    assert await (await mortal(runtime)).has_memory() is False


async def test_it_can_be_put_off_so_that_an_answer_gets_out(runtime: Any, clock: ManualClock) -> None:
    agent = await mortal(runtime)
    await agent.remember()
    assert await agent.end_soon() == "will end"
    assert await agent.has_memory() is True
    await clock.advance(2)
    assert await (await mortal(runtime)).has_memory() is False


async def test_one_that_was_cut_short_is_finished_before_the_agent_starts(runtime: Any) -> None:
    agent = await mortal(runtime)
    await agent.remember()
    Stubborn.holds = True
    with pytest.raises(ObjectReset, match="the process ended"):
        await agent.end()
    Stubborn.holds = False
    assert await (await mortal(runtime)).has_memory() is False
    assert Mortal.started == [False, False]


async def test_one_that_was_put_off_is_finished_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    def on_disk(seed: int) -> Any:
        return agent_runtime(Mortal, clock=clock, storage=tmp_path, durability="normal", rng=Random(seed))

    async with on_disk(1) as first:
        agent = await mortal(first)
        await agent.remember()
        await agent.end_soon()
    await clock.advance(60)
    async with on_disk(2) as second:
        assert await (await mortal(second)).has_memory() is False
    assert Mortal.started == [False, False]
