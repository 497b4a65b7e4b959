"""A process that is killed while it works: ``python -m tests.agents.killed_worker FOLDER``.

It queues, schedules and runs a fiber in an agent, says so, and works on until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from edgeagents.agents import Agent, FiberRecovery, get_agent_by_name
from edgeagents.runtime import Runtime


class Laborer(Agent):
    """Tells the file ``log`` in its folder what it does. What it begins is ended in the second life only."""

    log = Path()
    is_second = False
    running = 0
    options = {"keep_alive_interval_ms": 1000}

    async def begin(self) -> None:
        await self.queue("work", "first in the queue")
        await self.queue("work", "second in the queue")
        await self.schedule(1, "work", "a schedule")
        await self.schedule_every(1, "work", "an interval")
        self.ctx.spawn(self.run_fiber("research", self.research), name="research")

    async def research(self, fiber: Any) -> None:
        fiber.stash({"found": 42})
        self.tell("fiber stashed")
        await asyncio.Event().wait()

    async def work(self, payload: str) -> None:
        cls = type(self)
        cls.running += 1
        self.tell(f"{payload} runs, {cls.running} at a time")
        if not self.is_second:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        cls.running -= 1

    async def on_fiber_recovered(self, fiber: FiberRecovery) -> None:
        self.tell(f"fiber recovered with {fiber.snapshot}")

    def tell(self, what: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{'second' if self.is_second else 'first'}: {what}\n")


def runtime(folder: Path, **options: Any) -> Runtime:
    """Return a runtime whose state is in ``folder``."""
    Laborer.log = folder / "log"
    return Runtime(agents=[Laborer], storage=folder / "state", durability="normal", discover_plugins=False, **options)


async def main(folder: Path) -> None:
    async with runtime(folder) as running:
        laborer: Any = await get_agent_by_name(running.namespaces["Laborer"], "x")
        await laborer.begin()
        while "fiber stashed" not in _log(folder) or "first in the queue runs" not in _log(folder):
            await asyncio.sleep(0.01)
        # What was stashed is kept by the next commit, which the loop makes before it comes here again.
        await asyncio.sleep(0.1)
        print("working", flush=True)
        await asyncio.Event().wait()


def _log(folder: Path) -> str:
    path = folder / "log"
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
