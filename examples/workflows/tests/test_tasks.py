"""Tasks are approved, rejected and listed, and wait across a kill of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples import Tab, serving_example
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers", "Cloudflare's example `workflows`", "same; without its page, and steps take no time"
    ),
]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Server]:
    with serving_example("workflows", tmp_path, plugins=["workflows"]) as server:
        yield server


def tab(server: Server) -> Tab:
    return Tab(server, "/agents/task-agent/default")


async def update(tab: Tab, **wanted: Any) -> dict[str, Any]:
    """Return the first update that has all of ``wanted``."""
    return await tab.until(
        lambda frame: frame["type"] == "workflow:updated" and wanted.items() <= frame["updates"].items()
    )


async def test_a_task_waits_is_approved_and_ends(emulator: Server) -> None:
    async with tab(emulator) as ann, tab(emulator) as bob:
        item = await ann.call("submitTask", "Write the report")
        assert (await bob.until_type("workflow:added"))["workflow"]["taskName"] == "Write the report"
        await update(bob, status="waiting", waitingForApproval=True)
        await bob.call("approve", item["workflowId"])
        result = (await update(ann, status="complete"))["updates"]["result"]
    assert result["data"] == "Processed: Write the report"
    assert result["finalized"]
    assert isinstance(result["approvedAt"], int)


async def test_a_rejected_task_says_why(emulator: Server) -> None:
    async with tab(emulator) as ann:
        item = await ann.call("submitTask", "Buy a boat")
        await update(ann, status="waiting")
        await ann.call("reject", item["workflowId"], "too dear")
        error = (await update(ann, status="errored"))["updates"]["error"]
    assert "too dear" in error["message"]


async def test_a_task_that_waits_survives_a_kill(emulator: Server) -> None:
    async with tab(emulator) as ann:
        item = await ann.call("submitTask", "Outlive the server")
        await update(ann, status="waiting")
    emulator.kill()
    emulator.start()
    async with tab(emulator) as ann:
        (task,) = (await ann.call("listWorkflows"))["workflows"]
        assert task["taskName"] == "Outlive the server"
        if task["status"] != "waiting":
            # It goes on from its start: what is no step, as is what it tells of its progress, runs again.
            await update(ann, status="waiting")
        await ann.call("approve", item["workflowId"])
        await update(ann, status="complete")
        assert await ann.call("clearCompleted") == {"clearedCount": 1}
        assert (await ann.call("listWorkflows"))["total"] == 0


async def test_tasks_are_listed_a_page_at_a_time(emulator: Server) -> None:
    async with tab(emulator) as ann:
        for number in range(3):
            await ann.call("submitTask", f"task {number}")
        first = await ann.call("listWorkflows", None, 2)
        rest = await ann.call("listWorkflows", first["nextCursor"], 2)
    assert first["total"] == 3
    assert rest["nextCursor"] is None
    names = [each["taskName"] for each in (*first["workflows"], *rest["workflows"])]
    assert sorted(names) == ["task 0", "task 1", "task 2"]
