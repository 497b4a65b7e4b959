"""Moving a database's write-ahead log into the database when it has grown, after a copy for the history.

Done in a thread that waits for the disk anyway; within a commit only where nobody came to do it in time. A failure is
logged and changes nothing: what was committed stands in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from edgeagents.errors import StorageError
from edgeagents.objects.sqlite_driver import Driver
from edgeagents.objects.timeline import Timeline

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["LogMover"]

# Pages of the log (4 KiB each) from which on it is moved into the database by ``move``; and by ``move_at_once``, where
# nobody calls ``move`` or it does not get a chance.
_PAGES: Final = 1_000
_PAGES_AT_ONCE: Final = 8_000

_log = logging.getLogger("edgeagents.storage")


class LogMover:
    """Moves the log of ``database``."""

    __slots__ = ("_database", "_from")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._from = _PAGES

    @property
    def is_due(self) -> bool:
        """Whether ``move`` has something to do."""
        driver, timeline = self._database.open_driver, self._database.past.timeline
        return driver is not None and (
            driver.wal_pages >= self._from or (timeline is not None and not timeline.is_located)
        )

    def move(self) -> None:
        """Move a log that has grown into the database, and its copy into the history. Waits for the disk."""
        driver = self._database.open_driver
        if driver is None:
            return
        try:
            self._copy_and_move(driver)
        except (OSError, StorageError) as error:
            self._put_off(driver, error)
        else:
            self._from = _PAGES

    def is_due_at_once(self, driver: Driver) -> bool:
        """Whether the log is so long that the commit itself has to see to it."""
        return driver.wal_pages >= max(_PAGES_AT_ONCE, self._from)

    def move_at_once(self, driver: Driver) -> None:
        """Move the log, unless somebody is about it. The database's own lock is held."""
        timeline = self._database.past.timeline
        if timeline is not None and not timeline.lock.acquire(blocking=False):
            return
        try:
            self._move(driver, timeline)
        except (OSError, StorageError) as error:
            self._put_off(driver, error)
        finally:
            if timeline is not None:
                timeline.lock.release()

    def _copy_and_move(self, driver: Driver) -> None:
        database = self._database
        timeline = database.past.timeline
        if not self.is_due:
            return
        if timeline is None:
            with database.lock:
                if database.open_driver is driver:
                    self._move(driver, None)
            return
        with timeline.lock:
            if database.is_closed:
                return
            if driver.wal_pages < _PAGES:
                timeline.note(driver.frames)
                return
            if timeline.is_kept:
                self._copy(driver, timeline)
            with database.lock:
                if database.open_driver is driver:
                    self._move(driver, timeline)
            timeline.prune()

    def _put_off(self, driver: Driver, error: Exception) -> None:
        database = self._database
        if database.open_driver is not driver:
            return  # It was closed meanwhile.
        _log.warning("The log of %s could not be moved into the database: %s", database.path, error)
        self._from = driver.wal_pages + _PAGES
        if database.past.timeline is not None:
            database.past.timeline.rest()

    def _copy(self, driver: Driver, timeline: Timeline) -> None:
        try:
            timeline.keep(driver.frames)
        except OSError as error:
            # The history must not make a database grow for ever that could be written otherwise.
            if driver.wal_pages < _PAGES_AT_ONCE:
                raise
            timeline.give_up(f"it cannot be written: {error}")

    def _move(self, driver: Driver, timeline: Timeline | None) -> None:
        database = self._database
        if database.in_transaction or database.held or driver.wal_pages < _PAGES:
            return
        database.end_reading()
        if timeline is not None and timeline.is_kept:
            self._copy(driver, timeline)
            timeline.write_down(driver.frames)
        try:
            database.check_owner(driver)
            is_moved = driver.checkpoint()
        except driver.errors as error:
            raise StorageError(f"{error}") from error
        if timeline is not None and is_moved:
            timeline.moved(driver.frames)
