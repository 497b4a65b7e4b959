"""Database files: what they say of themselves, and copies of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from edgeagents.objects.alarms import kept_alarm
from edgeagents.objects.disk import sync_file
from edgeagents.objects.whole_files import WholeFiles
from edgeagents.state_folder.stored_agent import facets_of

__all__ = ["Databases"]

# What belongs to the place that a database is in, and not to what it holds.
_FORGET_PLACE: Final = "DELETE FROM _cf_METADATA WHERE key IN ('owner', 'restores', 'name')"
_PUT_NAME: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES ('name', ?)"
_GET: Final = "SELECT value FROM _cf_METADATA WHERE key = ?"


class Databases:
    """Reads and copies database files, whether a server has them open or not."""

    def __init__(self) -> None:
        self._files = WholeFiles()
        # Two libraries do not see each other's locks where they are in one process, and bindings use this one.
        self._files_of_bindings = WholeFiles("sqlite3")

    def name(self, path: Path) -> str | None:
        """Return the name of the object or facet, if it has one."""
        return self._metadata(path, "name")

    def alarm(self, path: Path) -> datetime | None:
        """Return when its alarm is due, if one is set."""
        value = self._metadata(path, "alarm")
        return None if value is None else kept_alarm(value)

    def _metadata(self, path: Path, key: str) -> Any:
        with self._files.beside_others(path) as driver:
            rows = driver.execute(_GET, (key,)).fetchall()
        return rows[0][0] if rows else None

    def fault(self, path: Path) -> str | None:
        """Return what is wrong with a database that nobody has open, or None."""
        return self._files.check(path)

    def copy(self, source: Path, target: Path, while_held: Callable[[], object]) -> None:
        """Copy a database of a binding's as of one commit; while nobody can write to it, ``while_held`` is called."""
        self._files_of_bindings.copy(source, target, while_held)

    def copy_tree(self, source: Path, target: Path, name: str | None) -> None:
        """Copy the database of an object and those of all facets, with no trace of where they were."""
        target.parent.mkdir(mode=0o700, exist_ok=True)
        self._files.copy(source, target)
        with self._files.alone(target) as driver:
            rows = driver.execute(_GET, ("name",)).fetchall()
            driver.execute(_FORGET_PLACE, ()).fetchall()
            kept = name if name is not None else rows[0][0] if rows else None
            if kept is not None:
                driver.execute(_PUT_NAME, (kept,)).fetchall()
        sync_file(target)
        for facet in facets_of(source):
            self.copy_tree(facet, target.with_suffix(".facets") / facet.name, None)
