"""``edgeagents workflows``: instances of the state that a worker has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main
from edgeagents_emulator.options import Options
from edgeagents_emulator.project import load_project
from edgeagents_workflows import plugin
from edgeagents_workflows.testing import reached

from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock

Run = Callable[..., Result]
WORKER = """
from edgeagents_workflows import WorkflowEntrypoint

class Orders(WorkflowEntrypoint):
    async def run(self, event, step):
        async def check():
            if event.payload["n"] > 1:
                raise ValueError("too many")
            return "fine"
        return await step.do("check", {"retries": {"limit": 0, "delay": 1}}, check)
"""
CONFIG = {
    "name": "shop",
    "main": "entry.py",
    "compatibility_date": "2026-01-01",
    "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Orders"}],
}


@pytest.fixture
def workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "entry.py").write_text(WORKER)
    (tmp_path / "wrangler.json").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["workflows", *arguments])


@pytest.fixture
def ran(workflows: Run, tmp_path: Path) -> Run:
    """Two instances: one that is complete, and a younger one that failed."""

    async def run() -> None:
        project = load_project(Options(directory=str(tmp_path)), {}, ["workflow"])
        clock = ManualClock()
        storage = project.state_folder
        async with Runtime(
            project.worker, storage=storage, plugins=[plugin], discover_plugins=False, clock=clock
        ) as runtime:
            await reached(await runtime.env.ORDERS.create(id="good", params={"n": 1}), "complete")
            await clock.advance(60)
            await reached(await runtime.env.ORDERS.create(id="bad", params={"n": 2}), "errored")
        project.code.unload()

    asyncio.run(run())
    return workflows


def test_workflows_are_listed(workflows: Run) -> None:
    (row,) = json.loads(workflows("list", "--json").output)
    assert row == {"name": "orders", "script_name": "shop", "class_name": "Orders", "binding": "ORDERS"}


def test_a_workflow_tells_how_many_instances_stand_where(ran: Run) -> None:
    about = json.loads(ran("describe", "orders", "--json").output)
    assert about["instances"] == {"complete": 1, "errored": 1}
    assert "script_name: shop" in ran("describe", "ORDERS").output


def test_instances_are_listed_the_youngest_first(ran: Run) -> None:
    rows = json.loads(ran("instances", "list", "orders", "--json").output)
    assert [(row["id"], row["status"]) for row in rows] == [("bad", "errored"), ("good", "complete")]
    assert [
        row["id"] for row in json.loads(ran("instances", "list", "orders", "--status", "errored", "--json").output)
    ] == ["bad"]


def test_instances_are_listed_the_oldest_first_when_that_is_wished(ran: Run) -> None:
    rows = json.loads(ran("instances", "list", "orders", "--reverse", "--per-page", "10", "--json").output)
    assert [row["id"] for row in rows] == ["good", "bad"]


def test_an_instance_is_shown_with_its_steps(ran: Run) -> None:
    about = json.loads(ran("instances", "describe", "orders", "good", "--json").output)
    assert (about["status"], about["params"], about["output"], about["error"]) == ("complete", {"n": 1}, "fine", None)
    assert [(step["step"], step["state"], step["attempts"]) for step in about["steps"]] == [("check-1", "done", 1)]


def test_the_latest_instance_is_shown_with_its_error(ran: Run) -> None:
    shown = ran("instances", "describe", "orders", "latest", "--local").output
    assert "id:       bad" in shown
    assert "ValueError: too many" in shown


def test_before_there_is_any_there_is_nothing_to_list(workflows: Run) -> None:
    assert json.loads(workflows("instances", "list", "orders", "--json").output) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["orders", "nope"], "The workflow 'orders' has no instance 'nope'."),
        (["ordrs", "good"], "has no Workflow 'ordrs'. It has: ORDERS."),
    ],
    ids=["instance", "workflow"],
)
def test_what_is_not_there_is_named(ran: Run, arguments: list[str], message: str) -> None:
    result = ran("instances", "describe", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
