"""Keeping an agent awake: in memory while something holds it, and woken again after the process ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents.agents import Agent, get_agent_by_name
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare("Background work", "`keepAlive`, `keepAliveWhile`", "same; a context manager too")

IDLE_FOR_LONG = 3600


class Sleeper(Agent):
    woken: int = 0
    finish: asyncio.Event

    async def on_start(self) -> None:
        type(self).woken += 1
        self.leases: list[Any] = []

    async def hold(self) -> None:
        self.leases.append(await self.keep_alive())

    def hold_from_thread(self) -> None:
        self.leases.append(self.keep_alive())

    async def let_go(self) -> None:
        lease = self.leases.pop()
        lease()
        lease()

    def let_go_from_thread(self) -> None:
        self.leases.pop()()

    async def within(self, kind: str) -> Any:
        match kind:
            case "async with":
                async with self.keep_alive():
                    return await self.heartbeats()
            case "with":
                with self.keep_alive():
                    return await self.heartbeats()
            case "while":
                return await self.keep_alive_while(self.heartbeats)
            case _:

                async def fail() -> None:
                    raise ValueError(str(await self.heartbeats()))

                return await self.keep_alive_while(fail)

    async def heartbeats(self) -> int:
        if not self.ctx.storage.database.exists:
            return 0
        tables = self.sql("select 1 from sqlite_master where name = 'cf_agents_jobs'")
        return len(self.sql("select 1 from cf_agents_jobs where id = 'cf:keep-alive'")) if tables else 0


@pytest.fixture
async def clock() -> ManualClock:
    Sleeper.woken = 0
    return ManualClock()


@pytest.fixture
async def sleeper(clock: ManualClock) -> AsyncIterator[Any]:
    async with agent_runtime(Sleeper, clock=clock) as runtime:
        yield await get_agent_by_name(runtime.namespaces["Sleeper"], "x")


async def test_an_agent_that_nobody_holds_leaves_memory(sleeper: Any, clock: ManualClock) -> None:
    await sleeper.heartbeats()
    await clock.advance(IDLE_FOR_LONG)
    await sleeper.heartbeats()
    assert Sleeper.woken == 2


@pytest.mark.parametrize(("hold", "let_go"), [("hold", "let_go"), ("hold_from_thread", "let_go_from_thread")])
async def test_an_agent_stays_until_the_last_lease_is_let_go(
    sleeper: Any, clock: ManualClock, hold: str, let_go: str
) -> None:
    await getattr(sleeper, hold)()
    await getattr(sleeper, hold)()
    await getattr(sleeper, let_go)()
    await clock.advance(IDLE_FOR_LONG)
    assert await sleeper.heartbeats() == 1
    assert Sleeper.woken == 1
    await getattr(sleeper, let_go)()
    assert await sleeper.heartbeats() == 0
    await clock.advance(IDLE_FOR_LONG)
    await sleeper.heartbeats()
    assert Sleeper.woken == 2


@pytest.mark.parametrize("kind", ["async with", "with", "while"])
async def test_the_lease_ends_with_its_block(sleeper: Any, kind: str) -> None:
    assert await sleeper.within(kind) == 1
    assert await sleeper.heartbeats() == 0


async def test_the_lease_ends_when_its_function_fails(sleeper: Any) -> None:
    with pytest.raises(ValueError, match="1"):
        await sleeper.within("fail")
    assert await sleeper.heartbeats() == 0


async def test_an_agent_that_was_held_wakes_by_itself_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    def runtime() -> Any:
        return agent_runtime(Sleeper, clock=clock, storage=tmp_path, durability="normal")

    async with runtime() as first:
        await (await get_agent_by_name(first.namespaces["Sleeper"], "x")).hold()
    async with runtime() as second:
        await clock.advance(31)
        while Sleeper.woken < 2:
            await settle()
        assert await (await get_agent_by_name(second.namespaces["Sleeper"], "x")).heartbeats() == 0


async def test_the_interval_of_the_heartbeat_is_an_option(clock: ManualClock) -> None:
    class Quick(Sleeper):
        options = {"keep_alive_interval_ms": 5000}

        async def beat_at(self) -> float:
            alarm = await self.ctx.storage.get_alarm()
            assert alarm is not None
            return (alarm - self.ctx.clock.now()).total_seconds()

    async with agent_runtime(Quick, clock=clock) as runtime:
        quick: Any = await get_agent_by_name(runtime.namespaces["Quick"], "x")
        await quick.hold()
        assert await quick.beat_at() == 5
        await clock.advance(6)
        assert await quick.beat_at() == pytest.approx(4, abs=0.1)
