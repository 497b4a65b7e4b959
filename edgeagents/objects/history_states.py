"""Making a state of a database again: from a copy of it before a log, that log, and those that came after it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple, Protocol

from edgeagents.errors import StorageError
from edgeagents.objects.bookmarks import Bookmark
from edgeagents.objects.history_files import HistoryFiles
from edgeagents.objects.history_times import HistoryTimes
from edgeagents.objects.packed_log import unpack
from edgeagents.objects.write_ahead_log import count_frames, frames_end, is_commit, log_path

__all__ = ["HistoryStates", "LiveLog", "Tools", "not_kept"]


class Tools(Protocol):
    """What it takes to make a database from a base and logs."""

    def template(self) -> bytes:
        """Return a database that nothing was written to."""
        ...

    def absorb_log(self, database: Path) -> None:
        """Move the log beside ``database``, which nobody has open, into it."""
        ...

    def check(self, database: Path) -> str | None:
        """Return what is wrong with ``database``, or None."""
        ...


class LiveLog(NamedTuple):
    """The log that is in use."""

    log: int
    salts: str
    page_size: int


class HistoryStates:
    """The states of the database at ``path`` that can be made again."""

    __slots__ = ("_files", "_path", "_times", "_tools")

    def __init__(self, path: Path, files: HistoryFiles, times: HistoryTimes, tools: Tools) -> None:
        self._path, self._files, self._times, self._tools = path, files, times, tools

    def build(self, bookmark: Bookmark, target: Path, live: LiveLog | None, *, is_untouched: bool) -> None:
        """Make at ``target`` the database as it was. Raises ``StorageError`` when that state is not kept.

        ``live`` is the log in use, if it was not copied in full. A database that ``is_untouched`` began empty.
        """
        for remains in (target, log_path(target)):
            remains.unlink(missing_ok=True)
        bases = [
            base
            for base in self._files.bases()
            if base.log < bookmark.log or (base.log == bookmark.log and base.frames <= bookmark.frames)
        ]
        if bases:
            base = bases[-1]
            shutil.copyfile(base.path, target)
        elif bookmark.log == 0 and is_untouched:
            base = None
            target.write_bytes(self._tools.template())
        else:
            raise not_kept(bookmark)
        target.chmod(0o600)
        for number in range(base.log if base is not None else 0, bookmark.log + 1):
            is_last = number == bookmark.log
            if is_last and not bookmark.frames:
                continue
            data = self._log(number, bookmark if is_last else None, live)
            log_path(target).write_bytes(data)
            self._tools.absorb_log(target)
        fault = self._tools.check(target)
        if fault is not None:
            target.unlink()
            raise StorageError(f"The history of {self._path} is damaged at the bookmark {bookmark}: {fault}")

    def _log(self, number: int, bookmark: Bookmark | None, live: LiveLog | None) -> bytes:
        """Return the log with this number, up to the frame that ``bookmark`` names."""
        if live is not None and live.log == number:
            salts, data = live.salts, log_path(self._path).read_bytes()
        else:
            found = [log for log in self._files.logs() if log.log == number]
            if not found:
                raise not_kept(bookmark or Bookmark(0, number, 0))
            salts, data = found[0].salts, unpack(found[0].path.read_bytes())
        page_size = int.from_bytes(data[8:12], "big")
        frames = count_frames(data, page_size)
        if bookmark is None:
            # The last time that was written down for a log is that of its end.
            noted = [moment.bookmark.frames for moment in self._times.known() if moment.bookmark.log == number]
            if frames < max(noted, default=0) or not is_commit(data, page_size, frames):
                raise StorageError(f"The history of {self._path} is damaged: a part of the log {number} is missing.")
            return data
        if salts != bookmark.salts or frames < bookmark.frames or not is_commit(data, page_size, bookmark.frames):
            raise StorageError(f"The bookmark {bookmark} is not one of this object's database.")
        return data[: frames_end(page_size, bookmark.frames)]


def not_kept(bookmark: Bookmark) -> StorageError:
    """Return the error of a state that cannot be made again."""
    return StorageError(f"The state at the bookmark {bookmark} is not kept any more, or never was.")
