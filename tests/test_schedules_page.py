"""The example of ``docs/schedules.md`` runs as it stands there, and its links lead somewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeagents.testing import ManualClock, agent_runtime

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "schedules.md").read_text()


async def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs_schedules"}
    exec(compile(code, "docs/schedules.md", "exec", dont_inherit=True), names)
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with agent_runtime(names["Till"], clock=clock) as runtime:
        till: Any = runtime.namespaces["Till"].get_by_name("t")
        for _ in range(2):
            await till.order("order-1", "a hat")
            await clock.advance(1)
        assert [row["what"] for row in await till.sql("select what from booked")] == ["a hat"]
        assert sorted(each.type for each in await till.list_schedules()) == ["cron", "interval"]


def test_the_tests_that_it_names_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert len(named) >= 5
    assert [path for path in named if not (ROOT / path).is_file()] == []
