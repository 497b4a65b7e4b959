"""What each command needs: a plain ``pip install edgeagents`` has all that agents' storage is looked after with."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from edgeagents_emulator.needed import NEEDED

# As where only edgeagents is installed: what the extra brings is not found.
PLAIN = f"""
import importlib.machinery, sys
sys.path[:0] = {sys.path!r}

class Nothing(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {sorted(NEEDED)!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [Nothing if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""
TOLD = f"The emulator needs {', '.join(NEEDED.values())}. Install what it needs: pip install 'edgeagents[emulator]'"


def plain(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PLAIN + code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"sys.argv = {['edgeagents', *arguments]!r}; from edgeagents_emulator.command import run; run()"
    return plain(f"import sys; {code}", folder)


def test_dev_says_what_to_install_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "wrangler.json").write_text('{"name": "w", "main": "entry.py"}')
    done = command(tmp_path, "dev")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {TOLD}\n")


def test_a_server_that_is_given_the_emulator_says_what_to_install(tmp_path: Path) -> None:
    done = plain("import edgeagents.emulator", tmp_path)
    assert done.stderr.splitlines()[-1] == f"ImportError: {TOLD}"


@pytest.mark.parametrize("name", ["agent", "backup", "restore", "config", "deploy-check", "init", "kv", "d1"])
def test_the_other_commands_are_there_without_it(tmp_path: Path, name: str) -> None:
    done = command(tmp_path, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")


async def test_storage_is_backed_up_without_it(tmp_path: Path) -> None:
    from edgeagents import Agent
    from edgeagents.testing import agent_runtime

    class Kept(Agent):
        async def keep(self) -> None:
            self.set_state({"kept": True})

    async with agent_runtime(Kept, storage=tmp_path / "state") as runtime:
        await runtime.namespaces["Kept"].get_by_name("one").keep()
    done = command(tmp_path, "backup", "copy")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 agent is in copy.\n", "")


def test_the_extra_is_what_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = {re.split(r"[<>=]", line)[0] for line in project["optional-dependencies"]["emulator"]}
    # A worker's project says itself whether it is written with Cloudflare's SDK.
    assert extra - {"workers-runtime-sdk"} == set(NEEDED.values())
