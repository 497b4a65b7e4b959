"""A project with ``workflows`` in its wrangler configuration."""

from __future__ import annotations

import json

from edgeagents_emulator.options import Options
from edgeagents_emulator.project import load_project
from edgeagents_workflows import plugin
from edgeagents_workflows.testing import reached

from edgeagents.http import Request
from edgeagents.runtime import Runtime

WORKER = """
from edgeagents import WorkerEntrypoint
from edgeagents_workflows import WorkflowEntrypoint


class Orders(WorkflowEntrypoint):
    async def run(self, event, step):
        return await step.do("greet", lambda: f"{self.env.GREETING} {event.payload['name']}")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        instance = await self.env.ORDERS.create(id="o1", params={"name": "ann"})
        return {"id": instance.id}
"""


async def test_a_worker_finds_its_workflow_in_env(tmp_path):
    (tmp_path / "entry.py").write_text(WORKER)
    config = {
        "name": "shop",
        "main": "entry.py",
        "compatibility_date": "2026-01-01",
        "vars": {"GREETING": "hello"},
        "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Orders"}],
    }
    (tmp_path / "wrangler.json").write_text(json.dumps(config))
    project = load_project(Options(directory=str(tmp_path)), {}, ["plain_text", "workflow"])
    try:
        async with Runtime(project.worker, storage=tmp_path, plugins=[plugin], discover_plugins=False) as runtime:
            response = await runtime.fetch(Request("/"))
            assert await response.json() == {"id": "o1"}
            status = await reached(await runtime.env.ORDERS.get("o1"), "complete", "errored")
            assert status["output"] == "hello ann"
    finally:
        project.code.unload()
    assert (tmp_path / "objects" / "shop-workflow-orders").is_dir()
