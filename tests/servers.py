"""Real ASGI servers on loopback, for tests that a fake transport cannot answer.

A server is a process of its own, started from a command line as a user would start it. The system chooses its port,
and a socket that is bound but never listens keeps the port for it, so a server that was killed can be started again
under the same address. Waiting is for a condition with a deadline, never for a length of time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVERS = ("hypercorn", "uvicorn", "granian")
START_SECONDS = 30.0
STOP_SECONDS = 15.0


def until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> object:
    """Poll ``condition`` until it is true and return its value; fail naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s for {what}.")
        time.sleep(0.01)


def command(server: str, app: str, port: int) -> list[str]:
    """Return the arguments of Python that serve ``app`` with ``server`` on ``port``."""
    if server == "hypercorn":
        # One worker runs in a process of its own under a supervisor; -w 0 would serve in this one, which is
        # what a SIGKILL in a test must hit.
        return ["-m", "hypercorn", "--workers", "0", "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "1", app]
    if server == "uvicorn":
        return ["-m", "uvicorn", "--port", str(port), "--timeout-graceful-shutdown", "1", "--log-level", "info", app]
    if server == "granian":
        return ["-m", "granian", "--interface", "asgi", "--port", str(port), "--workers-kill-timeout", "2", app]
    raise ValueError(f"{server!r} is none of {SERVERS}.")


class Server:
    """A server process. ``kill()`` is SIGKILL to all of it; ``start()`` after that serves the same address again."""

    def __init__(
        self,
        app: str,
        *,
        server: str = "hypercorn",
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        pythonpath: Sequence[Path] = (),
        options: Sequence[str] = (),
        ready: str = "/",
        arguments: Sequence[str] = (),
    ) -> None:
        self.app, self.server, self.cwd, self.ready, self.options = app, server, cwd, ready, options
        paths = [*pythonpath, ROOT, ROOT / "emulator", ROOT / "plugins" / "openai"]
        # A proxy of the machine must not come between two ends of loopback.
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.env = {
            **inherited,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self._address = socket.socket()
        self._address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._address.bind(("127.0.0.1", 0))
        self.port: int = self._address.getsockname()[1]
        self._output = tempfile.NamedTemporaryFile(prefix="server-", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything that the server wrote so far."""
        return Path(self._output.name).read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Server:
        self._process = subprocess.Popen(
            self._arguments(),
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # The server and its workers are one group, so that a kill leaves no worker behind.
            start_new_session=True,
        )
        try:
            until(self._answers, f"{self.server} to serve {self.app}")
        except TimeoutError as error:
            self.kill()
            raise TimeoutError(f"{error}\n{self.log}") from None
        return self

    def _arguments(self) -> list[str]:
        """The command line of the process."""
        return [sys.executable, *command(self.server, self.app, self.port), *self.options]

    def _answers(self) -> bool:
        if not self.is_running:
            raise RuntimeError(f"{self.server} could not serve {self.app}:\n{self.log}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(
                    f"GET {self.ready} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nconnection: close\r\n\r\n".encode()
                )
                return probe.recv(12).startswith(b"HTTP/1.1")
        except OSError:
            return False

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def stop(self) -> int | None:
        """Ask the server to stop and return its exit code. One that does not within the deadline is killed."""
        self._signal(signal.SIGTERM)
        if self._process is None:
            return None
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def close(self) -> None:
        """Kill the server if it runs, and give its address back."""
        self.kill()
        self._address.close()
        self._output.close()

    def _signal(self, number: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


@contextmanager
def serving(app: str, **options: object) -> Iterator[Server]:
    """Serve ``app`` (``"package.module:name"``) while the block runs. Options are those of ``Server``."""
    server = Server(app, **options)  # type: ignore[arg-type]
    try:
        yield server.start()
    finally:
        server.close()
