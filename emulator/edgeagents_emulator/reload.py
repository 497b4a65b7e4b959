"""Reload: a process that serves, replaced by a new one whenever a file of the project changes.

The socket is kept here, so a client that connects in between waits a moment and is served. The state folder stays;
open WebSockets are closed with 1012, on which clients come back by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from edgeagents_emulator.options import HANDED_DOWN, Options
from edgeagents_emulator.serve import LIFELINE, LISTENER

__all__ = ["SourceFilter", "serve_and_reload"]

_log = logging.getLogger("edgeagents.emulator")

STOP_SECONDS = 10.0


class SourceFilter(DefaultFilter):
    """Lets through what a worker is made of: Python files, configurations, variables."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".edgeagents", ".wrangler", "dist", "build")

    def __call__(self, change: Change, path: str) -> bool:
        name = os.path.basename(path)
        is_source = (
            name.endswith(".py")
            or name in ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
            or name.startswith((".dev.vars", ".env"))
        )
        return is_source and super().__call__(change, path)


class _Process:
    """One process that serves ``listener``."""

    def __init__(self, options: Options, listener: socket.socket) -> None:
        self._options, self._listener = options, listener
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None

    async def start(self) -> None:
        reading, self._lifeline = os.pipe()
        fd = self._listener.fileno()
        environment = {
            **os.environ,
            HANDED_DOWN: self._options.to_json(),
            LISTENER: str(fd),
            LIFELINE: str(reading),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edgeagents_emulator.serve", env=environment, pass_fds=(fd, reading)
            )
        finally:
            os.close(reading)

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End it, letting it finish what is open; kill it when that takes too long."""
        assert self._process is not None
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                _log.warning("The worker did not stop within %g seconds and is killed.", STOP_SECONDS)
                self._process.kill()
                await self._process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


async def serve_and_reload(options: Options, listener: socket.socket, folders: Iterable[Path]) -> int:
    """Serve until Control-C or SIGTERM; return the exit status.

    A project that cannot start at all ends it with status 1. One that breaks later answers with what is wrong, until
    the next change.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    changes = _changes(folders, stop)
    process = _Process(options, listener)
    await process.start()
    changed = asyncio.ensure_future(anext(changes, None))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while True:
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait((ended, changed, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                _log.info("Shutting down the local server...")
                return 0
            if not changed.done():
                # It could not start, or died; what it had to say is in the log.
                return ended.result() or 1
            paths = changed.result() or set()
            _log.info("Reloading the local server: %s changed", ", ".join(sorted(Path(p).name for p in paths)))
            await process.stop()
            await ended
            process = _Process(replace(options, serves_when_broken=True), listener)
            await process.start()
            changed = asyncio.ensure_future(anext(changes, None))
    finally:
        stop.set()
        await process.stop()
        for task in (changed, stopped):
            task.cancel()
        await asyncio.gather(changed, stopped, return_exceptions=True)


async def _changes(folders: Iterable[Path], stop: asyncio.Event) -> AsyncIterator[set[str]]:
    async for changes in awatch(
        *folders, watch_filter=SourceFilter(), stop_event=stop, debounce=400, step=50, raise_interrupt=False
    ):
        yield {path for _, path in changes}
