"""The engine: one SQLite file, and how D1 tells of what it did.

It is the database of an object, with that one's limits and errors, opened so that several processes can use it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeagents.errors import EdgeAgentsError, StorageError, StorageUnavailable
from edgeagents.group_sync import GroupSync
from edgeagents.objects import Clock
from edgeagents.objects.sql_text import first_keyword
from edgeagents.objects.sqlite import Database
from edgeagents_d1.counting import DEFINING, Counter

__all__ = ["NO_STATEMENT", "D1Error", "Engine", "Outcome"]

_LARGEST_EXACT = 2**53
NO_STATEMENT = "No SQL statements detected."


class D1Error(EdgeAgentsError):
    """D1 refused a statement, or a value. The text begins with its code, such as ``D1_ERROR``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement gave: rows as tuples, and what it did."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    meta: dict[str, Any]


class Engine:
    """One database. ``path`` is None for memory. Unless it ``is_synced`` nobody waits for the disk."""

    def __init__(self, path: Path | None, clock: Clock, *, is_synced: bool = True) -> None:
        self._database = Database.open(path, is_shared=True)
        self._database.accept_double_quoted_text()
        self._database.is_synced = is_synced and path is not None
        self._counter = Counter(self._database)
        self._clock = clock
        self._sync = GroupSync(self._database.sync, str(path)) if is_synced and path is not None else None
        self.commits = 0

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Outcome:
        """Run one statement, in a transaction of its own unless one is open."""
        database, began = self._database, self._clock.monotonic()
        try:
            driver = database.driver
            changes = driver.total_changes()
            schema = self._schema() if first_keyword(sql) in DEFINING else None
            self._counter.begin(sql, parameters)
            try:
                result = database.object_sql.run(sql, tuple(parameters))
                cursor = result.cursor
                rows = result.rows if result.rows is not None else [] if cursor is None else cursor.fetchall()
            finally:
                self._counter.end()
            changed = driver.total_changes() - changes
            last_row = driver.last_insert_rowid()
            is_changed = changed > 0 or (schema is not None and schema != self._schema())
            if not database.held:
                self._end(keep=True)
        except (StorageError, TypeError, OverflowError) as error:
            if not database.held:
                self._end(keep=False)
            raise self._explained(error, sql) from error
        rows_read, rows_written = self._counter.counts(sql, rows, changed)
        meta = {
            "served_by": "edgeagents.d1",
            "duration": (self._clock.monotonic() - began) * 1000,
            "changes": changed,
            "last_row_id": last_row,
            "changed_db": is_changed,
            "size_after": database.size,
            "rows_read": rows_read,
            "rows_written": rows_written,
        }
        self._release_reading()
        return Outcome(result.known.columns, [tuple(map(_as_d1, row)) for row in rows], meta)

    async def kept(self) -> None:
        """Return when what was committed until now survives a loss of power."""
        if self._sync is not None:
            await self._sync()

    @contextmanager
    def together(self) -> Generator[None]:
        """Keep what is written in the ``with`` block whole, or not at all when an exception leaves it."""
        database = self._database
        try:
            level = database.savepoint()
            yield
            database.release(level)
            self._end(keep=True)
        except StorageError as error:
            # The commit itself may be what failed: left open, the transaction would keep every process out.
            self._end(keep=False)
            raise self._explained(error) from error
        except BaseException:
            self._end(keep=False)
            raise

    def _end(self, *, keep: bool) -> None:
        if keep and self._database.commit():
            self.commits += 1
        elif not keep:
            self._database.rollback()

    def _schema(self) -> int:
        return self._database.fetch("PRAGMA schema_version")[0][0]

    def _explained(self, error: Exception, sql: str = "") -> D1Error:
        text = str(error)
        if text == "SQL code did not contain a statement." and not sql.strip():
            text = NO_STATEMENT
        elif isinstance(error, StorageUnavailable) and isinstance(error.__cause__, self._database.driver.errors):
            # A constraint that is looked at when all is written.
            fault = self._database.driver.explain(error.__cause__)
            extended = f" (extended: {fault.extended_code})" if fault.extended_code != fault.code else ""
            text = f"{fault.message}: {fault.code}{extended}"
        return D1Error(f"D1_ERROR: {text}")

    def _release_reading(self) -> None:
        if not self._database.held:
            self._database.end_reading()


def _as_d1(value: Any) -> Any:
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return float(value)
    if isinstance(value, float):
        # JSON has no form for what is no number, and numbers are of one kind.
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT else value
    return value
