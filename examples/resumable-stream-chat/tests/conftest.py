"""The example with its page built, a model whose pace the test decides, and a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.chat.cuts_model import CountingModels
from tests.examples import serving_example
from tests.servers import Server

EXAMPLE = Path(__file__).parents[1]
MODEL = "gpt-4o"


def _needs(found: object, what: str) -> None:
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, which CI is to install.")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder that the page was built into, from the packages of the lock file."""
    _needs(shutil.which("node") and shutil.which("npm"), "Node.js")
    lock, mark = EXAMPLE / "package-lock.json", EXAMPLE / "node_modules" / ".package-lock.json"
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    _run("npx", "--no-install", "vite", "build", "--logLevel", "error")
    return EXAMPLE / "dist"


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


class Browser:
    """A browser in a process of its own. Each command is a method of ``browser.mjs``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, command: str, **options: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **options}).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 60))
        if "error" in answer:
            pytest.fail(answer["error"], pytrace=False)
        return answer["result"]


@pytest.fixture
async def browser(page: Path) -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    _needs(chromium, "Chromium")
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).parent / "browser.mjs"),
        str(chromium),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Browser(process)
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 30)


@pytest.fixture
async def models() -> AsyncIterator[tuple[CountingModels, str]]:
    models = CountingModels()
    url = await models.start()
    yield models, url
    await models.stop()


@pytest.fixture
def emulator(tmp_path: Path, page: Path, models: tuple[CountingModels, str]) -> Iterator[Server]:
    secrets = {"OPENAI_API_KEY": "sk-test"}
    env = {"OPENAI_BASE_URL": models[1]}
    with serving_example("resumable-stream-chat", tmp_path, secrets=secrets, env=env, plugins=["assets"]) as server:
        yield server
