"""Starting a process that serves: with no import that takes long, so that a command can begin with it.

What that process needs of the host takes longer to import than all that is done here before it is told what to serve.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

__all__ = ["AHEAD", "LINE", "Started", "start"]

LINE = "EDGEAGENTS_DEV_LINE"
"""The environment variable with the descriptor of the line between the two: the end of either ends it."""
AHEAD = "EDGEAGENTS_DEV_AHEAD"
"""The environment variable with an ``Ahead`` for the process, as JSON, if there is one."""


class Started:
    """A process that was started, when it was, and this end of the line to it. You must ``close`` it."""

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        self.process, self.line, self.began = process, line, time.time()

    def close(self) -> None:
        """Kill it if it is still there. Harmless when it is not."""
        self.line.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def start(ahead: str = "") -> Started:
    """Start a process, which gets ready what ``ahead`` says and waits to be told what to serve."""
    line, theirs = socket.socketpair()
    with theirs:
        environment = {
            **os.environ,
            LINE: str(theirs.fileno()),
            AHEAD: ahead,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        # Control-C reaches every process of the terminal; this one decides what it means, from the other's first
        # moment on. The other lets it through when it has said that it takes no notice of it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "edgeagents_emulator.serve"], env=environment, pass_fds=(theirs.fileno(),)
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Started(process, line)
