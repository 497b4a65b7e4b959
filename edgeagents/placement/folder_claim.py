"""Claims on a state folder: one process has it whole, or several share it.

The operating system's lock on a file in the folder decides; it ends with the process, however that ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from edgeagents.errors import ConfigError
from edgeagents.placement.lock_files import close_lock_file, open_lock_file

__all__ = ["FolderClaim", "wait_for_lock"]


class FolderClaim:
    """One process's claim on a state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "owner.lock"
        self._folder = folder
        self._fd: int | None = None

    def take_whole(self) -> int:
        """Keep all others out. Return a number that grows with each process that does.

        Raises ``ConfigError`` naming the process that has the folder.
        """
        fd = self._lock(
            shared=False,
            advice="stop all processes that do, since this needs the folder for itself, or choose another folder.",
        )
        try:
            written = os.read(fd, 64).split()
            number = int(written[1]) + 1 if len(written) == 2 and written[1].isdigit() else 1
            os.lseek(fd, 0, os.SEEK_SET)
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()} {number}\n".encode())
        except BaseException:
            self.release()
            raise
        return number

    def share(self) -> None:
        """Keep those out who want the folder whole. Raises ``ConfigError`` when one has it."""
        self._lock(shared=True, advice="stop that process, or choose another folder.")

    def _lock(self, *, shared: bool, advice: str) -> int:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = open_lock_file(self._path)
        except OSError as error:
            raise ConfigError(f"The state folder {self._folder} cannot be used: {error}") from error
        try:
            _lock(fd, shared)
        except OSError as error:
            owner = os.read(fd, 64).decode("ascii", "replace").split()
            close_lock_file(fd)
            who = f"Another process (pid {owner[0]})" if owner and not shared else "Another process"
            raise ConfigError(f"{who} already uses the state folder {self._folder}: {advice}") from error
        self._fd = fd
        return fd

    def release(self) -> None:
        """Give the folder back. Harmless when it is not held."""
        if self._fd is not None:
            close_lock_file(self._fd)
            self._fd = None


@contextmanager
def wait_for_lock(path: Path) -> Generator[None]:
    """Have the lock on the file ``path``, which is made if need be, for a ``with`` block, after all who came before."""
    fd = open_lock_file(path)
    try:
        _wait(fd)
        yield
    finally:
        close_lock_file(fd)


if sys.platform == "win32":
    import msvcrt

    def _wait(fd: int) -> None:
        while True:
            try:
                msvcrt.locking(fd, msvcrt.LK_LOCK, 1)
                return
            except OSError:
                continue  # It gives up after ten seconds.

    def _lock(fd: int, shared: bool) -> None:
        # A byte past the text, which others must be able to read.
        os.lseek(fd, 1024, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)

else:
    import fcntl

    def _wait(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _lock(fd: int, shared: bool) -> None:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
