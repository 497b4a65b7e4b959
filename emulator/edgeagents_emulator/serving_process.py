"""A process that serves, seen from the one that started it.

It imports what it needs as soon as it is there, and serves when it is told what. So one can wait with everything ready
for the next change of a file: also with what the one before it came to import of ours, which it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edgeagents_emulator.options import Options

__all__ = ["AHEAD", "LINE", "STOP_SECONDS", "Ahead", "ServingProcess"]

LINE: Final = "EDGEAGENTS_DEV_LINE"
"""The environment variable with the descriptor of the line between the two: the end of either ends it."""
AHEAD: Final = "EDGEAGENTS_DEV_AHEAD"
"""The environment variable with an ``Ahead`` for the process."""
STOP_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Ahead:
    """What a process may do before it is told to serve: import ``modules``, which the one before it had, from where
    the projects in ``folders`` find them."""

    folders: Sequence[str] = ()
    modules: Sequence[str] = ()

    @classmethod
    def from_json(cls, text: str | bytes) -> Ahead:
        """Return what ``to_json`` has written."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return a line for another process."""
        return json.dumps(asdict(self))


class ServingProcess:
    """One process, which has ready what ``ahead`` says. You must ``stop`` or ``close`` it."""

    def __init__(self, ahead: Ahead | None = None) -> None:
        self._ahead = ahead = ahead or Ahead()
        self._began = time.time()
        self._line, theirs = socket.socketpair()
        with theirs:
            environment = {
                **os.environ,
                LINE: str(theirs.fileno()),
                AHEAD: ahead.to_json(),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            }
            # Control-C reaches every process of the terminal; this one decides what it means, from the other's first
            # moment on. The other lets it through when it has said that it takes no notice of it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "edgeagents_emulator.serve"], env=environment, pass_fds=(theirs.fileno(),)
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def is_outdated(self) -> bool:
        """Whether packages were installed since it began: it may have others of them, or know no place of theirs."""
        own = (place for folder in self._ahead.folders for place in Path(folder).glob(".venv/[lL]ib*/**/site-packages"))
        return any(place.stat().st_mtime >= self._began for place in (Path(sysconfig.get_path("purelib")), *own))

    def serve(self, options: Options, listener: socket.socket) -> None:
        """Let it serve ``listener``."""
        # One that has died has nothing to read any more: wait() tells how it ended.
        with contextlib.suppress(OSError):
            socket.send_fds(self._line, [options.to_json().encode(), b"\n"], [listener.fileno()])
        self._line.setblocking(False)

    async def ready(self) -> list[str] | None:
        """Wait until it answers requests; return which modules the next one had better have. None when it ended."""
        told = b""
        while not told.endswith(b"\n"):
            more = await self._read()
            if not more:
                return None
            told += more
        return json.loads(told)

    async def wait(self) -> int:
        """Wait for its end and return its status."""
        while await self._read():
            pass
        return await asyncio.to_thread(self._process.wait)

    async def _read(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._line, 65536)
        except OSError:
            return b""

    async def stop(self) -> bool:
        """End it, letting it finish what is open. False when that took too long and it was killed."""
        self._process.terminate()
        try:
            await asyncio.wait_for(self.wait(), STOP_SECONDS)
        except TimeoutError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Kill it if it is still there. Harmless when it is not."""
        self._line.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
