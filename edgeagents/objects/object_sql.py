"""Running the SQL of an object's code: what it may say, what is known of it, what it gives.

What a text says is found out when it runs for the first time; after that it is known until the schema changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from edgeagents.errors import SqlError
from edgeagents.objects.authorizer import INTERNAL
from edgeagents.objects.sql_errors import NO_TRANSACTION_STATEMENTS, NOT_AUTHORIZED
from edgeagents.objects.sql_text import first_keyword, foreign_keys_setting, split
from edgeagents.objects.sqlite_driver import Driver, DriverCursor, Parameters
from edgeagents.objects.sqlite_session import Session

__all__ = ["ObjectSql", "Result"]

_TRANSACTION_KEYWORDS: Final = frozenset({"BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT"})
_TEXTS_KEPT: Final = 1_000


class Result:
    """What an object's statement gave: rows that were fetched already, or a cursor that stands at the first one."""

    __slots__ = ("columns", "cursor", "rows", "rows_written")

    def __init__(
        self, columns: tuple[str, ...], rows: list[Any] | None, cursor: DriverCursor | None, rows_written: int
    ) -> None:
        self.columns, self.rows, self.cursor, self.rows_written = columns, rows, cursor, rows_written


class _Text:
    """What is known of a text of SQL that was run before. ``columns`` hold for one state of the schema."""

    __slots__ = ("columns", "is_readonly", "schema", "statement")

    def __init__(self, statement: str, columns: tuple[str, ...], is_readonly: bool, schema: int) -> None:
        self.statement, self.columns, self.is_readonly, self.schema = statement, columns, is_readonly, schema


class ObjectSql:
    """Runs the SQL of an object's code in ``session``."""

    __slots__ = ("_session", "_texts")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._texts: dict[str, _Text] = {}

    def forget(self) -> None:
        """Know nothing of any text any more."""
        self._texts.clear()

    def run(self, sql: str, parameters: Parameters) -> Result:
        """Run one statement or several; the parameters and the result are the last one's.

        What only reads stands at its first row and is read on demand, anything else is done when this returns.
        """
        session = self._session
        with session.lock:
            session.work += 1
            text = self._texts.get(sql)
            if text is None or text.schema != session.authorizer.schema_changes:
                return self._run_first(sql, parameters)
            driver = session.open_driver or session.connect()
            if not session.has_begun:
                session.begin(driver)
            try:
                if text.is_readonly:
                    return Result(text.columns, None, driver.execute(text.statement, parameters), 0)
                before = driver.total_changes()
                rows = driver.execute(text.statement, parameters).fetchall()
            except driver.errors as error:
                raise session.explain(error, sql) from error
            if not session.is_writing and driver.is_writing():
                session.note_write()
            return Result(text.columns, rows, None, driver.total_changes() - before)

    def _run_first(self, sql: str, parameters: Parameters) -> Result:
        driver = self._session.driver
        statements = split(sql, driver.is_complete)
        if not statements:
            raise SqlError("SQL code did not contain a statement.", sql)
        offset, last = statements.pop()
        written = 0
        for start, statement in statements:
            result, _ = self._run_one(driver, sql, statement, start, None)
            if result.cursor is not None:
                result.cursor.fetchall()
            written += result.rows_written
        result, text = self._run_one(driver, sql, last, offset, parameters)
        if text is not None and not statements:
            if len(self._texts) >= _TEXTS_KEPT:
                self._texts.clear()
            self._texts[sql] = text
        result.rows_written += written
        return result

    def _run_one(
        self, driver: Driver, sql: str, statement: str, start: int, parameters: Parameters | None
    ) -> tuple[Result, _Text | None]:
        session = self._session
        keyword = first_keyword(statement)
        if keyword in _TRANSACTION_KEYWORDS:
            raise SqlError(NO_TRANSACTION_STATEMENTS, sql)
        if keyword == "VACUUM":
            raise SqlError(NOT_AUTHORIZED, sql)
        enforced = foreign_keys_setting(statement) if keyword == "PRAGMA" else None
        if enforced is not None:
            session.is_pinned = session.is_pinned or not enforced
            session.enforce_foreign_keys(enforced)
            return Result((), [], None, 0), None
        if not session.has_begun:
            session.begin(driver)
        authorizer = session.authorizer
        authorizer.mentions_internal = mentions_internal = INTERNAL in statement.lower()
        before = driver.total_changes()
        try:
            cursor, columns, is_readonly = driver.execute_first(statement, parameters or (), keep=not mentions_internal)
            rows = None if is_readonly else cursor.fetchall()
        except driver.errors as error:
            raise session.explain(error, sql, start, is_last=parameters is not None) from error
        finally:
            authorizer.mentions_internal = False
        if not session.is_writing and driver.is_writing():
            session.note_write()
        result = Result(columns, rows, cursor if is_readonly else None, driver.total_changes() - before)
        if mentions_internal:
            return result, None
        return result, _Text(statement, columns, is_readonly, authorizer.schema_changes)

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

    def drop_all(self) -> None:
        """Drop what SQL has made: all tables but our own, views, triggers, indexes."""
        session = self._session
        with session.lock:
            enforces = bool(session.fetch("PRAGMA foreign_keys /* _cf_ */")[0][0])
            # Tables go in any order, whatever refers to them.
            if enforces:
                session.enforce_foreign_keys(False)
            try:
                self._drop("type IN ('view', 'trigger')")
                self._drop("type = 'table' AND sql LIKE 'CREATE VIRTUAL%'")
                self._drop("type = 'table'")
            finally:
                if enforces:
                    session.enforce_foreign_keys(True)

    def _drop(self, which: str) -> None:
        entries = self._session.fetch(
            f"SELECT type, name FROM sqlite_schema WHERE {which} "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"
        )
        for kind, name in entries:
            quoted = name.replace('"', '""')
            self._session.fetch(f'DROP {kind} IF EXISTS "{quoted}" /* _cf_ */')
