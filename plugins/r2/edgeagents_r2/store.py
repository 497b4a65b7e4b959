"""Where a bucket is kept: a table of its objects, and a file for the bytes of each.

A file is written whole under a name of its own before the table names it, and removed after the table does not name it
any more; so the table never names bytes that are not there, whenever the process ends.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edgeagents.stores import Stores

__all__ = ["BucketStore", "Bytes", "Content", "Stored"]

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS objects (key BLOB PRIMARY KEY, version TEXT NOT NULL, size INTEGER NOT NULL, "
    "etag TEXT NOT NULL, uploaded REAL NOT NULL, http TEXT NOT NULL, custom TEXT NOT NULL, checksums TEXT NOT NULL, "
    "storage_class TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, key BLOB NOT NULL, options TEXT NOT NULL, "
    "state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS parts (upload TEXT NOT NULL, number INTEGER NOT NULL, version TEXT NOT NULL, "
    "size INTEGER NOT NULL, etag TEXT NOT NULL, PRIMARY KEY (upload, number))",
)
_PIECE: Final = 256 * 1024


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


class Content:
    """The bytes of an object that is being written. You must ``keep`` or ``drop`` them."""

    def __init__(self, path: Path | None, memory: dict[str, bytes], version: str) -> None:
        self._path, self._memory, self._version = path, memory, version
        self._file = None if path is None else open(path, "xb", opener=_private)  # noqa: SIM115
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        """Add to the bytes."""
        if self._file is None:
            self._pieces.append(piece)
        else:
            self._file.write(piece)

    def keep(self) -> None:
        """The bytes are whole, and on disk when this returns."""
        if self._file is None:
            self._memory[self._version] = b"".join(self._pieces)
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def drop(self) -> None:
        """Forget the bytes."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


class Bytes:
    """The bytes of an object as they are now, whatever becomes of the object while they are read."""

    def __init__(self, path: Path | None, memory: bytes = b"") -> None:
        self._memory = memory
        self._fd = None if path is None else os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of them."""
        end = offset + length
        while offset < end and (piece := self._piece(offset, min(_PIECE, end - offset))):
            offset += len(piece)
            yield piece

    def _piece(self, offset: int, length: int) -> bytes:
        if self._fd is None:
            return self._memory[offset : offset + length]
        os.lseek(self._fd, offset, os.SEEK_SET)
        return os.read(self._fd, length)

    def __del__(self) -> None:
        fd: int | None = getattr(self, "_fd", None)
        if fd is not None:
            os.close(fd)


class BucketStore:
    """One bucket."""

    def __init__(self, stores: Stores, name: str) -> None:
        self._stores, self._name = stores, name
        self._memory: dict[str, bytes] = {}
        self._folder = stores.path("r2", name, ".objects")

    @property
    def database(self) -> sqlite3.Connection:
        """The table."""
        return self._stores.open("r2", self._name, _SCHEMA)

    def new_content(self, version: str) -> Content:
        """Begin to write the bytes of ``version``."""
        path = self._file(version)
        if path is not None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        return Content(path, self._memory, version)

    def bytes_of(self, version: str) -> Bytes:
        """Return the bytes of ``version``. Raises FileNotFoundError for one that is not there any more."""
        path = self._file(version)
        return Bytes(None, self._memory[version]) if path is None else Bytes(path)

    def forget(self, version: str) -> None:
        """Remove the bytes of ``version``."""
        path = self._file(version)
        if path is None:
            self._memory.pop(version, None)
        else:
            path.unlink(missing_ok=True)

    def get(self, key: str) -> Stored | None:
        """Return what the table has of ``key``."""
        row = self.database.execute("SELECT * FROM objects WHERE key = ?", (_key(key),)).fetchone()
        return None if row is None else _stored(row)

    def set(self, stored: Stored, only_if: Callable[[Stored | None], bool] = lambda before: True) -> bool:
        """Put ``stored`` in the place of what is under its key, and forget that one's bytes.

        Nothing is done when ``only_if`` says no to what is there, whichever process put it; returns False then.
        """
        with self._stores.transaction(self.database):
            before = self.get(stored.key)
            if not only_if(before):
                return False
            self.database.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(_key(stored.key), stored.version, stored.size, stored.etag, stored.uploaded),
                    *(json.dumps(one) for one in (stored.http, stored.custom, stored.checksums)),
                    stored.storage_class,
                ),
            )
        if before is not None:
            self.forget(before.version)
        return True

    def delete(self, key: str) -> None:
        """Remove ``key``."""
        with self._stores.transaction(self.database):
            before = self.get(key)
            self.database.execute("DELETE FROM objects WHERE key = ?", (_key(key),))
        if before is not None:
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

    def _file(self, version: str) -> Path | None:
        return None if self._folder is None else self._folder / version


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _key(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _stored(row: tuple[Any, ...]) -> Stored:
    key, version, size, etag, uploaded, http, custom, checksums, storage_class = row
    name = key.decode("utf-8", "surrogatepass")
    return Stored(
        name, version, size, etag, uploaded, json.loads(http), json.loads(custom), json.loads(checksums), storage_class
    )
