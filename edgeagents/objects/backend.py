"""Storage backends: where objects' databases and the index of alarms are.

``FolderStorage`` keeps one SQLite file per object:

    <root>/objects/<namespace>/<64 hex digits>.sqlite
    <root>/objects/<namespace>/<64 hex digits>.history/
    <root>/objects/<namespace>/<64 hex digits>.facets/<64 hex digits>.sqlite
    <root>/alarms.sqlite

A namespace's key is made of a worker's and a class's name, an object's file is named by its id: what a user of the
application chooses is never a part of a path. An object's name is kept inside its database.

The facets of an object have a folder beside its file, where each one's file is named by the SHA-256 of the facet's
name; the name itself is kept inside. A facet's own facets have such a folder beside that one's file, and so on. What
is in the folder of the history is told in ``history_files``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Final, Protocol

from edgeagents.objects.alarms import AlarmIndex
from edgeagents.objects.clock import Clock, SystemClock
from edgeagents.objects.history import DEFAULT_HISTORY, History, history_folder
from edgeagents.objects.ids import ObjectId
from edgeagents.objects.namespace_folders import folder_of_namespace
from edgeagents.objects.open_databases import OpenDatabases, usual_number
from edgeagents.objects.sqlite import Database

__all__ = ["FolderStorage", "MemoryStorage", "StorageBackend"]

_DIGITS: Final = re.compile("[0-9a-f]{64}")
# Of so many databases that were closed it is known that they need no sync when they are opened again.
_REMEMBERED: Final = 20_000


class StorageBackend(Protocol):
    """Gives each object its database. A process asks only for objects that it owns.

    ``facets`` are the names that lead from an object to a facet of it; without any it is the object itself.
    """

    def open(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> Database:
        """Return the database, which may not exist before something is written. One at a time."""
        ...

    def release(self, database: Database, *, discard: bool) -> None:
        """Close what ``open`` returned. With ``discard`` what was not committed is lost, else there is none."""
        ...

    def delete_facets(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> Path | None:
        """Delete the databases of a facet and of all facets below it, or of all that the object has.

        They were released. Those that are not there are no error. Returns the folder, if any, that must be synced
        for the deletion to survive a loss of power.
        """
        ...

    def alarm_index(self) -> AlarmIndex:
        """Return the index of when objects want to be woken. It outlives the process as the databases do."""
        ...

    def close(self) -> None:
        """Let go of everything. Every database was released."""
        ...


class FolderStorage:
    """SQLite files in a folder. Files are for their owner alone (0600, folders 0700).

    At most ``open_databases`` of them are open at once; by default as many as the process has descriptors for.
    """

    def __init__(
        self,
        root: Path,
        open_databases: int | None = None,
        *,
        history: History | None = DEFAULT_HISTORY,
        clock: Clock | None = None,
    ) -> None:
        self.root = root
        self._history, self._clock = history, clock or SystemClock()
        self.handles = OpenDatabases(usual_number() if open_databases is None else open_databases)
        self._index: AlarmIndex | None = None
        self._certain: dict[str, None] = {}
        self._folders: dict[str, Path] = {}

    def path(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> Path:
        """Return the file of the database, whether it is there or not."""
        folder = self._folders.get(namespace)
        if folder is None:
            folder = self._folders[namespace] = folder_of_namespace(self.root / "objects", namespace)
        if not _DIGITS.fullmatch(object_id.digits):
            raise ValueError(f"{object_id.digits!r} is not the id of an object: it has 64 hex digits.")
        path = folder / f"{object_id}.sqlite"
        for name in facets:
            path = path.with_suffix(".facets") / f"{_digest(name)}.sqlite"
        return path

    def open(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> Database:
        database = Database.open(self.path(namespace, object_id, facets))
        database.set_identity(_identity(object_id, facets))
        database.handles = self.handles
        database.root = self.root
        database.is_certain = str(database.path) in self._certain
        database.past.keep(self._history, self._timestamp)
        return database

    def _timestamp(self) -> float:
        return self._clock.now().timestamp()

    def release(self, database: Database, *, discard: bool) -> None:
        if discard:
            with database.seized():
                database.rollback()
                database.close()
        else:
            database.close()
        key = str(database.path)
        self._certain.pop(key, None)
        if database.is_certain and not discard:
            self._certain[key] = None
            if len(self._certain) > _REMEMBERED:
                del self._certain[next(iter(self._certain))]

    def delete_facets(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> Path | None:
        path = self.path(namespace, object_id, facets)
        if facets:
            # The file first: a log without its file is never read, a file without its log would be.
            for file in (path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))):
                file.unlink(missing_ok=True)
            shutil.rmtree(history_folder(path), ignore_errors=True)
        below = path.with_suffix(".facets")
        if below.exists():
            shutil.rmtree(below)
        return path.parent if path.parent.exists() else None

    def alarm_index(self) -> AlarmIndex:
        if self._index is None:
            self._index = AlarmIndex.open(self.root / "alarms.sqlite", is_hasty=True)
        return self._index

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None


class MemoryStorage:
    """Databases in memory, kept while this value lives: an object that is evicted finds its data again."""

    def __init__(self) -> None:
        self._databases: dict[tuple[str, ObjectId, tuple[str, ...]], Database] = {}
        self._index: AlarmIndex | None = None

    def open(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> Database:
        key = (namespace, object_id, facets)
        if key not in self._databases:
            self._databases[key] = Database.open(None)
            self._databases[key].set_identity(_identity(object_id, facets))
        return self._databases[key]

    def release(self, database: Database, *, discard: bool) -> None:
        if discard:
            with database.seized():
                database.rollback()

    def delete_facets(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> None:
        owner = (namespace, object_id)
        for key in [key for key in self._databases if key[:2] == owner and key[2] and key[2][: len(facets)] == facets]:
            self._databases.pop(key).close()

    def alarm_index(self) -> AlarmIndex:
        if self._index is None:
            self._index = AlarmIndex.open(None)
        return self._index

    def close(self) -> None:
        for database in self._databases.values():
            database.close()
        self._databases.clear()
        if self._index is not None:
            self._index.close()
            self._index = None


def _identity(object_id: ObjectId, facets: tuple[str, ...]) -> str | None:
    return facets[-1] if facets else object_id.name


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
