"""Starts: from a command to the first answer of a hello worker, and from a saved file to the first new answer."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

from benchmarks.report import Row
from benchmarks.scale import Scale
from tests.servers import ROOT, command

__all__ = ["measure"]

WORKERS = Path(__file__).parents[1] / "workers"
INSTALLED = ROOT / "tests" / "clients" / "workerd" / "node_modules" / "wrangler"
DEV = "from edgeagents_emulator.command import run; run()"
SECONDS = 60.0


@dataclass(frozen=True)
class _Way:
    label: str
    worker: str
    command: Callable[[int], Sequence[str]]
    reloads: bool = True


def _ways() -> list[_Way]:
    dev: Callable[[int], Sequence[str]] = lambda port: [sys.executable, "-c", DEV, "dev", "--port", str(port)]  # noqa: E731
    ways = [
        _Way("`edgeagents dev`, Python Worker", "hello", dev),
        _Way("`edgeagents dev`, worker of edgeagents", "hello-native", dev),
        _Way(
            "`hypercorn edgeagents.emulator:app`, Python Worker",
            "hello",
            lambda port: [sys.executable, *command("hypercorn", "edgeagents.emulator:app", port)],
            reloads=False,
        ),
    ]
    wrangler = Path(os.environ.get("EDGEAGENTS_TEST_WRANGLER") or INSTALLED) / "bin" / "wrangler.js"
    if shutil.which("node") is not None and wrangler.is_file():
        ways.append(
            _Way(
                "`wrangler dev`, JavaScript",
                "hello-js",
                lambda port: ["node", str(wrangler), "dev", "--ip", "127.0.0.1", "--port", str(port)],
            )
        )
    return ways


def measure(scale: Scale) -> list[Row]:
    """Milliseconds from the command to the first answer of a hello worker, and from a saved change to the first answer
    that has it; what was compiled before is there. Wrangler, if it is installed, runs a worker in JavaScript: for one
    in Python it first loads Pyodide from the network, so the comparison flatters it."""
    ways = _ways()
    starts: dict[str, list[float]] = {way.label: [] for way in ways}
    reloads: dict[str, list[float]] = {way.label: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as compiled:
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "emulator")]),
            "PYTHONPYCACHEPREFIX": compiled,
            # What wrangler asks of the network is no part of it.
            "WRANGLER_SEND_METRICS": "false",
            "CLOUDFLARE_CF_FETCH_ENABLED": "false",
        }
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(scale.rounds + 1):
            for way in ways:
                start, reload = _once(way, env)
                # The first one compiles.
                if number:
                    starts[way.label].append(start)
                    reloads[way.label] += [] if reload is None else [reload]
    return [
        {
            "command": label,
            "first answer ms": f"{median(times) * 1000:,.0f}",
            "best": f"{min(times) * 1000:,.0f}",
            "reload ms": f"{median(reloads[label]) * 1000:,.0f}" if reloads[label] else "",
        }
        for label, times in starts.items()
    ]


def _once(way: _Way, env: Mapping[str, str]) -> tuple[float, float | None]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-"))) / "worker"
        shutil.copytree(WORKERS / way.worker, folder)
        port = _free_port()
        began = time.perf_counter()
        process = subprocess.Popen(
            way.command(port),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(_end, process)
        _until(port, b"Hello, world!", process)
        start = time.perf_counter() - began
        if not way.reloads:
            return start, None
        # As a person would: when all that goes on at the start is over, also on a slow machine.
        time.sleep(3)
        (code,) = (folder / "src").iterdir()
        changed = code.read_text().replace("Hello, world!", "Hello again!")
        began = time.perf_counter()
        code.write_text(changed)
        _until(port, b"Hello again!", process)
        return start, time.perf_counter() - began


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until(port: int, text: bytes, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while text not in _asked(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"{process.args!r} did not answer within {SECONDS:g} s.")
        time.sleep(0.002)


def _asked(port: int) -> bytes:
    with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        except (OSError, HTTPException):
            return b""


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
