"""What the tests of ported examples share: a copy of the example, the emulator that serves it, and a browser's tab."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import websockets

from tests.servers import ROOT, Server

__all__ = ["CallFailed", "Tab", "commands_of", "http_client", "run_command", "serving_example"]

FRAME_SECONDS = 30.0
SECRETS = ("OPENAI_API_KEY", "OPENAI_BASE_URL")


@contextmanager
def serving_example(
    name: str,
    folder: Path,
    *,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    plugins: Sequence[str] = (),
) -> Generator[Server]:
    """Serve a copy of the example in ``folder`` as its README does.

    ``secrets`` are its ``.dev.vars``. ``plugins`` are folders of ``plugins/``, which are as if they were installed.
    """
    project = folder / name
    shutil.copytree(
        ROOT / "examples" / name,
        project,
        ignore=shutil.ignore_patterns("tests", "__pycache__", ".edgeagents", ".dev.vars", "node_modules"),
    )
    if secrets:
        (project / ".dev.vars").write_text("".join(f'{key}="{value}"\n' for key, value in secrets.items()))
    found = [path for plugin in plugins for path in _installed(plugin, folder / "plugins")]
    server = Server("edgeagents.emulator:app", cwd=project, env=env, pythonpath=found)
    for secret in SECRETS:
        if secret not in (env or {}):
            # A key of the machine must not make a test ask a real model.
            server.env.pop(secret, None)
    try:
        yield server.start()
    finally:
        server.close()


def _installed(plugin: str, folder: Path) -> list[Path]:
    """Return what belongs on the path of a process for which the plugin is to be installed."""
    source = ROOT / "plugins" / plugin
    about = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    name, version = about["name"].replace("-", "_"), about["version"]
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {version}\n")
    lines = [
        line
        for group, entries in about["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return [folder, source]


def http_client(server: Server) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=FRAME_SECONDS)


def commands_of(name: str) -> list[str]:
    """Return the ``sh`` blocks of the example's README."""
    return re.findall(r"```sh\n(.*?)\n```", (ROOT / "examples" / name / "README.md").read_text(), re.DOTALL)


def run_command(command: str, server: Server) -> str:
    """Run a block of a README against ``server`` and return what it printed."""
    command = command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    path = os.pathsep.join([str(Path(sys.executable).parent), server.env["PATH"]])
    environment = {**server.env, "PATH": path, "NO_PROXY": "*"}
    shell = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


class CallFailed(Exception):
    """A method answered with an error. Its text is what the client was told."""


class Tab:
    """A browser's tab: a WebSocket to an agent that speaks as the official client does.

    Enter it with ``async with``. ``frames`` are those that came, ``state`` is the last that was told.
    """

    def __init__(self, server: Server, path: str) -> None:
        self._url = f"{server.ws_url}{path}"
        self._numbers = itertools.count(1)
        self.frames: list[dict[str, Any]] = []
        self._seen = 0

    async def __aenter__(self) -> Tab:
        self._socket = await websockets.connect(self._url, proxy=None, max_size=None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.close()

    @property
    def state(self) -> Any:
        states = [frame["state"] for frame in self.frames if frame["type"] == "cf_agent_state"]
        return states[-1] if states else None

    async def send(self, frame: Mapping[str, Any]) -> None:
        await self._socket.send(json.dumps(frame))

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method and return what it answered. Raises ``CallFailed``."""
        number = f"call-{next(self._numbers)}"
        await self.send({"type": "rpc", "id": number, "method": method, "args": list(args)})
        answer = await self.until(lambda frame: frame["type"] == "rpc" and frame["id"] == number)
        if not answer["success"]:
            raise CallFailed(answer["error"])
        return answer.get("result")

    async def until(self, is_wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the next frame that is wanted, reading on from the last that was returned."""
        while True:
            while self._seen < len(self.frames):
                frame = self.frames[self._seen]
                self._seen += 1
                if is_wanted(frame):
                    return frame
            text = await asyncio.wait_for(self._socket.recv(), FRAME_SECONDS)
            self.frames.append(json.loads(text))

    async def until_type(self, type: str) -> dict[str, Any]:
        return await self.until(lambda frame: frame["type"] == type)

    async def until_state(self, is_wanted: Callable[[Any], object]) -> Any:
        """Return the next state that is wanted."""
        frame = await self.until(lambda frame: frame["type"] == "cf_agent_state" and is_wanted(frame["state"]))
        return frame["state"]
