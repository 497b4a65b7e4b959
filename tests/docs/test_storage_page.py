"""The code of ``docs/storage.md`` goes back in time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeagents import get_agent_by_name
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
