"""Open databases: a process has so many files open and no more.

Each object that is awake and has stored something has a database, which is two or three file descriptors; those are the
first thing that a process with many objects runs out of. When there are as many as may be, one that was not used since
it was last looked at is closed. Its object knows nothing of it: what needs the database next opens it again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["OpenDatabases", "usual_number"]

_MOST: Final = 4096
_LEAST: Final = 16
_UNKNOWN: Final = 256


class OpenDatabases:
    """The database files that are open: at most ``most`` of them, unless more are in the midst of something."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[Database, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, database: Database) -> None:
        """Count ``database``, which is about to be opened, and make room for it."""
        with self._lock:
            self._close(len(self._open) + 1 - self.most, database, spare_used=True)
            self._open[database] = None

    def discard(self, database: Database) -> None:
        """Forget ``database``: it is closed."""
        with self._lock:
            self._open.pop(database, None)

    def make_room(self, database: Database) -> bool:
        """Close all that can be closed so that ``database`` can be opened. Return whether any were."""
        with self._lock:
            return self._close(len(self._open), database, spare_used=False) > 0

    def _close(self, count: int, wanted: Database, *, spare_used: bool) -> int:
        closed = 0
        # Twice around at most: those that were used are spared the first time.
        for _ in range(2 * len(self._open)):
            if closed >= count:
                break
            database = next(iter(self._open))
            del self._open[database]
            if database is wanted:
                self._open[database] = None
            elif spare_used and database.is_used:
                database.is_used = False
                self._open[database] = None
            elif database.suspend():
                closed += 1
            else:
                self._open[database] = None
        return closed


def usual_number() -> int:
    """Return how many may be open when nobody says: three descriptors each leave most of them to connections."""
    try:
        import resource
    except ImportError:  # Windows
        return _UNKNOWN
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(_LEAST, min(soft // 8, _MOST))
