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


Fetch = Callable[..., list[Any]]


def run(execute: Execute, tuples: Fetch, dicts: Fetch, times: int) -> dict[str, float]:
    """Return the seconds that each kind of statement takes."""
    execute(CREATE)
    found: dict[str, float] = {}

    def note(what: str, count: int, work: Callable[[], object]) -> None:
        best = float("inf")
        for _ in range(GOES):
            started = time.process_time()
            work()
            best = min(best, (time.process_time() - started) / count)
        found[what] = best

    def inserts() -> None:
        for number in range(times):
            execute(INSERT, "a note", number)

    def selects() -> None:
        for number in range(times):
            tuples(ONE, number % 100 + 1)

    def rows(fetch: Fetch) -> None:
        for _ in range(times // 50):
            fetch(MANY)

    note("insert", times, inserts)
    note("select of one row", times, selects)
    note("a row of 100, as a tuple", times // 50 * 100, lambda: rows(tuples))
    note("a row of 100, as a dict", times // 50 * 100, lambda: rows(dicts))
    return found


def run_raw(driver: Any, times: int) -> dict[str, float]:
    """The same with nothing but a driver's connection."""
    execute = driver.execute

    def dicts(statement: str, *values: Any) -> list[Any]:
        cursor = execute(statement, values)
        names = ("id", "text", "n")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return run(
        lambda statement, *values: execute(statement, values),
        lambda statement, *values: execute(statement, values).fetchall(),
        dicts,
        times,
    )


class Notes(Agent):
    """Runs the same statements through its storage. What is written in one go is one transaction."""

    async def run(self, times: int) -> dict[str, float]:
        exec = self.ctx.storage.sql.exec
        return run(
            exec,
            lambda statement, *values: exec(statement, *values).raw().to_array(),
            lambda statement, *values: exec(statement, *values).to_array(),
            times,
        )

    async def run_short(self, times: int) -> dict[str, float]:
        return run(self.sql, self.sql, self.sql, times)


async def _ours(folder: Path, times: int, method: str) -> dict[str, float]:
    async with Runtime(agents=[Notes], storage=folder, durability="normal", discover_plugins=False) as runtime:
        notes: Any = runtime.namespaces["Notes"].get_by_name(method)
        return await getattr(notes, method)(times)


def measure(scale: Scale) -> list[Row]:
    """One statement in a transaction that is open, in microseconds of the processor. Ratios are of apsw's speed."""
    times = scale.repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        plain = sqlite3.connect(folder / "sqlite3", isolation_level=None)
        driver = apsw.Connection(str(folder / "apsw"))
        for execute in (plain.execute, driver.execute):
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = NORMAL")
            execute("BEGIN")
        found = {
            "apsw": run_raw(driver, times),
            "sqlite3": run_raw(plain, times),
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
