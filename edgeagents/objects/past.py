"""The past of an object's database, as the database sees it: bookmarks of its states, and the way back to one.

How a state is kept and built again is told in ``timeline``. Here is what asks the connection for it, and what replaces
the database's content when it is opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeagents.errors import StorageError
from edgeagents.objects import disk, new_database
from edgeagents.objects.bookmarks import ORIGIN, Bookmark
from edgeagents.objects.history import History
from edgeagents.objects.own_tables import GET_METADATA, PUT_METADATA
from edgeagents.objects.sqlite_driver import Driver, DriverName
from edgeagents.objects.timeline import Timeline
from edgeagents.objects.whole_files import WholeFiles

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["Past"]

_NO_FOLDER: Final = "The past can be restored only where storage is a folder, as with Runtime(storage='state')."
_NO_HISTORY: Final = "No history is kept: history=None. With History() bookmarks can be restored."
_NO_DRIVER: Final = "Python's own sqlite3 keeps no history. Install apsw."

_log = logging.getLogger("edgeagents.storage")


class Past:
    """The past of ``database``: none before ``keep``."""

    __slots__ = ("_database", "_driver_name", "_settings", "_why_not", "timeline")

    def __init__(self, database: Database, driver_name: DriverName | None) -> None:
        self._database = database
        self._driver_name: DriverName | None = driver_name
        self._why_not = _NO_FOLDER if database.path is None else _NO_HISTORY
        self._settings: tuple[History, Callable[[], float]] | None = None
        self.timeline: Timeline | None = None
        """The history, once the file is there."""

    def keep(self, history: History | None, now: Callable[[], float]) -> None:
        """Keep what it takes to restore earlier states. Call it before anything else. ``now`` tells the time."""
        if history is not None and self._database.path is not None:
            self._settings = history, now

    def opening(self, *, is_untouched: bool) -> None:
        """The file is about to be opened; whether all that was ever written is in its log."""
        database = self._database
        if self._settings is None or database.path is None:
            return
        if self.timeline is None:
            tools = _Tools(self._driver_name)
            self.timeline = Timeline(database.path, *self._settings, tools, database.lock)
        self.timeline.is_untouched = is_untouched

    def bookmark(self) -> str | None:
        """Return the bookmark of what is committed; None while that cannot be told: try again. For threads."""
        timeline = self._begun()
        if timeline is None:
            return str(ORIGIN)
        with timeline.lock:
            here = self._here(timeline)
        return None if here is None else str(here)

    def bookmark_at(self, when: float) -> str | None:
        """The same for the state at ``when``, in seconds since 1970."""
        timeline = self._begun()
        if timeline is None:
            return str(ORIGIN)
        with timeline.lock:
            here = self._here(timeline)
            return None if here is None else str(timeline.at(when, here.frames))

    def restore_at_next_start(self, bookmark: str) -> tuple[str, bytes | None]:
        """Have the next ``Database`` at this path begin with what stood here at ``bookmark``. For threads.

        Returns the bookmark that undoes it, and the alarm that was set then, as it is kept.
        """
        timeline = self._begun()
        wanted = Bookmark.parse(bookmark)
        if timeline is None:
            if wanted != ORIGIN:
                raise StorageError(f"The bookmark {bookmark} is not one of this object's database: it has none.")
            return bookmark, None
        alarm: list[bytes] = []
        with timeline.lock:
            if self._here(timeline) is None:
                raise StorageError("The database is being written just now. Try again.")
            actual = timeline.actual(wanted)
            if actual is None:
                timeline.cancel_restore()
            else:
                timeline.prepare_restore(actual, lambda made: alarm.extend(self._prepare_restored(made, timeline)))
        return str(Bookmark.before_restore(timeline.restores)), alarm[0] if alarm else None

    def replace_at_next_start(self, content: Path) -> None:
        """Have the next ``Database`` at this path begin with what the database file ``content`` holds. For threads.

        What stands here now becomes a part of the past.
        """
        timeline = self._begun()
        if timeline is None:
            raise StorageError("There is no database of this object yet, so there is nothing to replace.")
        with timeline.lock:
            if self._here(timeline) is None:
                raise StorageError("The database is being written just now. Try again.")
            timeline.prepare_replacement(content, lambda made: self._prepare_restored(made, timeline))

    def _begun(self) -> Timeline | None:
        """Return the history, None when nothing was ever written. Raises ``StorageError`` when none is kept."""
        with self._database.lock:
            if self._settings is not None and self._database.exists:
                _ = self._database.driver
        if self._settings is None:
            raise StorageError(self._why_not)
        return self.timeline

    def _here(self, timeline: Timeline) -> Bookmark | None:
        """Return where the database stands, or None. The timeline's lock is held, so that the log is not moved."""
        database = self._database
        driver = database.open_driver
        if driver is None:
            return None
        if not timeline.is_moved:
            return timeline.note(driver.frames)
        with database.lock:
            if database.in_transaction and timeline.is_begun_anew():
                return None
            return timeline.note(driver.frames)

    def note(self, *, is_quick: bool = False) -> None:
        """Note that the database was in this state now, unless that must wait."""
        timeline = self.timeline
        if timeline is None or not timeline.is_kept or timeline.is_resting:
            return
        if (is_quick and not timeline.is_at_hand) or not timeline.lock.acquire(blocking=False):
            return
        try:
            self._here(timeline)
        except (OSError, StorageError) as error:
            timeline.rest()
            _log.warning("The history of %s could not be written: %s", self._database.path, error)
        finally:
            timeline.lock.release()

    def _prepare_restored(self, made: Path, timeline: Timeline) -> list[bytes]:
        """Make what is restored know whose it is and how often that was done; return the alarm, if there is one."""
        with WholeFiles(self._driver_name).alone(made) as driver:
            driver.fetch_trusted(PUT_METADATA, ("restores", timeline.restores + 1))
            if self._database.identity is not None:
                driver.fetch_trusted(PUT_METADATA, ("name", self._database.identity))
            rows = driver.fetch_trusted(GET_METADATA, ("alarm",))
        return [row[0] for row in rows]

    def begin(self, driver: Driver, *, is_new: bool) -> bool:
        """The file was opened. Return whether its content was replaced just now with what was to be restored."""
        timeline = self.timeline
        if timeline is None:
            return False
        if not driver.knows_log:
            self.timeline = self._settings = None
            self._why_not = _NO_DRIVER
            return False
        driver.measure_log()
        if is_new:
            return False
        timeline.opened(driver.frames)
        if not timeline.has_restore():
            return False
        self._restore(driver, timeline)
        return True

    def _restore(self, driver: Driver, timeline: Timeline) -> None:
        prepared = timeline.restore_path
        with timeline.lock:
            with WholeFiles(self._driver_name).alone(prepared) as other:
                ((restores,),) = other.fetch_trusted(GET_METADATA, ("restores",))
                if restores > timeline.restores:
                    for (owner,) in driver.fetch_trusted(GET_METADATA, ("owner",)):
                        other.fetch_trusted(PUT_METADATA, ("owner", owner))
            if restores > timeline.restores:
                timeline.about_to_restore(driver.frames)
                driver.overwrite(str(prepared))
                driver.measure_log()
                disk.sync_if_there(f"{self._database.path}-wal")
            timeline.restored(restores, driver.frames)


class _Tools(WholeFiles):
    """What a timeline makes databases with."""

    def template(self) -> bytes:
        return new_database.template(self._module)
