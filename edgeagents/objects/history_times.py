"""When a database was in which state: a line of text each, fewer of them the longer ago it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from edgeagents.errors import StorageError
from edgeagents.objects.bookmarks import Bookmark
from edgeagents.objects.disk import sync_descriptor, sync_folder
from edgeagents.objects.history_files import Base, HistoryFiles

__all__ = ["HistoryTimes", "Moment", "is_from"]

_BYTES: Final = 256 * 1024
_THINNED_AFTER: Final = 3_600.0
_THINNED_TO: Final = 60.0


class Moment(NamedTuple):
    """The database was in the state ``bookmark`` at ``when``, in seconds since 1970."""

    when: float
    bookmark: Bookmark


class HistoryTimes:
    """The times that are noted in ``files``. ``now`` tells the time."""

    __slots__ = ("_files", "_now")

    def __init__(self, files: HistoryFiles, now: Callable[[], float]) -> None:
        self._files, self._now = files, now

    def note(self, moment: Moment) -> None:
        """Write down when the database was in which state."""
        self._write(f"time {moment.when:.3f} {moment.bookmark}")

    def note_restore(self, restores: int, bookmark: Bookmark) -> None:
        """Write down the last state before the database was restored, for the time after so many; it lasts."""
        self._write(f"restored {restores} {bookmark}", is_synced=True)

    def known(self) -> Iterator[Moment]:
        """Yield what was noted, the oldest first."""
        for line in self._lines():
            kind, *words = line.split(" ")
            if kind == "time" and len(words) == 2:
                # The last line may be torn.
                with contextlib.suppress(ValueError, StorageError):
                    yield Moment(float(words[0]), Bookmark.parse(words[1]))

    def before_restore(self, restores: int) -> Bookmark | None:
        """Return the last state before the database was restored when it had been so many times; None if unknown."""
        for line in self._lines():
            kind, *words = line.split(" ")
            if kind == "restored" and words[0] == str(restores):
                return Bookmark.parse(words[1])
        return None

    def thin(self, *, is_forced: bool = False) -> None:
        """Keep fewer of the times that passed long ago, and none of those that are not kept any more."""
        now, lines = self._now(), self._lines()
        first = next(iter(self._files.bases()), None)
        kept: list[str] = []
        before = 0.0
        for line in lines:
            kind, *words = line.split(" ")
            try:
                bookmark = Bookmark.parse(words[-1])
                when = float(words[0]) if kind == "time" else now
            except (ValueError, IndexError, StorageError):
                continue
            if not is_from(bookmark, first):
                continue
            if kind == "time":
                if now - when > _THINNED_AFTER and when - before < _THINNED_TO:
                    continue
                before = when
            kept.append(line)
        if is_forced or len(kept) < 0.75 * len(lines):
            with self._files.new_file(self._files.times) as file:
                file.write("".join(f"{line}\n" for line in kept).encode())

    def _write(self, line: str, *, is_synced: bool = False) -> None:
        self._files.make_folder()
        descriptor = os.open(self._files.times, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
            if is_synced:
                sync_descriptor(descriptor)
            is_long = os.fstat(descriptor).st_size > _BYTES
        finally:
            os.close(descriptor)
        if is_synced:
            sync_folder(self._files.folder)
        if is_long:
            self.thin()

    def _lines(self) -> list[str]:
        try:
            return self._files.times.read_text().splitlines()
        except FileNotFoundError:
            return []


def is_from(bookmark: Bookmark, base: Base | None) -> bool:
    """Whether the state is not older than ``base``, the oldest that is kept."""
    return base is None or (bookmark.log, bookmark.frames) >= (base.log, base.frames)
