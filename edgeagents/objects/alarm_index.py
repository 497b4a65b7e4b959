"""The index of alarms: when which object wants to be woken.

The alarm itself is the object's, in its own database. The index is a hint for the scheduler, which cannot look into
every database: it may name a time that is too early, never one that is too late. It outlives the process.

An entry is an object's, or that of a facet of it: ``facets`` are the names that lead there from the object. They are
kept in hexadecimal behind the object's id.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from edgeagents.errors import SqlError, StorageUnavailable
from edgeagents.objects.ids import ObjectId
from edgeagents.objects.own_tables import MARK
from edgeagents.objects.sqlite import Database
from edgeagents.objects.sqlite_driver import DriverName

__all__ = ["AlarmHint", "AlarmIndex", "AlarmIndexBusy", "Among", "from_ms", "to_ms"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS _cf_ALARMS (namespace TEXT, id TEXT, name TEXT, due INTEGER NOT NULL, "
    "PRIMARY KEY (namespace, id)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS _cf_ALARMS_due ON _cf_ALARMS (due)",
)

_PATIENCE: Final = {
    is_on_loop: f"PRAGMA busy_timeout = {0 if is_on_loop else 5} {MARK}" for is_on_loop in (True, False)
}

# A jurisdiction, behind a colon, is a part of its namespace.
_IS_AMONG: Final = (
    "(?1 IS NULL OR instr(?1, substr(id, 1, 2) || ',')) AND "
    "(?2 IS NULL OR instr(?2, ',' || substr(namespace, 1, instr(namespace || ':', ':') - 1) || ','))"
)


def to_ms(when: datetime) -> int:
    """Return ``when`` in milliseconds since 1970, rounded up: an alarm is never early. Naive times are local ones."""
    return -((_EPOCH - when.astimezone(UTC)) // _MILLISECOND)


def from_ms(milliseconds: int) -> datetime:
    """Return the time that is so many milliseconds after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def entry_id(object_id: ObjectId, facets: tuple[str, ...]) -> str:
    """Return what the entry of an object, or of a facet of it, is found by within the namespace."""
    return "/".join((object_id.digits, *(name.encode("utf-8", "surrogatepass").hex() for name in facets)))


@dataclass(frozen=True, slots=True)
class AlarmHint:
    """One entry."""

    namespace: str
    object_id: ObjectId
    due: datetime
    facets: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What the entry is found by."""
        return self.namespace, entry_id(self.object_id, self.facets)


@dataclass(frozen=True, slots=True)
class Among:
    """Whom one scheduler wakes: objects of these shards and of these namespaces; None stands for all."""

    shards: frozenset[int] | None = None
    namespaces: frozenset[str] | None = None

    @property
    def parameters(self) -> tuple[str | None, str | None]:
        """The two as text, for SQL to look into."""
        shards = None if self.shards is None else "".join(f"{shard:02x}," for shard in sorted(self.shards))
        namespaces = None if self.namespaces is None else f",{','.join(sorted(self.namespaces))},"
        return shards, namespaces


class AlarmIndexBusy(StorageUnavailable):
    """Another process changes the index of alarms just now. Try again."""


class AlarmIndex:
    """Any thread may call this. A change has survived the end of the process when its method returns, and the loss of
    power after ``sync``. One that cannot be made, because another process makes one, raises ``AlarmIndexBusy``: after
    about a second; where the index ``is_hasty`` after some milliseconds, and on an event loop at once.
    """

    def __init__(self, database: Database, *, is_hasty: bool = False) -> None:
        self._database, self._is_hasty = database, is_hasty
        self._waits_as_on_loop: bool | None = None
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._has_table = False
        self._changes = 0
        self._synced = 0

    @classmethod
    def open(cls, path: Path | None, *, driver: DriverName | None = None, is_hasty: bool = False) -> AlarmIndex:
        """Return the index kept at ``path``, or one in memory. Several processes may have one file open."""
        return cls(Database.open(path, driver=driver, is_shared=path is not None), is_hasty=is_hasty)

    def set(self, namespace: str, object_id: ObjectId, due: datetime, facets: tuple[str, ...] = ()) -> None:
        """Note that the object wants to be woken at ``due``, in place of what was noted before."""
        self._change(
            "INSERT INTO _cf_ALARMS VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET due = excluded.due, "
            "name = coalesce(excluded.name, name)",
            (namespace, entry_id(object_id, facets), object_id.name, to_ms(due)),
        )

    def remove(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> None:
        """Note that the object does not want to be woken."""
        if self._database.exists:
            self._change(
                "DELETE FROM _cf_ALARMS WHERE namespace = ? AND id = ?", (namespace, entry_id(object_id, facets))
            )

    def remove_facets(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> None:
        """Forget what all facets of the object want, or a facet of it and all facets of that one."""
        if self._database.exists:
            entry = entry_id(object_id, facets)
            self._change(
                # "0" follows "/".
                "DELETE FROM _cf_ALARMS WHERE namespace = ? AND (id > ? AND id < ? OR id = ?)",
                (namespace, f"{entry}/", f"{entry}0", entry if facets else None),
            )

    def remove_namespace(self, namespace: str) -> None:
        """Forget what all objects of the namespace want, and those of its jurisdictions."""
        if self._database.exists:
            self._change(
                # ";" follows ":".
                "DELETE FROM _cf_ALARMS WHERE namespace = ?1 OR namespace > ?1 || ':' AND namespace < ?1 || ';'",
                (namespace,),
            )

    def get(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...] = ()) -> datetime | None:
        """Return when the object wants to be woken, or None."""
        rows = self._read(
            "SELECT due FROM _cf_ALARMS WHERE namespace = ? AND id = ?", (namespace, entry_id(object_id, facets))
        )
        return from_ms(rows[0][0]) if rows else None

    def earliest(self, limit: int, among: Among | None = None) -> list[AlarmHint]:
        """Return the ``limit`` entries that are due first, in order, of those ``among`` which one scheduler wakes."""
        shards, namespaces = (among or Among()).parameters
        rows = self._read(
            f"SELECT namespace, id, name, due FROM _cf_ALARMS WHERE {_IS_AMONG} ORDER BY due LIMIT ?3",
            (shards, namespaces, limit),
        )
        return [_hint(*row) for row in rows]

    def doubt(self, now: datetime, among: Among | None = None) -> None:
        """The clock was set back to ``now``: have everybody woken who waits for a later time, to think again.

        Only of those ``among`` which one scheduler wakes.
        """
        if self._database.exists:
            shards, namespaces = (among or Among()).parameters
            self._change(
                f"UPDATE _cf_ALARMS SET due = ?3 WHERE due > ?3 AND {_IS_AMONG}", (shards, namespaces, to_ms(now))
            )

    def sync(self, *, anew: bool = False) -> None:
        """Return when every change before survives a loss of power. Callers that wait together are served together.

        ``anew``: also those that other processes have made, or one that is no more.
        """
        if anew:
            with self._lock:
                self._changes += 1
        wanted = self._changes
        with self._sync_lock:
            if self._synced < wanted:
                upto = self._changes
                self._database.sync()
                self._database.tidy()
                self._synced = upto

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _change(self, sql: str, parameters: tuple[object, ...]) -> None:
        with self._lock, self._whole():
            self._make_table()
            if self._is_hasty and self._waits_as_on_loop is not (is_on_loop := _is_on_loop()):
                self._database.fetch(_PATIENCE[is_on_loop])
                self._waits_as_on_loop = is_on_loop
            self._database.fetch(sql, parameters)
            self._database.commit()
            self._changes += 1

    def _read(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if not self._database.exists:
            return []
        with self._lock, self._whole():
            self._make_table()
            rows = self._database.fetch(sql, parameters)
            # Others write to the file too: a transaction that stays open would see none of it.
            self._database.end_reading()
            return rows

    @contextmanager
    def _whole(self) -> Generator[None]:
        """Leave nothing behind of what failed: the next change would be kept with it, or not at all."""
        try:
            yield
        except BaseException as error:
            self._database.rollback()
            if isinstance(error, SqlError) and error.code == "SQLITE_BUSY":
                raise AlarmIndexBusy("Another process changes the index of alarms just now.") from error
            raise

    def _make_table(self) -> None:
        if not self._has_table:
            for statement in _SCHEMA:
                self._database.fetch(statement)
                self._database.commit()
                self._database.end_reading()
            self._has_table = True


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _hint(namespace: str, entry: str, name: str | None, due: int) -> AlarmHint:
    digits, *facets = entry.split("/")
    names = tuple(bytes.fromhex(facet).decode("utf-8", "surrogatepass") for facet in facets)
    return AlarmHint(namespace, ObjectId(digits, name), from_ms(due), names)
