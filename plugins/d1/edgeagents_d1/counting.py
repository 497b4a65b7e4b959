"""Counting: the rows that a statement has read and written, as ``meta`` tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgeagents.objects.object_sql import KnownSql
from edgeagents.objects.row_counts import Compiled, StatementWork
from edgeagents.objects.sql_text import first_keyword, split
from edgeagents.objects.sqlite import Database

__all__ = ["DEFINING", "Counter"]

DEFINING: Final = frozenset({"ALTER", "CREATE", "DROP"})
_COUNTED: Final = DEFINING | {"DELETE", "INSERT", "REPLACE", "SELECT", "UPDATE", "VALUES", "WITH"}
_KEPT: Final = 1_000


class Counter:
    """Counts the statements of a database. Each is compiled once more when it comes for the first time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[str, tuple[KnownSql, Compiled | None]] = {}
        self._compiled: Compiled | None = None
        self._work: StatementWork | None = None

    def begin(self, sql: str, parameters: Sequence[Any]) -> None:
        """Count what the statement in ``sql`` does, which runs now. ``end`` must follow, also when it fails."""
        kept = self._kept.get(sql)
        if kept is None or kept[0] is not self._database.known.get(sql):
            self._compiled = self._compile(sql, parameters)
        else:
            self._compiled = kept[1]
        if self._compiled is not None:
            self._work = work = StatementWork()
            self._database.driver.note_work(work, changed=self._compiled.writes_variously)

    def end(self) -> None:
        """Count no more."""
        if self._compiled is not None:
            self._database.driver.note_work(None)

    def counts(self, sql: str, rows: Sequence[Sequence[Any]], changes: int) -> tuple[int, int]:
        """Return the rows read and written by the statement in ``sql``, which gave ``rows`` and made ``changes``."""
        known, kept = self._database.known.get(sql), self._kept.get(sql)
        if known is not None and (kept is None or kept[0] is not known):
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[sql] = known, self._compiled
        if self._compiled is not None and self._work is not None and self._work.steps:
            return self._compiled.counts(rows, changes, self._work)
        return 0 if first_keyword(sql) == "PRAGMA" else len(rows), changes

    def _compile(self, sql: str, parameters: Sequence[Any]) -> Compiled | None:
        driver = self._database.driver
        keyword = first_keyword(sql)
        # To compile a pragma may be to do what it says.
        statements = split(sql, driver.is_complete) if keyword in _COUNTED else []
        if len(statements) != 1:
            return None
        try:
            # Compiled anew: SQLite does not see that one was compiled for another schema, and would crash.
            cursor, _, _ = driver.execute_first(f"EXPLAIN {statements[0][1]}", parameters, keep=False)
            rows = cursor.fetchall()
        except driver.errors:
            return None  # It will not run either, and that is when it is told.
        return Compiled(rows, defines=keyword in DEFINING)
