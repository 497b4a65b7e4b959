"""Storage backends: where objects' databases and the index of alarms are.

``FolderStorage`` keeps one SQLite file per object:

    <root>/objects/<namespace>/<64 hex digits>.sqlite
    <root>/alarms.sqlite

A namespace's key is made of a worker's and a class's name, an object's file is named by its id: what a user of the
application chooses is never a part of a path. An object's name is kept inside its database.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from edgeagents.objects.alarms import AlarmIndex
from edgeagents.objects.ids import ObjectId
from edgeagents.objects.sqlite import Database

__all__ = ["FolderStorage", "MemoryStorage", "StorageBackend"]


class StorageBackend(Protocol):
    """Gives each object its database. A process asks only for objects that it owns."""

    def open(self, namespace: str, object_id: ObjectId) -> Database:
        """Return the object's database, which may not exist before something is written. One at a time."""
        ...

    def release(self, database: Database, *, discard: bool) -> None:
        """Close what ``open`` returned. With ``discard`` what was not committed is lost, else there is none."""
        ...

    def alarm_index(self) -> AlarmIndex:
        """Return the index of when objects want to be woken. It outlives the process as the databases do."""
        ...

    def close(self) -> None:
        """Let go of everything. Every database was released."""
        ...


class FolderStorage:
    """SQLite files in a folder. Files are for their owner alone (0600, folders 0700)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._index: AlarmIndex | None = None

    def path(self, namespace: str, object_id: ObjectId) -> Path:
        """Return the file of the object's database, whether it is there or not."""
        return self.root / "objects" / _slug(namespace) / f"{object_id}.sqlite"

    def open(self, namespace: str, object_id: ObjectId) -> Database:
        database = Database.open(self.path(namespace, object_id))
        database.set_identity(object_id.name)
        return database

    def release(self, database: Database, *, discard: bool) -> None:
        if discard:
            database.rollback()
        database.close()

    def alarm_index(self) -> AlarmIndex:
        if self._index is None:
            self._index = AlarmIndex.open(self.root / "alarms.sqlite")
        return self._index

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None


class MemoryStorage:
    """Databases in memory, kept while this value lives: an object that is evicted finds its data again."""

    def __init__(self) -> None:
        self._databases: dict[tuple[str, ObjectId], Database] = {}
        self._index: AlarmIndex | None = None

    def open(self, namespace: str, object_id: ObjectId) -> Database:
        key = (namespace, object_id)
        if key not in self._databases:
            self._databases[key] = Database.open(None)
            self._databases[key].set_identity(object_id.name)
        return self._databases[key]

    def release(self, database: Database, *, discard: bool) -> None:
        if discard:
            database.rollback()

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


def _slug(namespace: str) -> str:
    # A worker's and a class's name are words; whatever else could come is made harmless here too.
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):02x}", namespace)
