"""Python Workers for tests: written into a folder, loaded as the emulator loads them, asked through the runtime."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from edgeagents_emulator.options import Options
from edgeagents_emulator.project import load_project

from edgeagents import Request, Response
from edgeagents.plugins import load_plugins, unique
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket

DATE = "2026-06-01"


@dataclass
class RunningWorker:
    """A worker that runs. ``runtime`` is what runs it."""

    runtime: Runtime
    folder: Path
    clock: ManualClock | None = None

    async def fetch(self, url: str = "/", **options: Any) -> Response:
        """Return its answer to a request from outside."""
        return await self.runtime.fetch(Request(url, **options))

    async def text(self, url: str = "/", **options: Any) -> str:
        """Return the body of its answer, which must be one of success."""
        response = await self.fetch(url, **options)
        body = (await response.bytes()).decode()
        assert response.status == 200, body
        return body

    async def connect(self, url: str) -> TestSocket:
        """Return a WebSocket to it."""
        return TestSocket(await self.fetch(url, headers={"upgrade": "websocket"}))


RunWorker = Callable[..., Awaitable[RunningWorker]]


def write_worker(folder: Path, source: str, **changes: Any) -> Path:
    """Write a project into ``folder``. ``objects`` names its object classes, each bound under its name in capitals.

    ``files`` are further files by their path.
    """
    objects, files = changes.pop("objects", ()), changes.pop("files", {})
    config: dict[str, Any] = {
        "name": "under-test",
        "main": "src/entry.py",
        "compatibility_date": DATE,
        "compatibility_flags": ["python_workers"],
        "durable_objects": {"bindings": [{"name": name.upper(), "class_name": name} for name in objects]},
        "migrations": [{"tag": "v1", "new_sqlite_classes": list(objects)}],
        **changes,
    }
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src" / "entry.py").write_text(dedent(source))
    for path, content in files.items():
        (folder / path).write_text(content)
    (folder / "wrangler.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[RunWorker]:
    """Start the project in a folder: ``await start(folder, **options_of_the_runtime)``."""
    async with AsyncExitStack() as stack:

        async def start(folder: Path, *, plugins: tuple[object, ...] = (), **options: Any) -> RunningWorker:
            hook = load_plugins(plugins).hook
            kinds = unique(hook.register_bindings(runtime=Runtime(storage=None)), "kind", "binding type")
            project = load_project(Options(directory=str(folder)), {}, kinds)
            stack.callback(project.code.unload)
            options = {"storage": None, "durability": "memory", **options}
            runtime = Runtime(project.worker, plugins=plugins, **options)
            await stack.enter_async_context(runtime)
            clock = options.get("clock")
            return RunningWorker(runtime, folder, clock if isinstance(clock, ManualClock) else None)

        yield start


@pytest.fixture
async def run(tmp_path: Path, start: RunWorker) -> RunWorker:
    """Run a worker: ``await run(source, objects=["Counter"], **changes_to_the_configuration)``.

    ``runtime`` may be options of the runtime.
    """
    made = 0

    async def run(source: str, *, runtime: dict[str, Any] | None = None, **changes: Any) -> RunningWorker:
        nonlocal made
        made += 1
        return await start(write_worker(tmp_path / f"worker{made}", source, **changes), **(runtime or {}))

    return run
