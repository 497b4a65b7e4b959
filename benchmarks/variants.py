"""The ways to one answer that are compared, and the servers that they are on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import is_installed
from tests.servers import ROOT, Server

__all__ = ["TYPESCRIPT", "Variant", "has_typescript", "typescript_versions", "variants"]

TYPESCRIPT = "TypeScript Agent on workerd"
_HERE = Path(__file__).parent
_NODE_MODULES = ROOT / "tests" / "clients" / "workerd" / "node_modules"

_QUIET: dict[str, Sequence[str]] = {
    "hypercorn": ["--log-level", "warning", "--backlog", "10000"],
    "uvicorn": ["--log-level", "warning", "--no-access-log", "--backlog", "10000"],
    "granian": ["--log-level", "warning", "--no-access-log", "--backlog", "10000"],
}


@dataclass(frozen=True)
class Variant:
    """One way to get the same answer: where it is served, and what its paths start with. ``{name}`` is an agent's."""

    label: str
    server: Server
    prefix: str
    is_agent: bool

    def path(self, rest: str, name: str = "one", *, of: str = "bench") -> str:
        """Return the path of ``rest`` at the agent ``name``, or at what stands for it."""
        return self.prefix.format(name=name, of=of) + rest


def variants(stack: ExitStack, server: str, storage: Path, flags: Sequence[str], *, typescript: bool) -> list[Variant]:
    """Start the apps on ``server`` with ``flags`` and return the ways to an answer."""

    def start(app: str) -> Server:
        folder = storage / app
        folder.mkdir()
        running = Server(
            f"benchmarks.apps:{app}",
            server=server,
            options=flags,
            env={"BENCH_STORAGE": str(folder)},
            # What this process was given, the server has too.
            pythonpath=[Path(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each],
        )
        stack.callback(running.close)
        return running.start()

    bare, agents = start("bare"), start("agents")
    ways = [
        Variant("bare ASGI app", bare, "/{of}/{name}", is_agent=False),
        Variant("same app behind the middleware", agents, "/{of}/{name}", is_agent=False),
        Variant("agent", agents, "/agents/{of}/{name}", is_agent=True),
    ]
    if typescript:
        folder = storage / "workerd"
        folder.mkdir()
        workerd = _Workerd(folder)
        stack.callback(workerd.close)
        ways.append(Variant(TYPESCRIPT, workerd.start(), "/agents/{of}/{name}", is_agent=True))
    return ways


def options(server: str) -> list[str]:
    """Return the flags to run ``server`` with: those that ``docs/servers.md`` recommends, where they can be had."""
    flags = list(_QUIET[server])
    if server == "uvicorn":
        flags += ["--ws", "websockets-sansio"]
        flags += ["--http", "httptools"] if is_installed("httptools") else []
    return flags


def has_typescript() -> bool:
    """Whether Node.js and the packages of ``tests/clients/workerd`` are there."""
    return shutil.which("node") is not None and _NODE_MODULES.is_dir()


def typescript_versions() -> dict[str, str]:
    """Return the versions of the npm packages that the TypeScript Agent runs on."""
    if not has_typescript():
        return {}
    names = ("agents", "miniflare", "workerd")
    found = {name: _NODE_MODULES / name / "package.json" for name in names}
    return {f"{name} (npm)": json.loads(path.read_text())["version"] for name, path in found.items() if path.exists()}


class _Workerd(Server):
    """The same agent in the TypeScript SDK."""

    def __init__(self, storage: Path) -> None:
        super().__init__("bench.mjs", server="workerd", cwd=_HERE / "workerd", ready="/bench/one/hello")
        self._storage = storage

    def _arguments(self) -> list[str]:
        return ["node", "serve.mjs", str(self.port), str(self._storage)]
