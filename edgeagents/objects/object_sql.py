"""Running the SQL of an object's code: what it may say, what is known of it, what it gives.

What a text says is found out when it runs for the first time; after that it is known until the schema changes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

from edgeagents.errors import SqlError
from edgeagents.objects.authorizer import INTERNAL
from edgeagents.objects.row_dicts import row_dicts
from edgeagents.objects.sql_errors import NO_TRANSACTION_STATEMENTS, NOT_AUTHORIZED, too_many_rows
from edgeagents.objects.sql_text import first_keyword, foreign_keys_setting, split
from edgeagents.objects.sqlite_driver import Driver, DriverCursor, Parameters
from edgeagents.objects.sqlite_session import Session

__all__ = ["KnownSql", "ObjectSql", "Result"]

_TRANSACTION_KEYWORDS: Final = frozenset({"BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT"})
_KNOWN: Final = 1_000
_SPARE: Final = 4


class KnownSql:
    """What is known of a text of SQL that was run before, while the connection and its schema stay what they are."""

    __slots__ = (
        "after_two",
        "as_dict",
        "as_dicts",
        "columns",
        "driver",
        "is_lasting",
        "is_readonly",
        "session",
        "sql",
        "statement",
    )

    def __init__(
        self,
        session: Session,
        driver: Driver,
        sql: str,
        statement: str,
        columns: tuple[str, ...],
        *,
        is_readonly: bool,
        is_lasting: bool,
    ) -> None:
        self.session, self.driver, self.sql, self.statement, self.columns = session, driver, sql, statement, columns
        self.is_readonly = is_readonly
        self.is_lasting = is_lasting
        """Whether it is compiled once, and not each time that it runs."""
        self.as_dict, self.as_dicts = row_dicts(columns)
        most = session.limits.sql_rows
        self.after_two = None if most is None else max(most - 1, 0)
        """How many rows are fetched at once after the first two, which is one too many."""

    def rows_from(self, first: Any, second: Any, cursor: DriverCursor) -> list[Any]:
        """Return the first two rows and all that are left, unless they are more than may be fetched at once."""
        rows = [first, second, *islice(cursor, self.after_two)]
        most = self.session.limits.sql_rows
        if most is not None and len(rows) > most:
            cursor.close()
            raise too_many_rows(self.sql, most)
        return rows


class Result:
    """What an object's statement gave: rows that were fetched already, or a cursor that stands at the first one.

    Whoever makes it sets what it has: an ``__init__`` would take as long as all else.
    """

    __slots__ = ("cursor", "given", "known", "rows", "rows_written")

    known: KnownSql
    """What is known of the statement that gave it."""
    cursor: DriverCursor | None
    rows: list[Any] | None
    given: int
    """How many of the rows were handed out."""
    rows_written: int
    """Rows that the statements inserted, changed or deleted, by foreign keys and triggers too."""

    def next_row(self) -> tuple[Any, ...]:
        """Return the next row as a tuple. Raises StopIteration at the end."""
        cursor = self.cursor
        if cursor is None:
            if self.rows is None or self.given >= len(self.rows):
                raise StopIteration
            row = self.rows[self.given]
        else:
            session = self.known.session
            session.lock.acquire()
            try:
                session.work += 1
                row = next(cursor)
            except StopIteration:
                self.cursor = None
                if not session.spare:
                    session.spare.append(cursor)
                raise
            except session.driver.errors as error:
                self.cursor = None
                raise session.explain(error, self.known.sql) from error
            finally:
                session.lock.release()
        self.given += 1
        return row

    def left_rows(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left as tuples. Raises ``SqlLimitError`` when they are more than may be."""
        cursor = self.cursor
        if cursor is None:
            rows = [] if self.rows is None else self.rows[self.given :]
        else:
            self.cursor = None
            session = self.known.session
            session.lock.acquire()
            try:
                session.work += 1
                rows: list[Any] = []
                # Most statements give one row, and a list of it is made fastest so.
                first = cursor.fetchone()
                if first is not None:
                    second = cursor.fetchone()
                    rows = [first] if second is None else self.known.rows_from(first, second, cursor)
                if not session.spare:
                    session.spare.append(cursor)
            except session.driver.errors as error:
                raise session.explain(error, self.known.sql) from error
            finally:
                session.lock.release()
        self.given += len(rows)
        return rows

    def close(self) -> None:
        """Forget the rows that are left."""
        if self.cursor is not None:
            with self.known.session.lock:
                self.cursor.close()
            self.cursor = None
        self.rows = None


R = TypeVar("R", bound=Result)


class ObjectSql:
    """Runs the SQL of an object's code in ``session``."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, sql: str, parameters: Parameters) -> Result:
        """Run one statement or several; the parameters and the result are the last one's.

        What only reads stands at its first row and is read on demand, anything else is done when this returns.
        """
        session = self._session
        with session.lock:
            known = session.known.get(sql)
            if known is None:
                return self.run_first(sql, parameters, Result)
            session.work += 1
            driver = known.driver
            if not session.has_begun:
                session.begin(driver)
            result = Result()
            result.known, result.given, before = known, 0, driver.total_changes()
            try:
                cursor = driver.execute(known.statement, parameters)
                result.cursor = cursor if known.is_readonly else None
                result.rows = None if known.is_readonly else cursor.fetchall()
            except driver.errors as error:
                raise session.explain(error, sql) from error
            if not session.is_writing and driver.is_writing():
                session.note_write()
            result.rows_written = driver.total_changes() - before
            return result

    def run_first(self, sql: str, parameters: Parameters, kind: type[R]) -> R:
        """Run SQL of which nothing is known yet, and return a result of this ``kind``. ``lock`` is held."""
        session = self._session
        session.work += 1
        driver = session.open_driver or session.connect()
        statements = split(sql, driver.is_complete)
        if not statements:
            raise SqlError("SQL code did not contain a statement.", sql)
        offset, last = statements.pop()
        written = 0
        for start, statement in statements:
            before = self._run_one(driver, sql, statement, start, None, Result)
            before.left_rows()
            written += before.rows_written
        result = self._run_one(driver, sql, last, offset, parameters, kind)
        result.rows_written += written
        if not statements and result.known.is_lasting and len(parameters) <= session.limits.sql_parameters:
            if len(session.known) >= _KNOWN:
                session.known.clear()
            session.known[sql] = result.known
        return result

    def _run_one(
        self, driver: Driver, sql: str, statement: str, start: int, parameters: Parameters | None, kind: type[R]
    ) -> R:
        session = self._session
        result = kind()
        result.given = result.rows_written = 0
        result.cursor = result.rows = None
        keyword = first_keyword(statement)
        if keyword in _TRANSACTION_KEYWORDS:
            raise SqlError(NO_TRANSACTION_STATEMENTS, sql)
        if keyword == "VACUUM":
            raise SqlError(NOT_AUTHORIZED, sql)
        enforced = foreign_keys_setting(statement) if keyword == "PRAGMA" else None
        if enforced is not None:
            session.is_pinned = session.is_pinned or not enforced
            session.enforce_foreign_keys(enforced)
            result.known = KnownSql(session, driver, sql, statement, (), is_readonly=True, is_lasting=False)
            return result
        if not session.has_begun:
            session.begin(driver)
        authorizer = session.authorizer
        authorizer.mentions_internal = mentions_internal = INTERNAL in statement.lower()
        # Its program is shown, not run, so SQLite does not see that it was compiled for a schema that is no more, and
        # follows pointers to what is no more.
        is_shown = keyword == "EXPLAIN"
        keep = not (mentions_internal or session.is_stale or is_shown)
        before = driver.total_changes()
        try:
            cursor, columns, is_readonly = driver.execute_first(statement, parameters or (), keep=keep)
            if is_readonly:
                result.cursor = cursor
            else:
                result.rows = cursor.fetchall()
        except driver.errors as error:
            raise session.explain(error, sql, start, is_last=parameters is not None) from error
        finally:
            authorizer.mentions_internal = False
        if not session.is_writing and driver.is_writing():
            session.note_write()
        result.rows_written = driver.total_changes() - before
        session.has_compiled = session.has_compiled or bool(columns)
        result.known = KnownSql(
            session,
            driver,
            sql,
            statement,
            columns,
            is_readonly=is_readonly,
            is_lasting=not (mentions_internal or is_shown),
        )
        return result

    # What it may call

    def create_function(self, name: str, count: int, fn: Callable[..., Any] | None, *, deterministic: bool) -> None:
        """Make ``fn``, with ``count`` arguments, callable in the object's SQL."""
        session = self._session
        with session.lock:
            session.is_pinned = True
            session.driver.create_function(name, count, fn, deterministic)
            session.authorizer.functions.add(name.lower())

    def create_aggregate(self, name: str, count: int, factory: Callable[[], Any] | None) -> None:
        """Make a class with ``step`` and ``finalize`` callable in the object's SQL."""
        session = self._session
        with session.lock:
            session.is_pinned = True
            session.driver.create_aggregate(name, count, factory)
            session.authorizer.functions.add(name.lower())

    def create_collation(self, name: str, fn: Callable[[str, str], int] | None) -> None:
        """Make ``fn`` usable after COLLATE in the object's SQL."""
        session = self._session
        with session.lock:
            session.is_pinned = True
            session.driver.create_collation(name, fn)

    # What it has made

    @contextmanager
    def without_foreign_keys(self) -> Generator[None]:
        """Let tables go in any order, whatever refers to them."""
        session = self._session
        enforces = bool(session.fetch("PRAGMA foreign_keys /* _cf_ */")[0][0])
        if enforces:
            session.enforce_foreign_keys(False)
        try:
            yield
        finally:
            if enforces:
                session.enforce_foreign_keys(True)

    def drop_all(self) -> None:
        """Drop what SQL has made: all tables but our own, views, triggers, indexes."""
        with self._session.lock:
            self._drop("type IN ('view', 'trigger')")
            self._drop("type = 'table' AND sql LIKE 'CREATE VIRTUAL%'")
            self._drop("type = 'table'")

    def _drop(self, which: str) -> None:
        entries = self._session.fetch(
            f"SELECT type, name FROM sqlite_schema WHERE {which} "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"
        )
        for kind, name in entries:
            quoted = name.replace('"', '""')
            self._session.fetch(f'DROP {kind} IF EXISTS "{quoted}" /* _cf_ */')
