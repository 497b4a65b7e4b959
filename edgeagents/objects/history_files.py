"""The files of a database's history, in a folder beside it.

<digits>.history/<log>-<salts>-<frames>.base   the database before the log, of which so many frames may be missing
<digits>.history/<log>-<salts>.log             the frames of a log, compressed
<digits>.history/times                         when the database was in which state, a line each
<digits>.history/restore.sqlite                what the object begins with at its next start
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edgeagents.objects.disk import sync_descriptor, sync_folder
from edgeagents.objects.history import history_folder

__all__ = ["Base", "HistoryFiles", "Log"]


class Base(NamedTuple):
    """A copy of the database as it was before a log."""

    log: int
    salts: str
    frames: int
    path: Path


class Log(NamedTuple):
    """A copy of a log."""

    log: int
    salts: str
    path: Path


class HistoryFiles:
    """The files of the history of the database at ``database``. Neither they nor the folder need be there."""

    __slots__ = ("_database",)

    def __init__(self, database: Path) -> None:
        self._database = database

    @property
    def folder(self) -> Path:
        """Where they are."""
        return history_folder(self._database)

    @property
    def times(self) -> Path:
        """When the database was in which state."""
        return self.folder / "times"

    @property
    def restore(self) -> Path:
        """What the object begins with at its next start."""
        return self.folder / "restore.sqlite"

    def has_restore(self) -> bool:
        """Whether the object is to begin with another state at its next start."""
        stem, _ = os.path.splitext(self._database)
        return os.path.exists(f"{stem}.history/restore.sqlite")

    def base(self, number: int, salts: str, frames: int) -> Path:
        """Return where the copy of the database is that was made with so many frames in this log."""
        return self.folder / f"{number:08x}-{salts}-{frames:08x}.base"

    def log(self, number: int, salts: str) -> Path:
        """Return where the copy of this log is."""
        return self.folder / f"{number:08x}-{salts}.log"

    def make_folder(self) -> None:
        """Have the folder."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def bases(self) -> list[Base]:
        """Return the copies of the database, in the order of their logs."""
        found: list[Base] = []
        for path in self._entries(".base"):
            log, salts, frames = path.stem.split("-")
            found.append(Base(int(log, 16), salts, int(frames, 16), path))
        return sorted(found)

    def logs(self) -> list[Log]:
        """Return the copies of logs, in their order."""
        found: list[Log] = []
        for path in self._entries(".log"):
            log, salts = path.stem.split("-")
            found.append(Log(int(log, 16), salts, path))
        return sorted(found)

    def _entries(self, suffix: str) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.suffix == suffix]
        except FileNotFoundError:
            return []

    def size(self) -> int:
        """Return the bytes of all of them."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    @contextlib.contextmanager
    def new_file(self, path: Path) -> Generator[BinaryIO]:
        """Write a file that is there whole, and on disk, or not at all."""
        temporary = path.with_suffix(f".{os.getpid()}")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            sync_descriptor(file.fileno())
        os.replace(temporary, path)
        sync_folder(self.folder)

    def remove(self) -> None:
        """Remove what earlier states are made from."""
        for path in (*(base.path for base in self.bases()), *(log.path for log in self.logs())):
            path.unlink(missing_ok=True)
        self.times.unlink(missing_ok=True)
