"""The binding that plugins/README.md shows works, in Python and on Cloudflare's SDK."""

from __future__ import annotations

import json
import re
import types
from pathlib import Path

import pytest

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.worker import Worker

from .conftest import RunWorker

PAGE = (Path(__file__).parents[3] / "plugins" / "README.md").read_text()
KIND = "unsafe_counters"

SOURCE = """
    from workers import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            await self.env.COUNTERS.add("a", {"stepSize": 5})
            counted = await self.env.COUNTERS.add("a", stepSize=2)
            try:
                await self.env.COUNTERS.add("a", {"stepSize": 101})
            except Exception as error:
                return Response.json([counted.name, counted.total, error.name, error.message])
"""


@pytest.fixture
def plugin() -> types.ModuleType:
    (code,) = re.findall(r"```python\n(# edgeagents_counters.py\n.*?)```", PAGE, re.DOTALL)
    module = types.ModuleType("edgeagents_counters")
    exec(compile(code, "plugins/README.md", "exec"), vars(module))
    return module


async def test_it_counts_and_is_kept(plugin: types.ModuleType, tmp_path: Path) -> None:
    worker = Worker("w", bindings=[BindingDeclaration("COUNTERS", KIND, {"space": "visits"})])
    for total in (1, 2):
        async with Runtime(worker, storage=tmp_path, plugins=[plugin], discover_plugins=False) as runtime:
            assert await runtime.env.COUNTERS.add("a") == {"name": "a", "total": total}
    assert (tmp_path / "counters" / "visits.sqlite").exists()


async def test_a_declaration_without_a_space_is_refused(plugin: types.ModuleType) -> None:
    worker = Worker("w", bindings=[BindingDeclaration("COUNTERS", KIND)])
    with pytest.raises(ConfigError, match="needs a space"):
        await Runtime(worker, storage=None, plugins=[plugin], discover_plugins=False).start()


async def test_a_worker_on_the_sdk_finds_it(plugin: types.ModuleType, run: RunWorker) -> None:
    (declared,) = re.findall(r'\{ "unsafe": .* \}', PAGE)
    worker = await run(SOURCE, runtime={"plugins": (plugin,)}, **json.loads(declared))
    assert json.loads(await worker.text()) == [
        *("a", 7, "CounterFullError"),
        "A counter takes steps of at most 100, not 101.",
    ]
