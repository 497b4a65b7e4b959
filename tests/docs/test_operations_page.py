"""What ``docs/operations.md`` says is so: its code, and what servers do when one of their workers is killed."""

from __future__ import annotations

import dataclasses
import logging
import logging.config
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from edgeagents import Agent, AgentsMiddleware
from edgeagents.errors import StorageUnavailable
from edgeagents.redaction import hide
from edgeagents.testing import agent_runtime
from tests.documents import Page
from tests.servers import Server, until

PAGE = Page("docs/operations.md")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("fastapi")
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with PAGE.module() as module:
        yield module
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_server_that_is_well_says_so_and_counts(page: Any) -> None:
    with TestClient(page.app) as client:
        assert [client.get(path).json() for path in ("/alive", "/ready")] == ["yes", "yes"]
        assert client.get("/metrics").json()["Probe state:update"] == 1


def test_a_server_that_cannot_write_is_not_ready(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(self: Agent) -> None:
        raise StorageUnavailable("The disk is full.")

    monkeypatch.setattr(page.Probe, "check", full)
    with TestClient(page.app) as client:
        assert client.get("/ready").status_code == 503


def test_secrets_are_taken_out_of_the_log(page: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(page.LOGGING)
    hide(["a-key-of-this-test"])
    logging.getLogger("edgeagents.agent.Probe").warning("I use %s", "a-key-of-this-test")
    printed = capsys.readouterr().err
    assert "WARNING edgeagents.agent.Probe: I use" in printed
    assert "a-key-of-this-test" not in printed


def test_each_logger_that_is_named_is_one() -> None:
    named = set(re.findall(r"`(edgeagents\.\w+)`", PAGE.text))
    source = Path(__file__).parents[2] / "edgeagents"
    made = set(re.findall(r'getLogger\("(edgeagents\.\w+)"\)', "".join(p.read_text() for p in source.rglob("*.py"))))
    assert len(named) > 5
    assert named - made == set()


def test_the_host_that_a_proxy_changed_is_mended_by_naming_the_pages(tmp_path: Path) -> None:
    class Room(Agent):
        async def on_request(self, request: Any) -> str:
            return "hello"

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    headers = {"host": "backend", "x-forwarded-host": "app.example.com", "origin": "https://app.example.com"}
    answers = []
    for origins in (None, ["https://app.example.com"]):
        app = AgentsMiddleware(nothing, agents=[Room], storage=None, discover_plugins=False, allowed_origins=origins)
        with TestClient(app) as client:
            answers.append(client.post("/agents/room/a", headers=headers).status_code)
    assert answers == [403, 200]


async def test_a_typed_state_takes_the_default_of_a_new_field(tmp_path: Path) -> None:
    before = await seen_by(of_release(2, ("size", int)), tmp_path)
    after = await seen_by(of_release(3, ("size", int), ("theme", str, "light")), tmp_path)
    assert [before, after] == ["Settings(size=2)", "Settings(size=2, theme='light')"]


def of_release(size: int, *fields: Any) -> type:
    """Return an agent class as a release has it, with a state of these fields, whose size is ``size`` at first."""
    settings: Any = dataclasses.make_dataclass("Settings", fields)

    class Screen(Agent):
        initial_state = settings(size)

        async def on_start(self) -> None:
            self.set_state(self.state)

        async def shown(self) -> str:
            return repr(self.state)

    return Screen


async def seen_by(screen: type, folder: Path) -> str:
    async with agent_runtime(screen, storage=folder) as runtime:
        return await runtime.namespaces["Screen"].get_by_name("a").shown()


APP = """
import os
from edgeagents import AgentsMiddleware

async def pid(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

app = AgentsMiddleware(pid, agents=[], storage="state", discover_plugins=False)
"""


@pytest.mark.server
@pytest.mark.parametrize(
    ("server", "options", "goes_on"),
    [
        ("uvicorn", ["--workers", "3"], True),
        ("granian", ["--workers", "3", "--respawn-failed-workers"], True),
        ("granian", ["--workers", "3"], False),
        ("hypercorn", ["--workers", "3"], False),
    ],
)
def test_what_is_left_of_a_server_when_a_worker_is_killed(
    tmp_path: Path, server: str, options: list[str], goes_on: bool
) -> None:
    (tmp_path / "served.py").write_text(APP)
    running = Server("served:app", server=server, cwd=tmp_path, pythonpath=[tmp_path], options=options)
    try:
        running.start()
        killed = worker(running)
        os.kill(killed, signal.SIGKILL)
        if goes_on:
            until(lambda: replaced(running, killed), "another worker to answer")
            assert running.is_running
        else:
            until(lambda: not running.is_running, "the server to end")
    finally:
        running.close()


def worker(server: Server) -> int:
    with httpx2.Client(base_url=server.url, trust_env=False) as client:
        return int(client.get("/").text)


def replaced(server: Server, killed: int) -> bool:
    try:
        return worker(server) != killed
    except httpx2.TransportError:
        return False  # It was about to be answered by the one that is gone.
