"""The history of one object's database: what it takes to restore it as it was after any commit of the last weeks.

SQLite's write-ahead log is the history. Each commit stands in it; what is lost is only what a log held that was written
over. So before a log is moved into the database, which is after some thousand pages, it is copied into a folder beside
the file. A state is restored from a copy of the database as it was before a log (a *base*), that log, and those that
came after it, up to the frame of the commit that is wanted; the last one may be the log that is in use. The files are
told of in ``history_files``.

Nothing is done per commit, and no file is made before the object has written at two moments a second or more apart: the
time of the last commit is the log's own time of change. Everything here is done in threads that wait for the disk
anyway.

Logs follow each other without a gap: the first salt of a log is that of the one before, plus one. Whoever writes to the
database without copying its logs (an older release, a tool) is found out by that, and the history begins anew with a
copy of the database as it is then.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from edgeagents.errors import StorageError
from edgeagents.objects.bookmarks import ORIGIN, Bookmark
from edgeagents.objects.disk import sync_file, sync_folder
from edgeagents.objects.history import History
from edgeagents.objects.history_files import HistoryFiles
from edgeagents.objects.history_pruning import prune
from edgeagents.objects.history_states import HistoryStates, LiveLog, Tools, not_kept
from edgeagents.objects.history_times import HistoryTimes, Moment, is_from
from edgeagents.objects.packed_log import pack
from edgeagents.objects.write_ahead_log import LogHeader, frames_end, log_path, read_header

__all__ = ["Timeline"]

_NO_LOG: Final = ORIGIN.salts
_RESOLUTION: Final = 1.0
"""Seconds between two times that are noted while writes go on."""
_REST: Final = 30.0
_CHUNK: Final = 1024 * 1024

_log = logging.getLogger("edgeagents.storage")
_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()


class _Kept(NamedTuple):
    """How much of which log was copied."""

    salts: str
    end: int


class Timeline:
    """The history of the database at ``path``.

    ``lock`` is held while anything is done with it, and taken before the database's own lock where both are needed. No
    checkpoint runs without it. ``frames`` is everywhere the number of frames of the log that are committed.
    """

    __slots__ = (
        "_changed",
        "_copying",
        "_files",
        "_found",
        "_frames",
        "_guard",
        "_held",
        "_is_moved",
        "_is_over",
        "_kept",
        "_last",
        "_live",
        "_noted",
        "_now",
        "_path",
        "_refusal",
        "_rests_until",
        "_settings",
        "_times",
        "_tools",
        "_touched",
        "is_untouched",
        "lock",
        "restores",
    )

    def __init__(
        self, path: Path, settings: History, now: Callable[[], float], tools: Tools, guard: threading.RLock
    ) -> None:
        # An object that was reset is opened again while a thread still works for the database that was closed.
        self.lock = _locks.setdefault(str(path), threading.Lock())
        self.restores = 0
        """How often the database was restored. It is kept in the database itself."""
        self.is_untouched = False
        """Whether the file is that of a new database, so that all that was ever written is in the log."""
        self._path, self._settings, self._now, self._tools, self._guard = path, settings, now, tools, guard
        self._files = HistoryFiles(path)
        self._times = HistoryTimes(self._files, now)
        self._live: LiveLog | None = None
        self._is_moved = False
        self._kept: _Kept | None = None
        self._frames = 0
        self._found: tuple[float, int] | None = None
        self._touched: tuple[float, int] | None = None
        self._last: Moment | None = None
        self._changed: float | None = None
        self._noted = 0.0
        self._is_over = False
        self._copying = threading.Lock()
        self._held: list[int] = []
        self._refusal: str | None = None
        self._rests_until = 0.0

    @property
    def _log_path(self) -> Path:
        return log_path(self._path)

    # What the database tells

    def opened(self, frames: int) -> None:
        """The database was opened, with so many frames in its log."""
        self._is_over = self._is_moved = False
        self._live, self._frames = None, 0
        if frames:
            with contextlib.suppress(FileNotFoundError):
                self._found = (os.stat(f"{self._path}-wal").st_mtime, frames)

    def closed(self) -> None:
        """The database was closed. Its own lock is held."""
        self._is_over = True
        self._take_touched()
        if self._changed is not None:
            with contextlib.suppress(OSError):
                os.utime(self._log_path, (self._changed, self._changed))
        self._last = self._changed = None
        with self._copying:
            for descriptor in self._held:
                os.close(descriptor)
            self._held.clear()

    @property
    def is_moved(self) -> bool:
        """Whether all of the log was moved into the database, so that the next commit begins it anew."""
        return self._is_moved

    @property
    def is_at_hand(self) -> bool:
        """Whether ``note`` does not take long."""
        return self._refusal is None and (self._live is not None or self.is_untouched)

    @property
    def is_located(self) -> bool:
        """Whether it is known which log is in use."""
        return self._live is not None or self._refusal is not None or self.is_resting

    def is_begun_anew(self) -> bool:
        """Whether there is another log than the one that is known."""
        header = self._header()
        return self._live is not None and header is not None and header.salts != self._live.salts

    def touch(self, frames: int) -> bool:
        """Remember that the log has so many frames now, if that is all that is to be done; return whether it was.

        The database's own lock is held.
        """
        when = self._now()
        if self._is_moved or self._live is None or when - self._noted >= _RESOLUTION:
            return False
        self._touched = when, frames
        return True

    def note(self, frames: int) -> Bookmark:
        """The log has so many frames now. Nobody may begin it anew meanwhile. Return the bookmark of that."""
        when, here = self._now(), self.here(frames)
        self._take_touched()
        if self._found is not None:
            found, frames = self._found
            self._found, self._noted = None, found
            self._last = Moment(found, here._replace(frames=frames))
        last = self._last
        if last is None:
            self._noted = when
        elif last.bookmark == here:
            return here
        elif when - self._noted >= _RESOLUTION:
            self._noted = when
            self._times.note(last)
        self._last, self._changed = Moment(when, here), when
        return here

    def _take_touched(self) -> None:
        touched, self._touched = self._touched, None
        live = self._live
        if touched is not None and live is not None:
            when, frames = touched
            self._last, self._changed = Moment(when, Bookmark(self.restores, live.log, frames, live.salts)), when

    @property
    def is_kept(self) -> bool:
        """Whether there is a history, so that the log is copied before it is moved."""
        return self._refusal is None

    def rest(self) -> None:
        """Writing has failed: let ``note`` wait, so that it does not fail for each commit."""
        self._rests_until = self._now() + _REST

    @property
    def is_resting(self) -> bool:
        """Whether ``note`` is to wait."""
        return self._rests_until > 0 and self._now() < self._rests_until

    def write_down(self, frames: int) -> None:
        """Write down the time of the last commit, and with it how many frames the log has: it is about to be moved."""
        if self._refusal is not None:
            return
        self.note(frames)
        last, self._last = self._last, None
        if last is not None:
            self._noted = self._now()
            self._times.note(last)

    def keep(self, frames: int) -> None:
        """Copy the log, which nobody begins anew meanwhile. Raises ``OSError`` when that fails."""
        self._check_refusal()
        live, here = self._look(frames), self.here(frames)
        self._take_touched()
        if here.salts == _NO_LOG or not frames:
            return
        self._have_base(here)
        end = frames_end(live.page_size, frames)
        begun, self._kept = self._kept, None
        start = begun.end if begun is not None and begun.salts == here.salts else 0
        if start < end:
            path = self._files.log(here.log, here.salts)
            with self._log_path.open("rb") as source:
                source.seek(start)
                if start:
                    with path.open("ab") as target:
                        pack(source, end - start, target)
                else:
                    self._files.make_folder()
                    with self._files.new_file(path) as target:
                        pack(source, end, target)
            now = self._now()
            os.utime(path, (now, now))
        self._kept = _Kept(here.salts, end)

    def moved(self, frames: int) -> None:
        """All frames of the log, of which there are so many, were moved into the database."""
        live, kept = self._live, self._kept
        self._is_moved = (
            live is not None
            and kept is not None
            and kept.salts == live.salts
            and kept.end == frames_end(live.page_size, frames)
        )

    # States

    def here(self, frames: int) -> Bookmark:
        """Return the bookmark of the present state. Nobody may begin the log anew meanwhile."""
        self._check_refusal()
        live = self._live
        # Only a log that was moved is begun anew, or one of which another process had the same right to.
        if live is None or self._is_moved or frames < self._frames or live.salts == _NO_LOG:
            live = self._look(frames)
        self._frames = frames
        return Bookmark(self.restores, live.log, 0 if live.salts == _NO_LOG else frames, live.salts)

    def _look(self, frames: int) -> LiveLog:
        header = self._header()
        salts = _NO_LOG if header is None else header.salts
        live = self._live
        if live is None or live.salts != salts:
            number = self._number(header)
            if number is None:
                number = self._begin_anew(salts, 0 if header is None else frames)
            live = self._live = LiveLog(number, salts, 0 if header is None else header.page_size)
            self._is_moved = False
        return live

    def at(self, when: float, frames: int) -> Bookmark:
        """Return the bookmark of the state at ``when``, to the second."""
        here, last = self.here(frames), self._last
        now = self._now()
        if when >= now or (last is not None and last.bookmark == here and when >= last.when):
            return here
        bases, times = self._files.bases(), list(self._times.known())
        first = bases[0] if bases else None
        if when < now - self._settings.days * 86_400:
            raise StorageError(f"The history is kept for {self._settings.days:g} days: History(days=...).")
        if last is not None:
            times.append(last)
        if self._found is not None:
            times.append(Moment(self._found[0], here._replace(frames=self._found[1])))
        known = [time for time in times if time.when <= when and is_from(time.bookmark, first)]
        if known:
            return max(known).bookmark
        if (first is None and self.is_untouched) or (first is not None and (first.log, first.frames) == (0, 0)):
            return ORIGIN
        raise StorageError("The history of this object's database does not reach back that far.")

    def actual(self, bookmark: Bookmark) -> Bookmark | None:
        """Return the state that ``bookmark`` means; None if it is the one before a restore that is still to come."""
        if not bookmark.is_before_restore:
            return bookmark
        if bookmark.restores == self.restores:
            return None
        before = self._times.before_restore(bookmark.restores)
        if before is None:
            raise not_kept(bookmark)
        return before

    def _build(self, bookmark: Bookmark, target: Path) -> None:
        live = None if self._is_moved else self._live
        states = HistoryStates(self._path, self._files, self._times, self._tools)
        states.build(bookmark, target, live, is_untouched=self.is_untouched)

    # Restoring

    @property
    def restore_path(self) -> Path:
        """What the database is to be replaced with at the next start, if that is there."""
        return self._files.restore

    def has_restore(self) -> bool:
        """Whether the database is to be replaced."""
        return self._files.has_restore()

    def prepare_restore(self, bookmark: Bookmark, finish: Callable[[Path], object]) -> None:
        """Have the database replaced at the next start. ``finish`` is given what it is replaced with."""
        self._prepare(lambda made: self._build(bookmark, made), finish)

    def prepare_replacement(self, content: Path, finish: Callable[[Path], object]) -> None:
        """The same with a copy of another database, which nobody uses."""
        self._prepare(lambda made: shutil.copyfile(content, made), finish)

    def _prepare(self, make: Callable[[Path], object], finish: Callable[[Path], object]) -> None:
        self._files.make_folder()
        made = self._files.folder / "restore.new"
        make(made)
        finish(made)
        sync_file(made)
        os.replace(made, self.restore_path)
        sync_folder(self._files.folder)
        sync_folder(self._path.parent)

    def cancel_restore(self) -> None:
        """Have the database go on as it is."""
        self.restore_path.unlink(missing_ok=True)

    def about_to_restore(self, frames: int) -> None:
        """Remember where the database stands just before it is replaced."""
        self.write_down(frames)
        self._times.note_restore(self.restores, self.here(frames))

    def restored(self, restores: int, frames: int) -> None:
        """The database was replaced, in one commit."""
        self.restores = restores
        self.note(frames)
        self.restore_path.unlink(missing_ok=True)

    # Bounds

    def prune(self) -> None:
        """Give up what is older than the settings allow, or more."""
        if not prune(self._files, self._times, self._settings, self._now(), self._build):
            self.give_up(f"it is larger than History(bytes={self._settings.bytes})")

    def give_up(self, why: str) -> None:
        """Have no history from now on, until the database is opened the next time."""
        self._refusal = f"There is no history of the database {self._path}: {why}."
        _log.warning("%s", self._refusal)
        self._files.remove()

    # Files

    def _header(self) -> LogHeader | None:
        try:
            with self._log_path.open("rb", buffering=0) as file:
                return read_header(file)  # pyright: ignore[reportArgumentType]
        except FileNotFoundError:
            return None

    def _number(self, header: LogHeader | None) -> int | None:
        """Return the number of the log with this header, or None when it does not follow what is known."""
        live = self._live
        if live is not None:
            if live.salts == _NO_LOG and header is not None and header.number == 0:
                return live.log
            follows = header is not None and self._is_moved and header.salts[:8] == _next(live.salts)
            return live.log + 1 if follows else None
        bases, logs = self._files.bases(), self._files.logs()
        salts = _NO_LOG if header is None else header.salts
        is_first = header is None or header.number == 0
        for log in logs:
            if log.salts == salts:
                return log.log
        if bases and (not logs or bases[-1].log > logs[-1].log):
            base = bases[-1]
            return base.log if base.salts == salts or (base.salts == _NO_LOG and is_first) else None
        if logs:
            return logs[-1].log + 1 if salts[:8] == _next(logs[-1].salts) else None
        return 0 if is_first and self.is_untouched else None

    def _begin_anew(self, salts: str, frames: int) -> int:
        """Copy the database as it is, and return the number that its log gets."""
        known = [ORIGIN.log, *(base.log for base in self._files.bases()), *(log.log for log in self._files.logs())]
        known += [time.bookmark.log for time in self._times.known()]
        number = max(known) + 1
        if self._path.stat().st_size > self._settings.bytes:
            self.give_up(f"it is larger than History(bytes={self._settings.bytes})")
            self._check_refusal()
        self._files.make_folder()
        with self._guard:
            if self._is_over:
                raise StorageError("This object's storage is closed: the object has left memory.")
            # Whoever closes any descriptor of the file drops SQLite's locks, so this one is closed after SQLite's.
            descriptor = os.open(self._path, os.O_RDONLY)
            self._held.append(descriptor)
            self._copying.acquire()
        try:
            with self._files.new_file(self._files.base(number, salts, frames)) as target:
                shutil.copyfileobj(os.fdopen(descriptor, "rb", closefd=False), target, _CHUNK)
        finally:
            self._copying.release()
        self.is_untouched = False
        return number

    def _have_base(self, here: Bookmark) -> None:
        if here.log == 0 and self.is_untouched and not self._files.bases():
            self._files.make_folder()
            with self._files.new_file(self._files.base(0, _NO_LOG, 0)) as target:
                target.write(self._tools.template())

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            raise StorageError(self._refusal)


def _next(salts: str) -> str:
    return LogHeader(0, 0, salts).next_salt
