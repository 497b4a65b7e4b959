"""The porting guide names nothing that there is not."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest
from edgeagents_email import EmailPlugin
from edgeagents_mcp import plugin as mcp_plugin

from edgeagents import AIChatAgent
from edgeagents.testing import agent_runtime

GUIDE = (Path(__file__).parents[2] / "examples" / "PORTING.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| (.+) \|$", GUIDE, re.MULTILINE)
NAMES = sorted({name for _, python in ROWS for name in re.findall(r"`((?:edgeagents\w*|self)(?:\.\w+)+)`", python)})


class Everything(AIChatAgent):
    missing: list[str] = []

    async def look(self, names: list[str]) -> list[str]:
        return [name for name in names if not _has(self, name)]


def _has(value: object, path: str) -> bool:
    try:
        reduce(getattr, path.split(".")[1:], value)
    except AttributeError:
        return False
    return True


async def test_each_name_of_an_agent_is_there():
    names = [name for name in NAMES if name.startswith("self.")]
    assert len(names) > 100
    async with agent_runtime(Everything, plugins=[EmailPlugin(), mcp_plugin]) as runtime:
        assert await runtime.namespaces["Everything"].get_by_name("x").look(names) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("self.")])
def test_each_name_of_a_package_is_there(name):
    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        assert _has(module, ".".join(["", *parts[depth:]]))
        return
    pytest.fail(f"There is no module for {name}.")


def test_the_python_of_the_guide_is_python():
    for code in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        compile(code, "PORTING.md", "exec")
