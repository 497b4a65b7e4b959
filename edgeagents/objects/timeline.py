"""The history of one object's database: what it takes to restore it as it was after any commit of the last weeks.

SQLite's write-ahead log is the history. Each commit stands in it; what is lost is only what a log held that was written
over. So before a log is moved into the database, which is after some thousand pages, it is copied into a folder beside
the file. A state is restored from a copy of the database as it was before a log (a *base*), that log, and those that
came after it, up to the frame of the commit that is wanted; the last one may be the log that is in use.

    <digits>.history/<log>-<salts>-<frames>.base   the database before the log, of which so many frames may be missing
    <digits>.history/<log>-<salts>.log             the frames of a log, compressed
    <digits>.history/times                         when the database was in which state, a line each
    <digits>.history/restore.sqlite                what the object begins with at its next start

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
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol
from weakref import WeakValueDictionary

from edgeagents.errors import ConfigError, StorageError
from edgeagents.objects.bookmarks import ORIGIN, Bookmark
from edgeagents.objects.disk import sync_file, sync_folder
from edgeagents.objects.write_ahead_log import LogHeader, count_frames, frames_end, is_commit, log_path, read_header

__all__ = ["DEFAULT_HISTORY", "History", "Timeline", "history_folder"]

_NO_LOG: Final = ORIGIN.salts
_RESOLUTION: Final = 1.0
"""Seconds between two times that are noted while writes go on."""
_TIMES_BYTES: Final = 256 * 1024
_THINNED_AFTER: Final = 3_600.0
_THINNED_TO: Final = 60.0
_REST: Final = 30.0
_COMPRESSION: Final = 1
_CHUNK: Final = 1024 * 1024

_log = logging.getLogger("edgeagents.storage")
_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()


@dataclass(frozen=True)
class History:
    """How much of the past is kept of each database, so that it can be restored as it was.

    ``days`` is how far bookmarks reach back, ``bytes`` what the history of one database may take on disk: when it
    would be more, the oldest is given up, and a database that is larger itself has no history.
    """

    days: float = 30.0
    bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        if not self.days > 0 or not self.bytes > 0:
            raise ConfigError("History keeps more than nothing: days and bytes are above 0. history=None turns it off.")


DEFAULT_HISTORY: Final = History()


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


class _Live(NamedTuple):
    log: int
    salts: str
    page_size: int


class _Base(NamedTuple):
    log: int
    salts: str
    frames: int
    path: Path


class _Log(NamedTuple):
    log: int
    salts: str
    path: Path


class _Kept(NamedTuple):
    """How much of which log was copied."""

    salts: str
    end: int


class _Time(NamedTuple):
    when: float
    bookmark: Bookmark


def history_folder(database: Path) -> Path:
    """Return where the history of the database at this path is."""
    return database.with_suffix(".history")


class Timeline:
    """The history of the database at ``path``.

    ``lock`` is held while anything is done with it, and taken before the database's own lock where both are needed. No
    checkpoint runs without it. ``frames`` is everywhere the number of frames of the log that are committed.
    """

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
        self._live: _Live | None = None
        self._is_moved = False
        self._kept: _Kept | None = None
        self._frames = 0
        self._found: tuple[float, int] | None = None
        self._touched: tuple[float, int] | None = None
        self._last: _Time | None = None
        self._changed: float | None = None
        self._noted = 0.0
        self._is_over = False
        self._copying = threading.Lock()
        self._held: list[int] = []
        self._refusal: str | None = None
        self._rests_until = 0.0

    @cached_property
    def _folder(self) -> Path:
        return history_folder(self._path)

    @cached_property
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
            self._last = _Time(found, here._replace(frames=frames))
        last = self._last
        if last is None:
            self._noted = when
        elif last.bookmark == here:
            return here
        elif when - self._noted >= _RESOLUTION:
            self._noted = when
            self._write_time(last)
        self._last, self._changed = _Time(when, here), when
        return here

    def _take_touched(self) -> None:
        touched, self._touched = self._touched, None
        live = self._live
        if touched is not None and live is not None:
            when, frames = touched
            self._last, self._changed = _Time(when, Bookmark(self.restores, live.log, frames, live.salts)), when

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
            self._write_time(last)

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
            path = self._path_of_log(here.log, here.salts)
            with self._log_path.open("rb") as source:
                source.seek(start)
                if start:
                    with path.open("ab") as target:
                        _pack(source, end - start, target)
                else:
                    self._folder.mkdir(mode=0o700, exist_ok=True)
                    with self._new_file(path) as target:
                        _pack(source, end, target)
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

    def _look(self, frames: int) -> _Live:
        header = self._header()
        salts = _NO_LOG if header is None else header.salts
        live = self._live
        if live is None or live.salts != salts:
            number = self._number(header)
            if number is None:
                number = self._begin_anew(salts, 0 if header is None else frames)
            live = self._live = _Live(number, salts, 0 if header is None else header.page_size)
            self._is_moved = False
        return live

    def at(self, when: float, frames: int) -> Bookmark:
        """Return the bookmark of the state at ``when``, to the second."""
        here, last = self.here(frames), self._last
        now = self._now()
        if when >= now or (last is not None and last.bookmark == here and when >= last.when):
            return here
        bases, times = self._bases(), list(self._times())
        first = bases[0] if bases else None
        if when < now - self._settings.days * 86_400:
            raise StorageError(f"The history is kept for {self._settings.days:g} days: History(days=...).")
        if last is not None:
            times.append(last)
        if self._found is not None:
            times.append(_Time(self._found[0], here._replace(frames=self._found[1])))
        known = [time for time in times if time.when <= when and _is_from(time.bookmark, first)]
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
        for line in self._lines():
            kind, *words = line.split(" ")
            if kind == "restored" and words[0] == str(bookmark.restores):
                return Bookmark.parse(words[1])
        raise _not_kept(bookmark)

    def build(self, bookmark: Bookmark, target: Path) -> None:
        """Make at ``target`` the database as it was. Raises ``StorageError`` when that state is not kept."""
        for remains in (target, log_path(target)):
            remains.unlink(missing_ok=True)
        bases = [
            base
            for base in self._bases()
            if base.log < bookmark.log or (base.log == bookmark.log and base.frames <= bookmark.frames)
        ]
        if bases:
            base = bases[-1]
            shutil.copyfile(base.path, target)
        elif bookmark.log == 0 and self.is_untouched:
            base = None
            target.write_bytes(self._tools.template())
        else:
            raise _not_kept(bookmark)
        target.chmod(0o600)
        for number in range(base.log if base is not None else 0, bookmark.log + 1):
            is_last = number == bookmark.log
            if is_last and not bookmark.frames:
                continue
            data = self._log_of(number, bookmark if is_last else None)
            log_path(target).write_bytes(data)
            self._tools.absorb_log(target)
        fault = self._tools.check(target)
        if fault is not None:
            target.unlink()
            raise StorageError(f"The history of {self._path} is damaged at the bookmark {bookmark}: {fault}")

    # Restoring

    @property
    def restore_path(self) -> Path:
        """What the database is to be replaced with at the next start, if that is there."""
        return self._folder / "restore.sqlite"

    def has_restore(self) -> bool:
        """Whether the database is to be replaced."""
        stem, _ = os.path.splitext(self._path)
        return os.path.exists(f"{stem}.history/restore.sqlite")

    def prepare_restore(self, bookmark: Bookmark, finish: Callable[[Path], None]) -> None:
        """Have the database replaced at the next start. ``finish`` is given what it is replaced with."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        made = self._folder / "restore.new"
        self.build(bookmark, made)
        finish(made)
        sync_file(made)
        os.replace(made, self.restore_path)
        sync_folder(self._folder)
        sync_folder(self._path.parent)

    def cancel_restore(self) -> None:
        """Have the database go on as it is."""
        self.restore_path.unlink(missing_ok=True)

    def about_to_restore(self, frames: int) -> None:
        """Remember where the database stands just before it is replaced."""
        self.write_down(frames)
        self._write_line(f"restored {self.restores} {self.here(frames)}", is_synced=True)

    def restored(self, restores: int, frames: int) -> None:
        """The database was replaced, in one commit."""
        self.restores = restores
        self.note(frames)
        self.restore_path.unlink(missing_ok=True)

    # Bounds

    def prune(self) -> None:
        """Give up what is older than the settings allow, or more."""
        bases, logs = self._bases(), self._logs()
        if len(logs) < 2 or not bases:
            return
        now = self._now()
        sizes: dict[Path, int] = {}
        for path in self._folder.iterdir():
            facts = path.stat()
            if path.suffix[1:].isdigit() and facts.st_mtime < now - 86_400:
                path.unlink()  # A process died over it.
            else:
                sizes[path] = facts.st_size
        total, oldest = sum(sizes.values()), logs[0].path.stat().st_mtime
        age = self._settings.days * 86_400
        # Not for every log: each time the base is copied.
        if total <= self._settings.bytes and oldest >= now - 1.25 * age:
            return
        given_up: list[_Log] = []
        for log in logs[:-1]:
            if log.path.stat().st_mtime >= now - age and total <= 0.75 * self._settings.bytes:
                break
            total -= sizes[log.path]
            given_up.append(log)
        self._roll_forward([base for base in bases if base.log <= given_up[-1].log], given_up, logs)
        self._thin(now, is_forced=True)
        if sum(path.stat().st_size for path in self._folder.iterdir()) > self._settings.bytes:
            self.give_up(f"it is larger than History(bytes={self._settings.bytes})")

    def give_up(self, why: str) -> None:
        """Have no history from now on, until the database is opened the next time."""
        self._refusal = f"There is no history of the database {self._path}: {why}."
        _log.warning("%s", self._refusal)
        for path in (*(base.path for base in self._bases()), *(log.path for log in self._logs())):
            path.unlink(missing_ok=True)
        (self._folder / "times").unlink(missing_ok=True)

    def _roll_forward(self, bases: list[_Base], given_up: list[_Log], logs: list[_Log]) -> None:
        """Make the base of the log after those that are given up."""
        after = next(log for log in logs if log.log > given_up[-1].log)
        if not any(base.log == after.log for base in self._bases()):
            path = self._folder / f"{after.log:08x}-{after.salts}-{0:08x}.base"
            made = self._folder / "base.new"
            self.build(Bookmark(0, after.log, 0), made)
            sync_file(made)
            os.replace(made, path)
            sync_folder(self._folder)
        for path in (*(base.path for base in bases), *(log.path for log in given_up)):
            path.unlink()

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
        bases, logs = self._bases(), self._logs()
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
        known = [ORIGIN.log, *(base.log for base in self._bases()), *(log.log for log in self._logs())]
        known += [time.bookmark.log for time in self._times()]
        number = max(known) + 1
        if self._path.stat().st_size > self._settings.bytes:
            self.give_up(f"it is larger than History(bytes={self._settings.bytes})")
            self._check_refusal()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with self._guard:
            if self._is_over:
                raise StorageError("This object's storage is closed: the object has left memory.")
            # Whoever closes any descriptor of the file drops SQLite's locks, so this one is closed after SQLite's.
            descriptor = os.open(self._path, os.O_RDONLY)
            self._held.append(descriptor)
            self._copying.acquire()
        try:
            with self._new_file(self._folder / f"{number:08x}-{salts}-{frames:08x}.base") as target:
                shutil.copyfileobj(os.fdopen(descriptor, "rb", closefd=False), target, _CHUNK)
        finally:
            self._copying.release()
        self.is_untouched = False
        return number

    def _have_base(self, here: Bookmark) -> None:
        if here.log == 0 and self.is_untouched and not self._bases():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with self._new_file(self._folder / f"{0:08x}-{_NO_LOG}-{0:08x}.base") as target:
                target.write(self._tools.template())

    def _log_of(self, number: int, bookmark: Bookmark | None) -> bytes:
        """Return the log with this number, up to the frame that ``bookmark`` names."""
        live = self._live
        if live is not None and live.log == number and not self._is_moved:
            salts, data = live.salts, self._log_path.read_bytes()
        else:
            found = [log for log in self._logs() if log.log == number]
            if not found:
                raise _not_kept(bookmark or Bookmark(0, number, 0))
            salts, data = found[0].salts, _unpack(found[0].path.read_bytes())
        page_size = int.from_bytes(data[8:12], "big")
        frames = count_frames(data, page_size)
        if bookmark is None:
            # The last time that was written down for a log is that of its end.
            noted = [time.bookmark.frames for time in self._times() if time.bookmark.log == number]
            if frames < max(noted, default=0) or not is_commit(data, page_size, frames):
                raise StorageError(f"The history of {self._path} is damaged: a part of the log {number} is missing.")
            return data
        if salts != bookmark.salts or frames < bookmark.frames or not is_commit(data, page_size, bookmark.frames):
            raise StorageError(f"The bookmark {bookmark} is not one of this object's database.")
        return data[: frames_end(page_size, bookmark.frames)]

    def _bases(self) -> list[_Base]:
        found: list[_Base] = []
        for path in self._entries(".base"):
            log, salts, frames = path.stem.split("-")
            found.append(_Base(int(log, 16), salts, int(frames, 16), path))
        return sorted(found)

    def _logs(self) -> list[_Log]:
        found: list[_Log] = []
        for path in self._entries(".log"):
            log, salts = path.stem.split("-")
            found.append(_Log(int(log, 16), salts, path))
        return sorted(found)

    def _entries(self, suffix: str) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if path.suffix == suffix]
        except FileNotFoundError:
            return []

    def _path_of_log(self, number: int, salts: str) -> Path:
        return self._folder / f"{number:08x}-{salts}.log"

    @contextlib.contextmanager
    def _new_file(self, path: Path) -> Generator[BinaryIO]:
        """Write a file that is there whole, and on disk, or not at all."""
        temporary = path.with_suffix(f".{os.getpid()}")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(self._folder)

    # Times

    def _write_time(self, time: _Time) -> None:
        self._write_line(f"time {time.when:.3f} {time.bookmark}")

    def _write_line(self, line: str, *, is_synced: bool = False) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / "times"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
            if is_synced:
                os.fsync(descriptor)
            is_long = os.fstat(descriptor).st_size > _TIMES_BYTES
        finally:
            os.close(descriptor)
        if is_synced:
            sync_folder(self._folder)
        if is_long:
            self._thin(self._now())

    def _lines(self) -> list[str]:
        try:
            return (self._folder / "times").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _times(self) -> Iterator[_Time]:
        for line in self._lines():
            kind, *words = line.split(" ")
            if kind == "time" and len(words) == 2:
                # The last line may be torn.
                with contextlib.suppress(ValueError, StorageError):
                    yield _Time(float(words[0]), Bookmark.parse(words[1]))

    def _thin(self, now: float, *, is_forced: bool = False) -> None:
        """Keep fewer of the times that passed long ago, and none of those that are not kept any more."""
        lines = self._lines()
        first = next(iter(self._bases()), None)
        kept: list[str] = []
        before = 0.0
        for line in lines:
            kind, *words = line.split(" ")
            try:
                bookmark = Bookmark.parse(words[-1])
                when = float(words[0]) if kind == "time" else now
            except (ValueError, IndexError, StorageError):
                continue
            if not _is_from(bookmark, first):
                continue
            if kind == "time":
                if now - when > _THINNED_AFTER and when - before < _THINNED_TO:
                    continue
                before = when
            kept.append(line)
        if is_forced or len(kept) < 0.75 * len(lines):
            with self._new_file(self._folder / "times") as file:
                file.write("".join(f"{line}\n" for line in kept).encode())

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            raise StorageError(self._refusal)


def _is_from(bookmark: Bookmark, base: _Base | None) -> bool:
    return base is None or (bookmark.log, bookmark.frames) >= (base.log, base.frames)


def _next(salts: str) -> str:
    return LogHeader(0, 0, salts).next_salt


def _not_kept(bookmark: Bookmark) -> StorageError:
    return StorageError(f"The state at the bookmark {bookmark} is not kept any more, or never was.")


def _pack(source: BinaryIO, length: int, target: BinaryIO) -> None:
    """Append the next ``length`` bytes of ``source`` to ``target``, as a compressed stream of its own."""
    packer = zlib.compressobj(_COMPRESSION)
    while length:
        data = source.read(min(length, _CHUNK))
        if not data:
            raise OSError("The log is shorter than its commits.")
        length -= len(data)
        target.write(packer.compress(data))
    target.write(packer.flush())
    target.flush()
    os.fsync(target.fileno())


def _unpack(data: bytes) -> bytes:
    parts: list[bytes] = []
    while data:
        unpacker = zlib.decompressobj()
        parts.append(unpacker.decompress(data))
        data = unpacker.unused_data
    return b"".join(parts)
