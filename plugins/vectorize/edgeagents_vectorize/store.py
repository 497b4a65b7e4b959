"""Where an index is kept: a table of vectors, and one row of what they have in common.

For a search all vectors are held in memory as one matrix, until something is written, by whatever process.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeagents.stores import QUICK
from edgeagents_vectorize.nearest import Matrix, Metric, matrix_of

if TYPE_CHECKING:
    from edgeagents.stores import Stores

__all__ = ["Held", "IndexStore", "Row"]

_SCHEMA: Final = (
    QUICK,
    "CREATE TABLE IF NOT EXISTS vectors (id TEXT PRIMARY KEY, namespace TEXT NOT NULL, content BLOB NOT NULL, "
    "metadata TEXT)",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
_ALL: Final = "SELECT * FROM vectors ORDER BY id"
_AT_ONCE: Final = 500
_BUSY_SECONDS: Final = 5.0
Row = tuple[str, str, bytes, str | None]
"""Id, namespace, the bytes of 32-bit floats, metadata as JSON."""


@dataclass
class Held:
    """All vectors, as a search needs them."""

    ids: list[str]
    namespaces: list[str]
    metadata: list[dict[str, Any] | None]
    matrix: Matrix


class IndexStore:
    """The vectors of one index."""

    def __init__(self, stores: Stores, name: str) -> None:
        self._stores, self._name = stores, name
        self._held: tuple[Any, Held] | None = None

    @property
    def _database(self) -> Any:
        return self._stores.open("vectorize", self._name, _SCHEMA)

    def fact(self, name: str) -> str | None:
        """Return what is noted under ``name``."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def note(self, name: str, value: str) -> None:
        """Note something about the index."""
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @property
    def dimensions(self) -> int | None:
        """How long its vectors are; None before the first, when nobody has said."""
        value = self.fact("dimensions")
        return None if value is None else int(value)

    @property
    def metric(self) -> Metric:
        """How they are compared."""
        value: Any = self.fact("metric")
        return value or "cosine"

    def count(self) -> int:
        """Return how many vectors there are."""
        return self._database.execute("SELECT count(*) FROM vectors").fetchone()[0]

    def write(self, rows: Sequence[Row], *, replaces: bool, mutation: str, now: int, dimensions: int) -> None:
        """Keep vectors, all or none. Those whose id is there already are left as they are unless it ``replaces``."""
        word = "REPLACE" if replaces else "IGNORE"
        database = self._database
        with self._stores.transaction(database):
            database.executemany(f"INSERT OR {word} INTO vectors VALUES (?, ?, ?, ?)", rows)
            database.execute("INSERT OR IGNORE INTO facts VALUES ('dimensions', ?)", (str(dimensions),))
            self._mutated(mutation, now)

    def delete(self, ids: Sequence[str], *, mutation: str, now: int) -> None:
        """Remove vectors. Those that are not there are no error."""
        database = self._database
        with self._stores.transaction(database):
            database.executemany("DELETE FROM vectors WHERE id = ?", ((one,) for one in ids))
            self._mutated(mutation, now)

    def _mutated(self, mutation: str, now: int) -> None:
        self.note("mutation", mutation)
        self.note("mutated", str(now))

    async def kept(self) -> None:
        """Return when what was written survives a loss of power."""
        await self._stores.kept("vectorize", self._name)

    def get(self, ids: Sequence[str]) -> list[Row]:
        """Return the vectors of these ids, in that order, without those that are not there."""
        marks = ", ".join("?" * len(ids))
        rows = self._database.execute(f"SELECT * FROM vectors WHERE id IN ({marks})", tuple(ids)).fetchall()
        found = {row[0]: row for row in rows}
        return [found[one] for one in dict.fromkeys(ids) if one in found]

    async def all(self) -> Held:
        """Return all vectors, in the order of their ids. Many are read in a thread."""
        database = self._database
        # The first changes with what other connections write, the second with what this one does.
        version = (database.execute("PRAGMA data_version").fetchone()[0], database.total_changes, id(database))
        if self._held is not None and self._held[0] == version:
            return self._held[1]
        path = self._stores.path("vectorize", self._name)
        if path is None or self.count() <= _AT_ONCE:
            held = _held(database.execute(_ALL).fetchall(), self.dimensions or 0)
        else:
            held = await asyncio.to_thread(_read, path, self.dimensions or 0)
        # What was written meanwhile has another version: the next search reads again.
        self._held = version, held
        return held


def _read(path: Path, dimensions: int) -> Held:
    # A connection of its own: that of the store is in use meanwhile.
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        return _held(connection.execute(_ALL).fetchall(), dimensions)


def _held(rows: Sequence[Row], dimensions: int) -> Held:
    return Held(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [None if row[3] is None else json.loads(row[3]) for row in rows],
        matrix_of([row[2] for row in rows], dimensions),
    )
