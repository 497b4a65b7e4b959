"""Servers that are killed and started again many times a second.

A process that has imported everything forks a child for each life of a server, so that a start costs milliseconds:
``python -m tests.durability.lives``, which reads commands from its standard input and answers each with a line.
``Servers`` is the test's end of it. Any number of servers share one state folder; each has an address of its own,
which it keeps over its lives.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.servers import ROOT

__all__ = ["Servers"]


class Servers:
    """``count`` servers on the state folder ``storage``. ``app`` is a function, as ``"package.module:name"``, that
    makes the app of a folder. Calls block for milliseconds: use them in a thread or between the acts of a test."""

    def __init__(self, storage: Path, log: Path, count: int = 1, app: str = "tests.durability.ledger:make_app") -> None:
        self.count = count
        self._held = [_address() for _ in range(count)]
        self.ports = [held.getsockname()[1] for held in self._held]
        self._log = log.open("a")
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "emulator")))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.lives", str(storage), app],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._say("ready")
        self.running: set[int] = set()

    def start(self, number: int) -> int:
        """Begin a life of a server and return its pid. It does not answer yet."""
        self.running.add(number)
        return int(self._say(f"start {number} {self.ports[number]}"))

    def kill(self, number: int) -> None:
        """SIGKILL a server; return when it is gone."""
        self._say(f"kill {number}")
        self.running.discard(number)

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a server."""
        self._say(f"signal {number} {int(which)}")

    def close(self) -> None:
        for number in tuple(self.running):
            self.kill(number)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._log.close()
        for held in self._held:
            held.close()

    def _say(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"The process that starts servers has ended. See {self._log.name}.")
        return answer


def _address() -> socket.socket:
    """Return a socket that is bound and never listens: it keeps a port of the system's choice."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", 0))
    return held


def _serve(app: Any, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 1
    config.accesslog = None
    config.loglevel = "WARNING"
    asyncio.run(serve(app, config))


def _live(make_app: Any, storage: str, port: int) -> None:
    """The whole life of a server, in a forked process."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        _serve(make_app(storage), port)
        code = 0
    except BaseException as error:
        print(f"A server has ended: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def main(storage: str, app: str) -> None:
    module, _, name = app.partition(":")
    # Imports happen here, once. No thread and no event loop runs when a child is forked.
    import hypercorn.asyncio  # noqa: F401

    make_app = getattr(__import__(module, fromlist=[name]), name)
    children: dict[int, int] = {}
    for line in sys.stdin:
        command, *words = line.split()
        number = int(words[0]) if words else -1
        if command == "start":
            pid = os.fork()
            if not pid:
                _live(make_app, storage, int(words[1]))
            children[number] = pid
            print(pid, flush=True)
        elif command == "kill":
            pid = children.pop(number)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            print("killed", flush=True)
        elif command == "signal":
            os.kill(children[number], int(words[1]))
            print("sent", flush=True)
        else:
            print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
