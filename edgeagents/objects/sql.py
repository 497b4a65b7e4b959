"""``ctx.storage.sql``: SQL on the object's own database.

What may be said is decided by ``authorizer``, how it runs by ``object_sql``; here is what a program sees of it. Names
and the words of errors are Cloudflare's; integers stay Python's, of up to 64 bits.
"""

from __future__ import annotations

from typing import Any

from edgeagents.errors import SqlError
from edgeagents.objects.object_sql import Result
from edgeagents.objects.sqlite import Database

__all__ = ["RawIterator", "Sql", "SqlCursor"]


class Sql:
    """Runs SQL. Bindings are None, bool (as 1 or 0), int, float, str and bytes; anything else is a TypeError."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept_double_quoted_text(self) -> None:
        """Take what is in double quotes for text where no column has that name, as SQL does on Cloudflare.

        Otherwise it is an error, which tells of a name that was misspelt.
        """
        self._database.accept_double_quoted_text()

    def exec(self, query: str, *bindings: Any) -> SqlCursor:
        """Run ``query`` now, and return a cursor over the rows of its last statement.

        ``bindings`` are for the ``?`` in the last statement. Statements before it run to their end. Rows of a
        statement that only reads are read as they are asked for; what writes has written all when this returns.
        """
        # What most programs spend their time with: everything is in this one function, and nothing is asked twice.
        database = self._database
        database.lock.acquire()
        try:
            known = database.ready.get(query)
            if known is None:
                return self._first(query, bindings)
            database.work += 1
            driver, spare = known.driver, database.spare
            cursor = spare.pop() if spare else driver.cursor()
            result = SqlCursor()
            result.known, result.given, result.rows = known, 0, None
            if known.is_readonly:
                try:
                    cursor.execute(known.statement, bindings)
                except driver.errors as error:
                    raise self._told(error, query, bindings) from error
                result.cursor, result.rows_written = cursor, 0
                return result
            before = driver.total_changes()
            try:
                cursor.execute(known.statement, bindings)
                if known.columns:
                    result.rows = cursor.fetchall()
            except driver.errors as error:
                raise self._told(error, query, bindings) from error
            spare.append(cursor)
            if not database.is_writing and driver.is_writing():
                database.note_write()
            result.cursor, result.rows_written = None, driver.total_changes() - before
            return result
        finally:
            database.lock.release()

    def rows(self, query: str, bindings: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Run ``query`` as ``exec`` does, and return all rows of its last statement, each a dict."""
        database = self._database
        database.lock.acquire()
        try:
            known = database.ready.get(query)
            if known is None or (known.columns and not known.is_readonly):
                return self.exec(query, *bindings).to_array()
            database.work += 1
            driver, spare = known.driver, database.spare
            cursor = spare.pop() if spare else driver.cursor()
            try:
                cursor.execute(known.statement, bindings)
                first = cursor.fetchone()
                second = None if first is None else cursor.fetchone()
                several = None if second is None else known.rows_from(first, second, cursor)
            except driver.errors as error:
                raise self._told(error, query, bindings) from error
            spare.append(cursor)
            if not database.is_writing and driver.is_writing():
                database.note_write()
        finally:
            database.lock.release()
        if several is not None:
            return known.as_dicts(several)
        return [] if first is None else [known.as_dict(first)]

    def _first(self, query: str, bindings: tuple[Any, ...]) -> SqlCursor:
        database = self._database
        if query in database.known:
            database.begin(database.driver)
            return self.exec(query, *bindings)
        self._check_count(query, bindings)
        return database.object_sql.run_first(query, bindings, SqlCursor)

    def _told(self, error: Exception, query: str, bindings: tuple[Any, ...]) -> Exception:
        self._check_count(query, bindings)
        return self._database.explain(error, query)

    def _check_count(self, query: str, bindings: tuple[Any, ...]) -> None:
        most = self._database.limits.sql_parameters
        if len(bindings) > most:
            raise SqlError(f"too many SQL variables ({len(bindings)}; at most {most}): SQLITE_ERROR", query)

    @property
    def database_size(self) -> int:
        """The bytes in use in the database, of the object's own tables and ours."""
        return self._database.size


class SqlCursor(Result):
    """The rows of a statement, each a dict. Of columns with the same name the last one wins.

    Iterate over it once, or take ``one()`` or ``to_array()``; ``raw()`` gives tuples instead. All of them go on where
    the last one stopped. While rows are left, the tables they come from cannot be dropped.
    """

    __slots__ = ()

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, as often as they are there. They stay when there are no more rows."""
        return list(self.known.columns)

    @property
    def rows_read(self) -> int:
        """Rows that the statement has given so far. What SQLite passed over to find them does not count."""
        return self.given

    def __iter__(self) -> SqlCursor:
        return self

    def __next__(self) -> dict[str, Any]:
        return self.known.as_dict(self.next_row())

    def next(self) -> dict[str, Any] | None:
        """Return the next row, or None when there is none left."""
        return next(self, None)

    def one(self) -> dict[str, Any]:
        """Return the only row. Raises ``SqlError`` when there is none or more than one."""
        row = next(self, None)
        if row is None:
            raise SqlError("Expected exactly one result from SQL query, but got no results.", self.known.sql)
        if next(self, None) is not None:
            self.close()
            raise SqlError("Expected exactly one result from SQL query, but got multiple results.", self.known.sql)
        return row

    def to_array(self) -> list[dict[str, Any]]:
        """Return all rows that are left."""
        return self.known.as_dicts(self.left_rows())

    def raw(self) -> RawIterator:
        """Return an iterator over the rows that are left, each a tuple with a value for each column."""
        raw = RawIterator()
        raw.cursor = self
        return raw


class RawIterator:
    """The rows of a cursor as tuples."""

    __slots__ = ("cursor",)

    # Set by ``SqlCursor.raw``: an ``__init__`` would take as long as all else.
    cursor: SqlCursor

    def __iter__(self) -> RawIterator:
        return self

    def __next__(self) -> tuple[Any, ...]:
        return self.cursor.next_row()

    def to_array(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left."""
        return self.cursor.left_rows()
