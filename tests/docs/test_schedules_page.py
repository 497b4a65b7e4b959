"""The example of ``docs/schedules.md`` runs as it stands there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edgeagents.testing import ManualClock, agent_runtime
from tests.documents import Page

PAGE = Page("docs/schedules.md")


async def test_the_example_runs() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with PAGE.module() as page:
        async with agent_runtime(page.Till, clock=clock) as runtime:
            till: Any = runtime.namespaces["Till"].get_by_name("t")
            for _ in range(2):
                await till.order("order-1", "a hat")
                await clock.advance(1)
            assert [row["what"] for row in await till.sql("select what from booked")] == ["a hat"]
            assert sorted(each.type for each in await till.list_schedules()) == ["cron", "interval"]
