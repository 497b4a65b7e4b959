"""SQL through the storage API, against the drivers below it."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from benchmarks.inside.timing import GOES
from benchmarks.report import Row
from benchmarks.scale import Scale
from edgeagents import Agent, Runtime

__all__ = ["measure"]

CREATE = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, n INTEGER)"
INSERT = "INSERT INTO notes (text, n) VALUES (?, ?)"
ONE = "SELECT text, n FROM notes WHERE id = ?"
MANY = "SELECT id, text, n FROM notes WHERE id <= 100"

Execute = Callable[..., Any]


def run(execute: Execute, commit: Callable[[], object], times: int) -> dict[str, float]:
    """Return the seconds that each kind of statement takes with ``execute``, which gives an iterable of rows."""
    execute(CREATE)
    found: dict[str, float] = {}

    def note(what: str, count: int, work: Callable[[], object]) -> None:
        best = float("inf")
        for _ in range(GOES):
            started = time.process_time()
            work()
            best = min(best, (time.process_time() - started) / count)
            commit()
        found[what] = best

    def inserts() -> None:
        for number in range(times):
            execute(INSERT, "a note", number)

    def selects() -> None:
        for number in range(times):
            list(execute(ONE, number % 100 + 1))

    def rows() -> None:
        for _ in range(times // 50):
            list(execute(MANY))

    note("insert", times, inserts)
    note("select of one row", times, selects)
    note("row of a select of 100", times // 50 * 100, rows)
    return found


class Notes(Agent):
    """Runs the same statements through its storage."""

    async def run(self, times: int) -> dict[str, float]:
        sql = self.ctx.storage.sql
        # What is written in one go is committed together; nothing here waits.
        return run(sql.exec, lambda: None, times)

    async def run_short(self, times: int) -> dict[str, float]:
        return run(self.sql, lambda: None, times)


async def _ours(folder: Path, times: int, method: str) -> dict[str, float]:
    async with Runtime(agents=[Notes], storage=folder, durability="normal", discover_plugins=False) as runtime:
        notes: Any = runtime.namespaces["Notes"].get_by_name(method)
        return await getattr(notes, method)(times)


def measure(scale: Scale) -> list[Row]:
    """One statement in a transaction that is open, in microseconds of the processor. Ratios are of apsw's speed."""
    times = scale.repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def raw(execute: Execute) -> Execute:
            return lambda statement, *values: execute(statement, values)

        plain = sqlite3.connect(folder / "sqlite3", isolation_level=None)
        driver = apsw.Connection(str(folder / "apsw"))
        for execute in (plain.execute, driver.execute):
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = NORMAL")
            execute("BEGIN")
        found = {
            "apsw": run(raw(driver.execute), lambda: None, times),
            "sqlite3": run(raw(plain.execute), lambda: None, times),
            "`ctx.storage.sql.exec`": asyncio.run(_ours(folder / "a", times, "run")),
            "`self.sql`": asyncio.run(_ours(folder / "b", times, "run_short")),
        }
        plain.close()
        driver.close()
    base = found["apsw"]
    return [
        {"through": through, **{what: f"{it * 1e6:.2f} ({base[what] / it:.2f})" for what, it in figures.items()}}
        for through, figures in found.items()
    ]
