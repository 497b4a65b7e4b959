"""A process that ends itself in the middle of a task: ``python -m tests.agents.killed_once FOLDER KEY``.

The task writes, waits until what it wrote would be kept, and the process is killed. An empty KEY means none.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from edgeagents.agents import Agent, get_agent_by_name
from edgeagents.runtime import Runtime

__all__ = ["Till", "runtime"]


class Till(Agent):
    """Takes money."""

    dies = False
    done: asyncio.Event

    async def begin(self, key: str | None) -> str:
        self.sql("create table if not exists paid (order_id text)")
        return await self.queue("pay", "order-1", idempotency_key=key)

    async def pay(self, order_id: str) -> None:
        self.sql("insert into paid values (?)", order_id)
        if self.dies:
            await asyncio.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        Till.done.set()

    async def paid(self) -> list[Any]:
        return self.sql("select order_id from paid")


def runtime(folder: Path, **options: Any) -> Runtime:
    """Return a runtime whose state is in ``folder``."""
    return Runtime(agents=[Till], storage=folder, durability="normal", discover_plugins=False, **options)


async def main(folder: Path, key: str) -> None:
    Till.dies = True
    async with runtime(folder) as running:
        till: Any = await get_agent_by_name(running.namespaces["Till"], "t")
        await till.begin(key or None)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
