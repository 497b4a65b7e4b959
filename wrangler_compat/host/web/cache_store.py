"""Where caches are kept: a table of responses, in the state folder of the runtime that the worker belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["MOST_BYTES", "CacheStore", "Kept"]

MOST_BYTES: Final = 512 * 1024 * 1024
"""How large one response may be."""
_MOST_TOGETHER: Final = 1024 * 1024 * 1024
_SCHEMA: Final = (
    # What is lost with the power can be made again.
    "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS responses (cache TEXT, key TEXT, expires REAL NOT NULL, size INTEGER NOT NULL, "
    "status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (cache, key))",
    "CREATE INDEX IF NOT EXISTS responses_expire ON responses (expires, size)",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A response in a cache."""

    status: int
    headers: dict[str, str]
    body: bytes


class CacheStore:
    """One cache of a runtime. Times are in seconds since 1970."""

    def __init__(self, runtime: Any, name: str) -> None:
        self._stores, self._clock, self._name = runtime.stores, runtime.clock, name

    @property
    def _database(self) -> Any:
        return self._stores.open("cache", "responses", _SCHEMA)

    def now(self) -> Any:
        """Return the time, as a datetime."""
        return self._clock.now()

    def get(self, key: str) -> Kept | None:
        """Return what is kept under ``key`` and is fresh."""
        row = self._database.execute(
            "SELECT status, headers, body FROM responses WHERE cache = ? AND key = ? AND expires > ?",
            (self._name, key, self.now().timestamp()),
        ).fetchone()
        return None if row is None else Kept(row[0], json.loads(row[1]), row[2])

    def put(self, key: str, kept: Kept, seconds: float) -> None:
        """Keep a response under ``key`` for some time. When there is too much, what would expire first goes first."""
        database, now = self._database, self.now().timestamp()
        fields = json.dumps(kept.headers, ensure_ascii=False)
        size = len(kept.body)
        database.execute("DELETE FROM responses WHERE expires <= ?", (now,))
        row = (self._name, key, now + seconds, size, kept.status, fields, kept.body)
        database.execute("INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        (total,) = database.execute("SELECT sum(size) FROM responses").fetchone()
        while total > _MOST_TOGETHER:
            (freed,) = database.execute(
                "DELETE FROM responses WHERE rowid = "
                "(SELECT rowid FROM responses ORDER BY expires LIMIT 1) RETURNING size"
            ).fetchone()
            total -= freed

    def delete(self, key: str) -> bool:
        """Remove what is kept under ``key``; return whether it was there."""
        row = self._database.execute(
            "DELETE FROM responses WHERE cache = ? AND key = ? RETURNING expires", (self._name, key)
        ).fetchone()
        return row is not None and row[0] > self.now().timestamp()
