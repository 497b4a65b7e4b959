"""Where a bucket is kept: a table of its objects, and a file for the bytes of each.

A file is written whole under a name of its own before the table names it, and removed after the table does not name it
any more; so the table never names bytes that are not there, whenever the process ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edgeagents.stored_bytes import KeptBytes, NewBytes, StoredBytes
from edgeagents.stores import QUICK, Stores

__all__ = ["BucketStore", "Stored"]

_SCHEMA: Final = (
    QUICK,
    "CREATE TABLE IF NOT EXISTS objects (key BLOB PRIMARY KEY, version TEXT NOT NULL, size INTEGER NOT NULL, "
    "etag TEXT NOT NULL, uploaded REAL NOT NULL, http TEXT NOT NULL, custom TEXT NOT NULL, checksums TEXT NOT NULL, "
    "storage_class TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, key BLOB NOT NULL, options TEXT NOT NULL, "
    "state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS parts (upload TEXT NOT NULL, number INTEGER NOT NULL, version TEXT NOT NULL, "
    "size INTEGER NOT NULL, etag TEXT NOT NULL, PRIMARY KEY (upload, number))",
)


@dataclass(frozen=True, slots=True)
class Stored:
    """One object, as the table has it. ``version`` names the file of its bytes."""

    key: str
    version: str
    size: int
    etag: str
    uploaded: float
    http: dict[str, Any] = field(default_factory=dict[str, Any])
    custom: dict[str, str] = field(default_factory=dict[str, str])
    checksums: dict[str, str] = field(default_factory=dict[str, str])
    storage_class: str = "Standard"


class BucketStore:
    """One bucket."""

    def __init__(self, stores: Stores, name: str) -> None:
        self._stores, self._name = stores, name
        self._bytes = StoredBytes(stores.path("r2", name, ".objects"))

    @property
    def database(self) -> sqlite3.Connection:
        """The table."""
        return self._stores.open("r2", self._name, _SCHEMA)

    async def kept(self) -> None:
        """Return when what was written to the table survives a loss of power."""
        await self._stores.kept("r2", self._name)

    def new_content(self, version: str) -> NewBytes:
        """Begin to write the bytes of ``version``."""
        return self._bytes.new(version)

    def bytes_of(self, version: str) -> KeptBytes:
        """Return the bytes of ``version``. Raises FileNotFoundError for one that is not there any more."""
        return self._bytes.open(version)

    def forget(self, version: str) -> None:
        """Remove the bytes of ``version``."""
        self._bytes.forget(version)

    def get(self, key: str) -> Stored | None:
        """Return what the table has of ``key``."""
        row = self.database.execute("SELECT * FROM objects WHERE key = ?", (_key(key),)).fetchone()
        return None if row is None else _stored(row)

    async def set(self, stored: Stored, only_if: Callable[[Stored | None], bool] = lambda before: True) -> bool:
        """Put ``stored`` in the place of what is under its key, and when that is kept forget that one's bytes.

        Nothing is done when ``only_if`` says no to what is there, whichever process put it; returns False then.
        """
        with self._stores.transaction(self.database):
            before = self.get(stored.key)
            if not only_if(before):
                return False
            self._put(stored)
        await self.kept()
        if before is not None:
            self.forget(before.version)
        return True

    def set_now(self, stored: Stored) -> None:
        """The same, in a transaction that waits for the disk itself."""
        self.database.execute("PRAGMA synchronous = FULL")
        try:
            with self._stores.transaction(self.database):
                before = self.get(stored.key)
                self._put(stored)
        finally:
            self.database.execute(QUICK)
        if before is not None:
            self.forget(before.version)

    def _put(self, stored: Stored) -> None:
        self.database.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(_key(stored.key), stored.version, stored.size, stored.etag, stored.uploaded),
                *(json.dumps(one) for one in (stored.http, stored.custom, stored.checksums)),
                stored.storage_class,
            ),
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove ``keys``, all or none."""
        with self._stores.transaction(self.database):
            found = [before for before in map(self.get, keys) if before is not None]
            self.database.executemany("DELETE FROM objects WHERE key = ?", [(_key(key),) for key in keys])
        await self.kept()
        for before in found:
            self.forget(before.version)

    def list(self, prefix: str, after: bytes, limit: int) -> list[Stored]:
        """Return objects in the order of the bytes of their keys, from the first one past ``after``."""
        start = _key(prefix)
        rows = self.database.execute(
            "SELECT * FROM objects WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
            # No key has a byte of 255 in it.
            (start, after, start + b"\xff", limit),
        )
        return [_stored(row) for row in rows.fetchall()]


def _key(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _stored(row: tuple[Any, ...]) -> Stored:
    key, version, size, etag, uploaded, http, custom, checksums, storage_class = row
    name = key.decode("utf-8", "surrogatepass")
    return Stored(
        name, version, size, etag, uploaded, json.loads(http), json.loads(custom), json.loads(checksums), storage_class
    )
