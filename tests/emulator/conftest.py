"""Projects for the emulator's tests: small folders with a configuration and a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORKER = """
from edgeagents import Agent, Response, WorkerEntrypoint, get_agent_by_name


class Counter(Agent):
    initial_state = {"n": 0}

    async def on_request(self, request):
        self.set_state({"n": self.state["n"] + 1})
        return {"n": self.state["n"], "word": VERSION}

    async def on_message(self, connection, message):
        connection.send(f"{VERSION}: {message}")


VERSION = "one"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/secret":
            return Response(f"{self.env.GREETING} {self.env.KEY}")
        if request.path == "/fail":
            raise ValueError("the secret is 42")
        if request.path == "/ws" or request.path == "/count":
            agent = await get_agent_by_name(self.env.Counter, "a")
            return await agent.fetch(request)
        return Response("hello")
"""

CONFIG: dict[str, Any] = {
    "name": "counting",
    "main": "src/entry.py",
    "compatibility_date": "2026-01-01",
    "compatibility_flags": ["python_workers"],
    "durable_objects": {"bindings": [{"name": "Counter", "class_name": "Counter"}]},
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Counter"]}],
    "vars": {"GREETING": "hi"},
}


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Make a project: ``project(worker_text, **changes_to_the_configuration)`` returns its folder."""

    def make(worker: str = WORKER, **changes: Any) -> Path:
        folder = tmp_path / "project"
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src" / "entry.py").write_text(worker)
        config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
        (folder / "wrangler.jsonc").write_text("// made by a test\n" + json.dumps(config, indent=2))
        (folder / ".dev.vars").write_text("KEY=sesame")
        return folder

    return make
