"""Leases: the right to write, with a token that grows each time the right changes hands.

A token larger than another is the later owner's, so a writer that slept through its lease can be told from the one that
took over. On one machine the operating system's lock on a file in the state folder decides; it ends with the process,
however that ends.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from edgeagents.errors import ConfigError

__all__ = ["FolderLease", "Lease"]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write. ``token`` is larger than that of every earlier owner."""

    token: int


class FolderLease:
    """One process's claim on a state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "owner.lock"
        self._folder = folder
        self._fd: int | None = None

    def claim(self) -> Lease:
        """Take the folder. Raises ``ConfigError`` naming the process that has it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(fd)
        except OSError as error:
            owner = os.read(fd, 64).decode("ascii", "replace").split()
            os.close(fd)
            who = f"Another process (pid {owner[0]})" if owner else "Another process"
            raise ConfigError(
                f"{who} already uses the state folder {self._folder}. Objects live in one process: "
                "stop that process, use one worker (hypercorn -w 1), or choose another folder."
            ) from error
        written = os.read(fd, 64).split()
        token = int(written[1]) + 1 if len(written) == 2 and written[1].isdigit() else 1
        os.lseek(fd, 0, os.SEEK_SET)
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()} {token}\n".encode())
        self._fd = fd
        return Lease(token)

    def release(self) -> None:
        """Give the folder back. Harmless when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        # A byte past the text, which others must be able to read.
        os.lseek(fd, 1024, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
