"""Memory: an agent that is awake, one that has left memory, and a connection whose agent has."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import tempfile
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.apps import Bench, bare
from benchmarks.inside.calls import Client
from benchmarks.report import Row
from benchmarks.scale import Scale
from edgeagents import AgentsMiddleware, Runtime, wake
from edgeagents.testing import ManualClock

__all__ = ["measure"]

LEAVES_AFTER = 60.0


def resident() -> int:
    """Return the bytes that this process has, after giving back what it can."""
    gc.collect()
    with_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if with_trim is not None:
        with_trim(0)
    return memory.own()


def traced() -> int:
    """Return the bytes that Python objects have."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class World:
    """Agents behind the middleware, on a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.runtime = Runtime(
            agents=[Bench], storage=folder, clock=self.clock, durability="normal", discover_plugins=False
        )
        self.app = AgentsMiddleware(bare, runtime=self.runtime)
        self.clients: list[Client] = []

    def stub(self, number: int) -> Any:
        return self.runtime.namespaces["Bench"].get_by_name(f"agent-{number}")

    async def wake(self, number: int) -> None:
        await wake(self.stub(number))

    async def store(self, number: int) -> None:
        await self.stub(number).fetch("/insert")

    async def connect(self, number: int) -> None:
        client = Client(self.app, f"/agents/bench/agent-{number}")
        await client.waiting
        self.clients.append(client)

    async def sleep(self) -> None:
        await self.clock.advance(LEAVES_AFTER)


async def _each(
    folder: Path, count: int, begin: Callable[[World, int], Awaitable[None]], look: Callable[[], int], *, asleep: bool
) -> float:
    """Return the bytes that each of ``count`` takes, beyond what the first ones have taken for all."""
    world = World(folder)
    async with world.runtime:
        for number in range(20):
            await begin(world, number)
        if asleep:
            await world.sleep()
        before = look()
        for number in range(20, count + 20):
            await begin(world, number)
        if asleep:
            await world.sleep()
        each = (look() - before) / count
        for client in world.clients:
            await client.leave()
        return each


def measure(scale: Scale) -> list[Row]:
    """KB each, without a server. What is awake is measured by what the process has, for SQLite's own memory is part of
    it; what is asleep by the Python objects that stay."""
    count = scale.objects
    rows: list[Row] = []
    cases: tuple[tuple[str, Callable[[World, int], Awaitable[None]], bool, str], ...] = (
        ("agent, awake, nothing stored", World.wake, False, ""),
        ("agent, awake, with a database", World.store, False, "170"),
        ("agent, evicted", World.store, True, "1"),
        ("connection and its agent, awake", World.connect, False, ""),
        ("connection, its agent hibernates", World.connect, True, "25"),
    )
    for what, begin, asleep, goal in cases:
        with tempfile.TemporaryDirectory() as name:
            look = traced if asleep else resident
            if asleep:
                tracemalloc.start()
            run = partial(_each, Path(name), count, begin, look, asleep=asleep)
            each = asyncio.run(run())
            tracemalloc.stop()
        rows.append({"what": what, "KB each": f"{each / 1000:.1f}", "goal KB": goal})
    return rows
