"""The past of databases that nobody has open: another content, or an earlier one, from their next start on.

What they held becomes their past, which they can be set back to in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from edgeagents.errors import StorageError, StorageUnavailable
from edgeagents.objects.history import History, history_folder
from edgeagents.objects.sqlite import Database
from edgeagents.state_folder.databases import Databases

__all__ = ["Past", "bookmark_at", "make_empty"]

_WITHOUT_END: Final = History(days=36_500, bytes=1 << 50)

Change = Callable[[Database], object]
"""Prepares what a database begins with the next time it is opened."""


class Past:
    """What databases held before, and will have held."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def opened(self, path: Path) -> AbstractContextManager[Database]:
        """Open a database as its object does, but forget nothing of its past."""
        return _opened(path, self._databases.name(path))

    def is_kept(self, path: Path) -> bool:
        """Return whether what the database holds can become its past: one that is too damaged has none."""
        if not path.exists():
            return False
        try:
            with self.opened(path) as database:
                _ = database.driver
                timeline = database.past.timeline
        except StorageUnavailable:
            raise
        except StorageError:
            return False
        return timeline is not None and (timeline.is_untouched or history_folder(path).is_dir())

    def change(self, changes: Mapping[Path, Change]) -> None:
        """Let each change prepare its database; when all have, let them begin."""
        try:
            for path, prepare in changes.items():
                with self.opened(path) as database:
                    prepare(database)
        except BaseException:
            for path in changes:
                (history_folder(path) / "restore.sqlite").unlink(missing_ok=True)
            raise
        for path in changes:
            with self.opened(path) as database:
                _ = database.driver


def make_empty(path: Path) -> None:
    """Make the database of an object that holds nothing."""
    with _opened(path, None) as database:
        _ = database.driver


def bookmark_at(database: Database, at: datetime) -> str:
    """Return the bookmark of what the database held at a time."""
    bookmark = database.past.bookmark_at(at.timestamp())
    assert bookmark is not None, "nobody else writes"
    return bookmark


@contextmanager
def _opened(path: Path, name: str | None) -> Generator[Database]:
    database = Database.open(path)
    if name is not None:
        database.set_identity(name)
    database.past.keep(_WITHOUT_END, time.time)
    try:
        yield database
    finally:
        database.close()
