"""An object's context without an object, for tests of streams and turns: a database, a clock, and tasks."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from tests.models.fakes import HandClock


class PlainDatabase:
    """A database of one connection, as far as streams use it."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.exists = True
        self.held = False
        self.schema_changes = 0
        self.statements: list[str] = []

    def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[Any]:
        self.statements.append(sql)
        return self._connection.execute(sql, params).fetchall()

    def let_go(self) -> None:
        """Every statement is kept at once here."""

    def close(self) -> None:
        self._connection.close()


class PlainContext:
    """What streams and turns are given of an object. ``stop`` cancels its tasks, as the end of a server does."""

    def __init__(self, database: Any, clock: HandClock | None = None) -> None:
        self.storage: Any = SimpleNamespace(database=database)
        self.clock = clock or HandClock()
        self.rng = random.Random(0)
        self.logger = logging.getLogger("edgeagents.agent.Test")
        self.is_on_loop = True
        self.flushes = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def invoke(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        return await result if asyncio.iscoroutine(result) else result

    async def flushed(self) -> None:
        self.flushes += 1

    async def idle(self) -> None:
        """Return when no task runs any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
