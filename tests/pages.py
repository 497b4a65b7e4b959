"""The pages of examples: built with Vite from the packages of their lock file, and opened in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.packages import install
from tests.servers import ROOT

__all__ = ["Browser", "browser_of", "build_page", "play"]

DRIVER = "resumable-stream-chat"
"""Whose packages drive a browser for the examples whose pages need none."""


def _needs(found: object, what: str) -> None:
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, which CI is to install.")
    pytest.skip(f"{what} is not installed")


def build_page(example: str) -> Path:
    """Return the folder that the page of ``example`` was built into."""
    folder = _install(example)
    command = ["npx", "--no-install", "vite", "build", "--logLevel", "error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "dist"


def _install(example: str) -> Path:
    _needs(shutil.which("node") and shutil.which("npm"), "Node.js")
    folder = ROOT / "examples" / example
    install(folder)
    return folder


class Browser:
    """A browser in a process of its own. Each command is one of ``browser.mjs``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, command: str, **options: Any) -> Any:
        """Do ``command`` and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **options}).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 60))
        if "error" in answer:
            pytest.fail(answer["error"], pytrace=False)
        return answer["result"]


@asynccontextmanager
async def browser_of(example: str) -> AsyncGenerator[Browser]:
    """Open a browser with the packages of ``example``."""
    chromium = shutil.which("chromium")
    _needs(chromium, "Chromium")
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).parent / "browser.mjs"),
        str(chromium),
        cwd=ROOT / "examples" / example,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 30)


async def play(script: Path, *arguments: str) -> list[Any]:
    """Run a script that drives a browser, and return what it printed, a JSON value a line.

    Its arguments are Playwright's module, the browser, and ``arguments``.
    """
    chromium = shutil.which("chromium")
    _needs(chromium, "Chromium")
    playwright = (await asyncio.to_thread(_install, DRIVER)) / "node_modules" / "playwright-core" / "index.mjs"
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        str(playwright),
        str(chromium),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, errors = await asyncio.wait_for(process.communicate(), 120)
    except TimeoutError:
        process.kill()
        raise
    lines = [json.loads(line) for line in said.splitlines()]
    assert process.returncode == 0, f"{lines}\n{errors.decode()[-2000:]}"
    return lines
