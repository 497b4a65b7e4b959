"""Reload: a process that serves, replaced by a new one whenever a file of the project changes.

The socket is kept here, so a client that connects in between waits a moment and is served. The state folder stays;
open WebSockets are closed with 1012, on which clients come back by themselves. While one process serves, the next one
waits with everything imported but the project itself and the packages that only this one uses.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from edgeagents_emulator.options import Options
from edgeagents_emulator.serving_process import STOP_SECONDS, Ahead, ServingProcess

__all__ = ["serve_and_reload"]

_log = logging.getLogger("edgeagents.emulator")
_AT_ONCE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


async def serve_and_reload(
    process: ServingProcess,
    options: Options,
    listener: socket.socket,
    says: str,
    folders: Sequence[Path],
    built: Sequence[Path] = (),
) -> int:
    """Serve until Control-C or SIGTERM, at first by ``process``; return the exit status.

    ``says`` is told when Control-C is minded. It is served anew when a source file in ``folders`` changes, or whatever
    lies in ``built``.

    A project that cannot start at all ends it with status 1. One that breaks later answers with what is wrong, until
    the next change. One that is killed has a successor.
    """
    stop = asyncio.Event()
    turns = _Turns(process, replace(options, serves_when_broken=True), listener, folders)

    def end() -> None:
        if stop.is_set():
            turns.kill()  # Somebody has no patience.
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    click.echo(says, err=True)
    process.serve(options, listener)
    # Imported while the other process starts.
    from edgeagents_emulator.watching import changes_in

    changes = turns.not_served(changes_in(folders, stop, built, since=process.told_at))
    changed = asyncio.ensure_future(anext(changes, None))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while True:
            ended = asyncio.ensure_future(turns.ended())
            await asyncio.wait((ended, changed, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                _log.info("Shutting down the local server...")
                return 0
            if not changed.done():
                if (status := ended.result()) >= 0:
                    # It could not start, or ended itself; what it had to say is in the log.
                    return status or 1
                pause = turns.pause()
                _log.error(
                    "The process that serves was killed by %s. A new one begins%s.",
                    _signal(-status),
                    f" in {pause:g} s" if pause else "",
                )
                if pause:
                    await asyncio.wait((changed, stopped), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if not stop.is_set() and not changed.done():
                    await turns.next()
                continue
            names = sorted({Path(file).name for file in changed.result() or ()})
            _log.info("Reloading the local server: %s changed", ", ".join(names))
            ended.cancel()
            await turns.next()
            changed = asyncio.ensure_future(anext(changes, None))
    finally:
        stop.set()
        await turns.stop()
        for task in (changed, stopped):
            task.cancel()
        await asyncio.gather(changed, stopped, return_exceptions=True)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Turns:
    """The process that serves, and the one that is next."""

    def __init__(
        self, process: ServingProcess, options: Options, listener: socket.socket, folders: Sequence[Path]
    ) -> None:
        self._process, self._options, self._listener = process, options, listener
        self._folders = [str(folder) for folder in folders]
        self._next: ServingProcess | None = None
        self._began, self._pause = time.monotonic(), 0.0

    def pause(self) -> float:
        """Return for how many seconds to wait before the next one: the longer, the more often one died at once."""
        lived = time.monotonic() - self._began
        self._pause = 0.0 if lived > _AT_ONCE_SECONDS else min(max(1.0, self._pause * 2), _LONGEST_PAUSE_SECONDS)
        return self._pause

    async def ended(self) -> int:
        """Return the status with which the one that serves ends. Once it answers, the next one gets ready."""
        ready = await self._process.ready()
        if ready is not None and self._next is None:
            self._options = replace(self._options, known_banner=ready.banner or self._options.known_banner)
            self._next = ServingProcess(ahead=Ahead(self._folders, ready.modules))
        return await self._process.wait()

    async def not_served(self, changes: AsyncIterator[list[str]]) -> AsyncIterator[list[str]]:
        """Iterate over those changes that the one that serves has not read."""
        async for files in changes:
            if lacking := await self._process.lacks(files):
                yield lacking

    async def next(self) -> None:
        """Let the next one serve."""
        await self._stop()
        if self._next is not None and self._next.is_outdated:
            self._next.close()
            self._next = None
        self._process, self._next = self._next or ServingProcess(), None
        self._began = time.monotonic()
        self._process.serve(self._options, self._listener)

    def kill(self) -> None:
        """End the one that serves at once."""
        self._process.kill()

    async def stop(self) -> None:
        """End both."""
        if self._next is not None:
            self._next.close()
        await self._stop()

    async def _stop(self) -> None:
        if not await self._process.stop():
            _log.warning("The worker did not stop within %g seconds and was killed.", STOP_SECONDS)
