"""Node.js, the official packages, and a real server for them."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.packages import install
from tests.servers import SERVERS, Server

HERE = Path(__file__).parent
ANSWER_SECONDS = 90.0


class Driver:
    """The Node.js process that runs scenarios, several at once if need be."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "driver.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ids = itertools.count(1)
        self._inboxes: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def run(
        self, scenario: str, base: str, *, meet: dict[str, Callable[[], object]] | None = None, **args: object
    ) -> Any:
        """Run ``scenario`` against the server at ``base`` and return what it saw.

        ``meet`` says what to do at the points where the scenario waits for its test.
        """
        number = next(self._ids)
        inbox = self._inboxes[number] = queue.Queue()
        self._write({"id": number, "scenario": scenario, "base": base, "args": args})
        while True:
            message = inbox.get(timeout=ANSWER_SECONDS)
            if "at" in message:
                (meet or {})[message["at"]]()
                self._write({"id": number, "go": message["at"]})
            elif "error" in message:
                pytest.fail(f"{scenario}: {message['error']}", pytrace=False)
            else:
                return message["result"]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            self._inboxes[message["id"]].put(message)


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js and npm are not installed")
    install(HERE)
    driver = Driver()
    yield driver
    driver.close()


class Workerd(Server):
    """The same agents in the TypeScript SDK, served by ``workerd/serve.mjs``."""

    def __init__(self, storage: Path) -> None:
        super().__init__("agents.mjs", server="workerd", cwd=HERE / "workerd")
        self._storage = storage

    def _arguments(self) -> list[str]:
        return ["node", "serve.mjs", str(self.port), str(self._storage)]


@dataclass
class Elsewhere:
    """A server that somebody else started, such as the TypeScript SDK on workerd with the same agents."""

    url: str
    server: str = "elsewhere"


def chosen_servers() -> list[str]:
    """The servers to test on: hypercorn, or those that ``EDGEAGENTS_SERVERS`` names (``all``, or with commas).

    To settle a doubt, ``workerd`` is the TypeScript SDK, and with ``EDGEAGENTS_BASE_URL`` the scenarios run against
    the server that stands there.
    """
    if "EDGEAGENTS_BASE_URL" in os.environ:
        return ["elsewhere"]
    names = os.environ.get("EDGEAGENTS_SERVERS", "hypercorn")
    return list(SERVERS) if names == "all" else names.split(",")


@pytest.fixture(scope="session", params=chosen_servers())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | Elsewhere]:
    """The fixture agents, on a real server, for all tests that do not kill it."""
    if request.param == "elsewhere":
        yield Elsewhere(os.environ["EDGEAGENTS_BASE_URL"])
        return
    server = _server(request.param, tmp_path_factory.mktemp("state"))
    yield server.start()
    server.close()


def _server(name: str, storage: Path) -> Server:
    if name == "workerd":
        return Workerd(storage)
    return Server("tests.clients.agents_app:app", server=name, env={"AGENTS_STORAGE": str(storage)})


def _skip_elsewhere() -> None:
    if "EDGEAGENTS_BASE_URL" in os.environ:
        pytest.skip("needs a server of its own")


@pytest.fixture
def cors_server() -> Iterator[Server]:
    """The fixture agents with ``cors=True``, in memory."""
    if chosen_servers() == ["workerd"]:
        pytest.skip("that server sets no CORS headers")
    _skip_elsewhere()
    server = Server("tests.clients.agents_app:app", env={"AGENTS_CORS": "1"})
    yield server.start()
    server.close()


@pytest.fixture(params=chosen_servers())
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The fixture agents on a server that the test may kill."""
    _skip_elsewhere()
    server = _server(request.param, tmp_path)
    yield server.start()
    server.close()
