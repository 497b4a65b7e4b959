"""A process that serves, seen from the one that started it.

It imports what it needs as soon as it is there, and serves when it is told what. So one can wait with everything ready
for the next change of a file: also with what the one before it came to import of ours, which it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import socket
import sysconfig
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from edgeagents_emulator.building import TICK_SECONDS
from edgeagents_emulator.options import Options
from edgeagents_emulator.starting import Started, start

__all__ = ["STOP_SECONDS", "Ahead", "Ready", "ServingProcess"]

STOP_SECONDS: Final = 10.0


@dataclass(frozen=True)
class _Told:
    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what ``to_json`` has written."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return a line for another process."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Ready(_Told):
    """What a process says when it answers requests: its banner, empty for a worker that is broken, and which modules
    the next one had better have."""

    banner: str
    modules: Sequence[str]


@dataclass(frozen=True)
class Ahead(_Told):
    """What a process may do before it is told to serve: import ``modules``, which the one before it had, from where
    the projects in ``folders`` find them."""

    folders: Sequence[str] = ()
    modules: Sequence[str] = ()


class ServingProcess:
    """One process: the one that was ``started``, or a new one, which gets ready what ``ahead`` says.

    You must ``stop`` or ``close`` it.
    """

    def __init__(self, started: Started | None = None, *, ahead: Ahead | None = None) -> None:
        self._folders = ahead.folders if ahead else ()
        self._started = started or start(ahead.to_json() if ahead else "")
        self._line, self._process = self._started.line, self._started.process
        self.told_at = 0.0
        """When it was told to serve: it has read nothing of the project before."""
        self._read_at = 0.0
        self._has_read = asyncio.Event()

    @property
    def is_outdated(self) -> bool:
        """Whether packages were installed since it began: it may have others of them, or know no place of theirs."""
        own = (place for folder in self._folders for place in Path(folder).glob(".venv/lib/python*/site-packages"))
        places = (Path(sysconfig.get_path("purelib")), *own)
        return any(place.stat().st_mtime >= self._started.began for place in places)

    def serve(self, options: Options, listener: socket.socket) -> None:
        """Let it serve ``listener``."""
        self.told_at = time.time()
        # One that has died has nothing to read any more: wait() tells how it ended.
        with contextlib.suppress(OSError):
            socket.send_fds(self._line, [options.to_json().encode(), b"\n"], [listener.fileno()])
        self._line.setblocking(False)

    async def ready(self) -> Ready | None:
        """Wait until it answers requests and return what it says. None when it ended before."""
        told = b""
        try:
            while told.count(b"\n") < 2:
                if b"\n" in told:
                    self._read_at = float(told.partition(b"\n")[0])
                    self._has_read.set()
                more = await self._read()
                if not more:
                    return None
                told += more
            self._read_at = float(told.partition(b"\n")[0])
            return Ready.from_json(told.partition(b"\n")[2])
        finally:
            self._has_read.set()

    async def lacks(self, files: Iterable[str]) -> list[str]:
        """Wait until it has built what it serves; return those of ``files`` that were changed after it read them.

        What the build itself wrote was there before.
        """
        await self._has_read.wait()
        return [
            file for file in files if _changed_at(file) >= (self._read_at if file.endswith(".py") else self.told_at)
        ]

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

    def kill(self) -> None:
        """End it at once; somebody waits for its end."""
        self._process.kill()

    def close(self) -> None:
        """Kill it if it is still there. Harmless when it is not."""
        self._started.close()


def _changed_at(file: str) -> float:
    try:
        # Not when it was written: a file that comes from elsewhere may keep that time.
        return os.stat(file).st_ctime + TICK_SECONDS / 2
    except OSError:
        return math.inf
