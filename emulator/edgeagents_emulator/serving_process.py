"""A process that serves, seen from the one that started it.

It imports what it needs as soon as it is there, and serves when it is told what. So one can wait with everything ready
for the next change of a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from typing import Final

from edgeagents_emulator.options import Options

__all__ = ["LINE", "READY", "ServingProcess"]

LINE: Final = "EDGEAGENTS_DEV_LINE"
"""The environment variable with the descriptor of the line between the two: the end of either ends it."""
READY: Final = b"."
"""What the process says when it answers requests."""
STOP_SECONDS: Final = 10.0


class ServingProcess:
    """One process. You must ``stop`` or ``close`` it."""

    def __init__(self) -> None:
        self._began = time.time()
        self._line, theirs = socket.socketpair()
        with theirs:
            environment = {
                **os.environ,
                LINE: str(theirs.fileno()),
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
        """Whether packages were installed since it began: where they are found is read once."""
        return os.stat(sysconfig.get_path("purelib")).st_mtime >= self._began

    def serve(self, options: Options, listener: socket.socket) -> None:
        """Let it serve ``listener``."""
        # One that has died has nothing to read any more: wait() tells how it ended.
        with contextlib.suppress(OSError):
            socket.send_fds(self._line, [options.to_json().encode(), b"\n"], [listener.fileno()])
        self._line.setblocking(False)

    async def ready(self) -> bool:
        """Wait until it answers requests; False when it ended before."""
        return await self._read() == READY

    async def wait(self) -> int:
        """Wait for its end and return its status."""
        while await self._read():
            pass
        return await asyncio.to_thread(self._process.wait)

    async def _read(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._line, 1)
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
