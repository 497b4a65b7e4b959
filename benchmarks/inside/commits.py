"""Commits: how many writes a second are answered, by what they survive."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import Row
from benchmarks.scale import Scale
from edgeagents import Agent, Runtime
from edgeagents.objects import Durability

__all__ = ["measure"]

CREATE = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
INSERT = "INSERT INTO notes (text) VALUES (?)"
TOGETHER = 64
GOES = 3


class Notes(Agent):
    """Keeps notes."""

    async def on_start(self, props: Any = None) -> None:
        self.sql(CREATE)

    async def note(self, text: str) -> None:
        self.sql(INSERT, text)


async def _ours(folder: Path, durability: Durability, times: int) -> tuple[float, float, float]:
    async with Runtime(agents=[Notes], storage=folder, durability=durability, discover_plugins=False) as runtime:
        stubs: list[Any] = [runtime.namespaces["Notes"].get_by_name(f"n{number}") for number in range(TOGETHER)]
        await asyncio.gather(*(each.note("first") for each in stubs))
        one = stubs[0]

        async def in_turn() -> None:
            for _ in range(times):
                await one.note("a note")

        async def at_once() -> None:
            for _ in range(times // TOGETHER):
                await asyncio.gather(*(one.note("a note") for _ in range(TOGETHER)))

        async def over_agents() -> None:
            for _ in range(times // TOGETHER):
                await asyncio.gather(*(each.note("a note") for each in stubs))

        found: list[float] = []
        for work in (in_turn, at_once, over_agents):
            count = times if work is in_turn else times // TOGETHER * TOGETHER
            best = 0.0
            for _ in range(GOES):
                started = time.perf_counter()
                await work()
                best = max(best, count / (time.perf_counter() - started))
            found.append(best)
        return found[0], found[1], found[2]


def _raw(folder: Path, synchronous: str, times: int) -> float:
    database = sqlite3.connect(folder / f"raw-{synchronous}", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute(CREATE)
    best = 0.0
    for _ in range(GOES):
        started = time.perf_counter()
        for _ in range(times):
            database.execute(INSERT, ("a note",))
        best = max(best, times / (time.perf_counter() - started))
    database.close()
    return best


def measure(scale: Scale) -> list[Row]:
    """Calls a second that insert a row and are answered when it is kept: one after another, 64 at a time to one agent,
    and one each to 64 agents. `full` survives a loss of power, `normal` a crash of the process, `memory` nothing."""
    times = scale.repeats // 5
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows += [
            {
                "what": f"sqlite3, synchronous = {synchronous}",
                "one after another": f"{_raw(folder, synchronous, times):,.0f}",
                "64 at a time": "-",
                "64 agents": "-",
            }
            for synchronous in ("FULL", "NORMAL")
        ]
        durabilities: tuple[Durability, ...] = ("full", "normal", "memory")
        for durability in durabilities:
            in_turn, at_once, over_agents = asyncio.run(_ours(folder / durability, durability, times))
            rows.append(
                {
                    "what": f"agent, `{durability}`",
                    "one after another": f"{in_turn:,.0f}",
                    "64 at a time": f"{at_once:,.0f}",
                    "64 agents": f"{over_agents:,.0f}",
                }
            )
    return rows
