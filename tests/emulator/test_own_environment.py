"""Packages of a project: found in its own environment, and named when they are missing."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from edgeagents_emulator.host import EmulatorApp
from edgeagents_emulator.options import Options

from tests.asgi.client import Exchange, http_scope

MakeProject = Callable[..., Path]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
WORKER = """
from edgeagents import Agent, WorkerEntrypoint
import only_in_the_project

class Counter(Agent): pass

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/late":
            import yaml_of_nobody
        return only_in_the_project.work()
"""


@pytest.fixture
def path() -> Any:
    before = list(sys.path)
    yield before
    assert sys.path == before
    sys.modules.pop("only_in_the_project", None)


@pytest.fixture
async def ask(path: list[str]) -> AsyncIterator[Callable[[Path, str], Awaitable[str]]]:
    """Ask the worker of a folder for a path."""
    async with AsyncExitStack() as stack:

        async def ask(folder: Path, path: str = "/") -> str:
            app = EmulatorApp(Options(directory=str(folder), serves_when_broken=True))
            stack.push_async_callback(app.stop)
            exchange = Exchange(app, http_scope(path, server=("worker.example", 80)))
            await exchange.send()
            await exchange.start()
            return (await exchange.rest()).decode()

        yield ask


def environment(folder: Path, version: str = HERE, text: str = "def work():\n    return 'own'\n") -> Path:
    packages = folder / ".venv" / "lib" / f"python{version}" / "site-packages"
    packages.mkdir(parents=True)
    (folder / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.1\n")
    (packages / "only_in_the_project.py").write_text(text)
    return packages


async def test_packages_are_found_in_the_environment_beside_the_configuration(project: MakeProject, ask: Any) -> None:
    folder = project(WORKER)
    environment(folder)
    app = EmulatorApp(Options(directory=str(folder)))
    exchange = Exchange(app, http_scope("/", server=("worker.example", 80)))
    await exchange.send()
    await exchange.start()
    assert await exchange.rest() == b"own"
    assert any(part.startswith(str(folder / ".venv")) for part in sys.path)
    await app.stop()


async def test_an_editable_package_is_found_by_its_pth_file(project: MakeProject, tmp_path: Path, path: Any) -> None:
    folder = project(WORKER)
    packages = environment(folder)
    (packages / "only_in_the_project.py").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "only_in_the_project.py").write_text("def work(): return 'editable'")
    (packages / "it.pth").write_text(f"{tmp_path / 'elsewhere'}\n")
    app = EmulatorApp(Options(directory=str(folder)))
    exchange = Exchange(app, http_scope("/", server=("worker.example", 80)))
    await exchange.send()
    await exchange.start()
    assert await exchange.rest() == b"editable"
    await app.stop()


async def test_an_environment_of_another_python_is_not_used_and_that_is_said(
    project: MakeProject, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project("from edgeagents import Agent\nclass Counter(Agent): pass\n")
    environment(folder, "3.5")
    with caplog.at_level(logging.WARNING):
        await ask(folder)
    assert f"The packages in .venv are for Python 3.5, and this is {HERE}" in caplog.text


async def test_a_missing_package_is_named_with_the_line_that_installs_it(project: MakeProject, ask: Any) -> None:
    folder = project("import os\nimport bs4_of_nobody, os\n")
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["bs4-of-nobody>=4"]\n')
    told = (
        "main: src/entry.py:2 imports 'bs4_of_nobody', which is not installed. "
        "pyproject.toml asks for 'bs4-of-nobody>=4'. Install it: pip install 'bs4-of-nobody>=4'"
    )
    assert told in await ask(folder)


async def test_a_missing_file_of_the_projects_own_is_not_only_taken_for_a_package(
    project: MakeProject, ask: Any
) -> None:
    told = "imports 'helpers_of_mine', which is not installed, nor is there a helpers_of_mine.py beside entry.py."
    assert told in await ask(project("import helpers_of_mine\n"))


async def test_what_a_package_lacks_is_told_as_such(project: MakeProject, ask: Any) -> None:
    folder = project(WORKER)
    environment(folder, text="import nobody_has_this\n")
    told = "src/entry.py:3 imports a package that needs 'nobody_has_this', which is not installed."
    assert told in await ask(folder)


async def test_a_package_that_is_missing_late_is_named_in_the_log(
    project: MakeProject, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project(WORKER)
    environment(folder)
    with caplog.at_level(logging.ERROR):
        assert await ask(folder, "/late") == "Internal Server Error"
    assert "'yaml_of_nobody': Install it: pip install yaml-of-nobody" in caplog.text


async def test_a_traceback_begins_in_the_worker_and_not_in_a_package_of_its_own(project: MakeProject, ask: Any) -> None:
    folder = project(WORKER)
    environment(folder, text="raise ValueError('no')\n")
    frames = [line for line in (await ask(folder)).splitlines() if line.startswith("  File")]
    assert ["entry.py" in frames[0], "only_in_the_project.py" in frames[-1]] == [True, True]
