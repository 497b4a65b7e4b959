"""The example, served by the real emulator in a process of its own, and a model server for it to ask."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.servers import Server

HERE = Path(__file__).parent
EXAMPLE = HERE.parent
sys.path.insert(0, str(HERE))

from model_server import ModelServer, model_server  # noqa: E402


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the example, so that its state folder is the test's own."""
    folder = tmp_path / "sse-agent"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("tests", "__pycache__", ".edgeagents", ".dev.vars"))
    return folder


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


def emulator_of(project: Path, *, base_url: str | None) -> Server:
    env = {"OPENAI_BASE_URL": base_url} if base_url else {}
    server = Server("edgeagents.emulator:app", cwd=project, env=env)
    for secret in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        if secret not in env:
            server.env.pop(secret, None)
    return server


@pytest.fixture
def emulator(project: Path, model: ModelServer) -> Iterator[Server]:
    """The example with a key and a model server, as ``hypercorn edgeagents.emulator:app`` serves it."""
    if not any(found.name == "openai" for found in entry_points(group="edgeagents")):
        pytest.skip("the plugin edgeagents-openai is not installed")
    (project / ".dev.vars").write_text('OPENAI_API_KEY="sk-from-dev-vars"\n')
    server = emulator_of(project, base_url=model.url)
    yield server.start()
    server.close()


@pytest.fixture
def offline_emulator(project: Path) -> Iterator[Server]:
    """The example without a key: the built-in model answers."""
    server = emulator_of(project, base_url=None)
    yield server.start()
    server.close()
