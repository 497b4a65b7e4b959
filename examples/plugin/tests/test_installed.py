"""Installed with pip, the plugin is found by its entry point: nothing names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgeagents

PLUGIN = Path(__file__).parents[1]
CHECKOUT = Path(edgeagents.__file__).parents[1]
PROGRAM = """
import asyncio
from edgeagents import Agent
from edgeagents.runtime import Runtime

class Speaker(Agent): ...

async def main():
    async with Runtime(agents=[Speaker], storage=None) as runtime:
        print(runtime.models.get("parrot").name, [transport.name for transport in runtime.transports])

asyncio.run(main())
"""


def test_pip_install_is_all_it_takes(tmp_path: Path) -> None:
    for tool in ("pip", "hatchling"):
        pytest.importorskip(tool)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path), str(PLUGIN)], check=True, capture_output=True)

    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)])}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, cwd=tmp_path, capture_output=True, text=True)

    assert done.stdout.strip() == "parrot ['long-poll']", done.stderr
