"""The code of ``docs/storage.md`` goes back in time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeagents import Agent, get_agent_by_name
from edgeagents.errors import ObjectReset
from edgeagents.testing import ManualClock, agent_runtime
from tests.documents import Page

PAGE = Page("docs/storage.md")


async def test_an_agent_goes_back_to_a_bookmark_and_by_an_hour(tmp_path: Path) -> None:
    pytest.importorskip("apsw")
    clock = ManualClock(datetime.now(UTC))
    with PAGE.module() as page:
        async with agent_runtime(page.Draft, storage=tmp_path, durability="normal", clock=clock):
            draft = await get_agent_by_name(page.Draft, "a")
            await draft.write("first")
            bookmark = await draft.write("second")
            with pytest.raises(ObjectReset):
                await draft.go_back(bookmark)
            draft = await get_agent_by_name(page.Draft, "a")
            assert await draft.text() == "first"


async def test_an_agent_of_an_older_release_is_brought_up_to_date(tmp_path: Path) -> None:
    with PAGE.module() as page:

        class First(Agent):
            initial_state = {"notes": 7}

            async def on_start(self) -> None:
                self.sql(page.Notebook.steps[0])
                self.ctx.storage.kv.put("steps", 1)

            async def write(self) -> None:
                self.sql("insert into notes (text) values ('old')")
                self.set_state({"notes": 1})

        First.__name__ = First.__qualname__ = "Notebook"
        async with agent_runtime(First, storage=tmp_path, durability="normal"):
            await (await get_agent_by_name(First, "a")).write()

        for number in (2, 3):
            async with agent_runtime(page.Notebook, storage=tmp_path, durability="normal"):
                notebook = await get_agent_by_name(page.Notebook, "a")
                assert await notebook.shown() == {"pinned": 0, "notes": 1}
                assert await notebook.add("new") == {"id": number, "text": "new", "pinned": 0}

        async with agent_runtime(page.Notebook):
            notebook = await get_agent_by_name(page.Notebook, "new")
            assert await notebook.shown() == {"notes": 0, "pinned": 0}
            assert (await notebook.add("one"))["id"] == 1
