"""Keep a database as this release writes it: ``python -m tests.objects.releases.make``.

Run it before a release that changes a table of ours, and commit the file: ``test_releases`` opens all of them. A file
that was kept is never made again.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgeagents import Agent
from edgeagents.objects.own_tables import SCHEMA_VERSION
from edgeagents.state_folder import StateFolder
from edgeagents.testing import ManualClock, agent_runtime

__all__ = ["BEGAN", "FOLDER", "NAME", "Kept"]

FOLDER = Path(__file__).parent
NAME = "kept"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Kept(Agent):
    """Has something of everything that is kept."""

    initial_state = {"n": 0}

    async def fill(self) -> None:
        """Keep something of everything."""
        self.set_state({"n": 41})
        self.sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        self.sql("INSERT INTO notes (text) VALUES ('a note')")
        await self.ctx.storage.put({"text": "a value", "when": BEGAN, "bytes": b"\0\1", "many": {"a": [1, 2.5, None]}})
        await self.schedule(timedelta(hours=1), "wake", {"why": "later"})

    async def read(self) -> dict[str, object]:
        """Return what is kept."""
        return {
            "state": self.state,
            "notes": [row["text"] for row in self.sql("SELECT text FROM notes")],
            "values": await self.ctx.storage.list(),
        }

    async def wake(self, payload: dict[str, str]) -> None:
        """Run by the schedule."""
        self.set_state({"n": self.state["n"] + 1, "why": payload["why"]})


async def main() -> None:
    """Make the file of this release, unless it is there."""
    target = FOLDER / f"schema-{SCHEMA_VERSION}.sqlite"
    if target.exists():
        raise SystemExit(f"{target.name} is kept already.")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as whole:
        async with agent_runtime(Kept, storage=folder, clock=ManualClock(BEGAN)) as runtime:
            await runtime.namespaces["Kept"].get_by_name(NAME).fill()
        state = StateFolder(folder)
        # A copy has no log beside it.
        state.backup(whole, [state.find("Kept", NAME)])
        shutil.copyfile(StateFolder(whole).find("Kept", NAME).path, target)


if __name__ == "__main__":
    asyncio.run(main())
