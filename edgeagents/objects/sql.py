"""``ctx.storage.sql``: SQL on the object's own database.

What may be said is decided by ``authorizer``, how it runs by ``sqlite``; here is what a program sees of it. Names and
the words of errors are Cloudflare's; integers stay Python's, of up to 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from edgeagents.errors import SqlError
from edgeagents.objects.object_sql import Result
from edgeagents.objects.sql_errors import too_many_rows
from edgeagents.objects.sqlite import Database

__all__ = ["RawIterator", "Sql", "SqlCursor"]


class Sql:
    """Runs SQL. Bindings are None, bool (as 1 or 0), int, float, str and bytes; anything else is a TypeError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exec(self, query: str, *bindings: Any) -> SqlCursor:
        """Run ``query`` now, and return a cursor over the rows of its last statement.

        ``bindings`` are for the ``?`` in the last statement. Statements before it run to their end. Rows of a
        statement that only reads are read as they are asked for; what writes has written all when this returns.
        """
        database = self._database
        if len(bindings) > database.limits.sql_parameters:
            most = database.limits.sql_parameters
            raise SqlError(f"too many SQL variables ({len(bindings)}; at most {most}): SQLITE_ERROR", query)
        return SqlCursor(database, query, database.object_sql.run(query, bindings))

    @property
    def database_size(self) -> int:
        """The bytes in use in the database, of the object's own tables and ours."""
        return self._database.size


class SqlCursor:
    """The rows of a statement, each a dict. Of columns with the same name the last one wins.

    Iterate over it once, or take ``one()`` or ``to_array()``; ``raw()`` gives tuples instead. All of them go on where
    the last one stopped. While rows are left, the tables they come from cannot be dropped.
    """

    __slots__ = ("_columns", "_cursor", "_database", "_query", "_read", "_rows", "rows_written")

    def __init__(self, database: Database, query: str, result: Result) -> None:
        self._database, self._query = database, query
        self._columns, self._cursor = result.columns, result.cursor
        self._rows: Iterator[Any] | None = iter(result.rows) if result.rows else None
        self._read = 0
        self.rows_written = result.rows_written
        """Rows that the statements inserted, changed or deleted, by foreign keys and triggers too."""

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, as often as they are there. They stay when there are no more rows."""
        return list(self._columns)

    @property
    def rows_read(self) -> int:
        """Rows that the statement has given so far. What SQLite passed over to find them does not count."""
        return self._read

    def __iter__(self) -> SqlCursor:
        return self

    def __next__(self) -> dict[str, Any]:
        return dict(zip(self._columns, self.next_row(), strict=True))

    def next(self) -> dict[str, Any] | None:
        """Return the next row, or None when there is none left."""
        return next(self, None)

    def one(self) -> dict[str, Any]:
        """Return the only row. Raises ``SqlError`` when there is none or more than one."""
        row = next(self, None)
        if row is None:
            raise SqlError("Expected exactly one result from SQL query, but got no results.", self._query)
        if next(self, None) is not None:
            self._close()
            raise SqlError("Expected exactly one result from SQL query, but got multiple results.", self._query)
        return row

    def to_array(self) -> list[dict[str, Any]]:
        """Return all rows that are left."""
        columns = self._columns
        return [dict(zip(columns, row, strict=True)) for row in self.left_rows()]

    def raw(self) -> RawIterator:
        """Return an iterator over the rows that are left, each a tuple with a value for each column."""
        return RawIterator(self)

    def next_row(self) -> tuple[Any, ...]:
        """Return the next row as a tuple. Raises StopIteration at the end."""
        cursor = self._cursor
        if cursor is None:
            if self._rows is None:
                raise StopIteration
            row = next(self._rows)
        else:
            database = self._database
            with database.lock:
                database.work += 1
                try:
                    row = next(cursor)
                except StopIteration:
                    self._cursor = None
                    raise
                except database.driver.errors as error:
                    self._cursor = None
                    raise database.explain(error, self._query) from error
        self._read += 1
        return row

    def left_rows(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left as tuples."""
        cursor = self._cursor
        if cursor is not None:
            self._cursor = None
            database, most = self._database, self._database.limits.sql_rows
            with database.lock:
                database.work += 1
                try:
                    rows = cursor.fetchall() if most is None else list(islice(cursor, most + 1))
                except database.driver.errors as error:
                    raise database.explain(error, self._query) from error
                if most is not None and len(rows) > most:
                    cursor.close()
                    raise too_many_rows(self._query, most)
        else:
            rows = [] if self._rows is None else list(self._rows)
        self._read += len(rows)
        return rows

    def _close(self) -> None:
        if self._cursor is not None:
            with self._database.lock:
                self._cursor.close()
            self._cursor = None
        self._rows = None


class RawIterator:
    """The rows of a cursor as tuples."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: SqlCursor) -> None:
        self._cursor = cursor

    def __iter__(self) -> RawIterator:
        return self

    def __next__(self) -> tuple[Any, ...]:
        return self._cursor.next_row()

    def to_array(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left."""
        return self._cursor.left_rows()
