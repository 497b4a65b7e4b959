"""An object's database as a DB-API connection, for libraries that expect one, such as sqlite-utils.

It is the object's own connection, not a second one. Statements obey the rules for an object's SQL and are committed by
the output gate like all its writes; BEGIN, COMMIT and their kin make savepoints within the implicit transaction, so a
library's own transactions work and nothing is committed behind the gate's back. One that is not ended when its event
ends is undone, and the event fails. Errors are those of ``sqlite3`` too.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from edgeagents.errors import SqlError, SqlLimitError, StorageError
from edgeagents.objects.gates import Turn, current_turn
from edgeagents.objects.sql_text import first_keyword, split
from edgeagents.objects.sqlite_driver import DriverCursor, Parameters

if TYPE_CHECKING:
    from edgeagents.objects.object_sql import Result
    from edgeagents.objects.sqlite import Database

__all__ = ["Connection", "ConnectionCursor"]

_TRANSACTION: Final = re.compile(
    r"\s*(?:(?P<begin>BEGIN)\b|(?P<commit>COMMIT|END)\b|SAVEPOINT\s+(?P<savepoint>.+)"
    r"|RELEASE\s+(?:SAVEPOINT\s+)?(?P<release>.+)"
    r"|ROLLBACK(?:\s+TRANSACTION)?\s+TO\s+(?:SAVEPOINT\s+)?(?P<back_to>.+)|(?P<rollback>ROLLBACK)\b).*",
    re.IGNORECASE | re.DOTALL,
)
_CHANGES: Final = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "WITH"})


class OperationalError(SqlError, sqlite3.OperationalError):
    """A statement failed; also what libraries know from ``sqlite3``."""


class IntegrityError(SqlError, sqlite3.IntegrityError):
    """A constraint was violated; also what libraries know from ``sqlite3``."""


class Connection:
    """The connection of an object's ``Database``. ``close`` does nothing: the object owns it."""

    isolation_level = None
    row_factory = None
    text_factory = str

    def __init__(self, database: Database) -> None:
        self._database = database
        self._levels: list[tuple[str | None, int]] = []
        self._turn: Turn | None = None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction that was begun here is open. The object's implicit one is not."""
        return bool(self._open_levels())

    @property
    def total_changes(self) -> int:
        """The number of rows changed since the object woke."""
        return self._database.driver.total_changes()

    def cursor(self) -> ConnectionCursor:
        """Return a cursor to execute with."""
        return ConnectionCursor(self)

    def execute(self, sql: str, parameters: Parameters = ()) -> ConnectionCursor:
        """Run one statement, or several of which the last has the parameters."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> ConnectionCursor:
        """Run a statement once for each of ``rows``."""
        return self.cursor().executemany(sql, rows)

    def executescript(self, sql: str) -> ConnectionCursor:
        """Run several statements, among them those for transactions.

        When one of them fails, a transaction that was begun before it among them is undone.
        """
        cursor = self.cursor()
        before = len(self._open_levels())
        try:
            for _, statement in split(sql, self._database.driver.is_complete):
                cursor.execute(statement)
        except BaseException:
            self._undo(before)
            raise
        return cursor

    def commit(self) -> None:
        """End the transaction that was begun here."""
        levels = self._open_levels()
        if levels:
            level = levels[0][1]
            levels.clear()
            self._database.release(level)

    def rollback(self) -> None:
        """Undo the transaction that was begun here."""
        self._undo(0)

    def _undo(self, at: int) -> None:
        levels = self._open_levels()
        if len(levels) > at:
            level = levels[at][1]
            del levels[at:]
            self._database.rollback_to(level)
            self._database.release(level)

    def _open_levels(self) -> list[tuple[str | None, int]]:
        """Return the transactions that were begun here, without those that ended with one that they were in."""
        levels = self._levels
        while levels and levels[-1][1] > self._database.level:
            levels.pop()
        return levels

    def _begin(self, name: str | None) -> None:
        levels, turn = self._open_levels(), current_turn.get()
        if not levels and turn is not None:
            if turn.is_over:
                raise OperationalError(
                    "cannot start a transaction: SQLITE_ERROR. The event that this belongs to has ended."
                )
            self._turn, turn.at_end = turn, self._end_turn
        levels.append((name, self._database.savepoint()))

    def _end_turn(self, turn: Turn) -> StorageError | None:
        if self._turn is not turn:
            return None
        self._turn = None
        if not self._open_levels():
            return None
        self._undo(0)
        return StorageError(
            "A transaction was begun and not ended: what it wrote is undone. End it by COMMIT or ROLLBACK before the "
            "event ends, or use ctx.storage.transaction()."
        )

    def close(self) -> None:
        """Do nothing: the connection is closed when the object leaves memory."""

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Make ``func`` callable in SQL."""
        self._database.object_sql.create_function(name, narg, func, deterministic=deterministic)

    def create_aggregate(self, name: str, n_arg: int, aggregate_class: Callable[[], Any] | None) -> None:
        """Make a class with ``step`` and ``finalize`` callable in SQL."""
        self._database.object_sql.create_aggregate(name, n_arg, aggregate_class)

    def create_collation(self, name: str, callable: Callable[[str, str], int] | None) -> None:
        """Make ``callable`` usable after COLLATE."""
        self._database.object_sql.create_collation(name, callable)

    def interrupt(self) -> None:
        """Make the statement that runs now fail."""
        self._database.interrupt()

    def enable_load_extension(self, enabled: bool) -> None:
        """Refuse: an object's SQL cannot load code."""
        raise OperationalError("not authorized: SQLITE_AUTH. An object's database loads no extensions.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def run(self, sql: str, parameters: Parameters) -> tuple[Result | None, int, int | None]:
        """Run ``sql``; return its result, the count of changed rows (-1: not a change), and the last row's id."""
        keyword = first_keyword(sql)
        transaction = _TRANSACTION.fullmatch(sql) if keyword not in _CHANGES else None
        if transaction is not None:
            self._transaction(transaction)
            return None, -1, None
        database = self._database
        with database.lock:
            try:
                result = database.object_sql.run(sql, parameters)
            except SqlError as error:
                kind = IntegrityError if error.code == "SQLITE_CONSTRAINT" else OperationalError
                raise kind(str(error), error.query, error.code) from error
            if keyword not in _CHANGES or result.cursor is not None:
                return result, -1, None
            return result, database.driver.changes(), database.driver.last_insert_rowid()

    @property
    def most_rows(self) -> int | None:
        """How many rows may be fetched at once."""
        return self._database.limits.sql_rows

    def read(self, cursor: DriverCursor, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement that only reads."""
        database = self._database
        while True:
            with database.lock:
                database.work += 1
                try:
                    row = next(cursor)
                except StopIteration:
                    return
                except database.driver.errors as error:
                    told = database.explain(error, sql)
                    raise OperationalError(str(told), sql) from told
            yield row

    def _transaction(self, found: re.Match[str]) -> None:
        database = self._database
        if found["begin"]:
            if self._open_levels():
                raise OperationalError("cannot start a transaction within a transaction: SQLITE_ERROR")
            self._begin(None)
        elif found["commit"]:
            self.commit()
        elif found["rollback"]:
            self.rollback()
        elif found["savepoint"]:
            self._begin(_name(found["savepoint"]))
        else:
            name = _name(found["release"] or found["back_to"])
            names = [known for known, _ in self._open_levels()]
            if name not in names:
                raise OperationalError(f"no such savepoint: {name}: SQLITE_ERROR")
            at = len(names) - 1 - names[::-1].index(name)
            level = self._levels[at][1]
            if found["release"]:
                del self._levels[at:]
                database.release(level)
            else:
                del self._levels[at + 1 :]
                database.rollback_to(level)


class ConnectionCursor:
    """A DB-API cursor. What only reads is read on demand."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._rows: Iterator[tuple[Any, ...]] = iter(())

    def execute(self, sql: str, parameters: Parameters = ()) -> Self:
        """See ``Connection.execute``."""
        result, self.rowcount, rowid = self.connection.run(sql, parameters)
        self.lastrowid = rowid if rowid is not None else self.lastrowid
        columns = () if result is None else result.known.columns
        self.description = tuple((name, None, None, None, None, None, None) for name in columns) or None
        if result is None or result.cursor is None:
            self._rows = iter(() if result is None else result.rows or ())
        else:
            self._rows = self.connection.read(result.cursor, sql)
        return self

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Self:
        """See ``Connection.executemany``."""
        count = 0
        for parameters in rows:
            self.execute(sql, parameters)
            count += max(self.rowcount, 0)
        self.rowcount = count
        return self

    def executescript(self, sql: str) -> Self:
        """See ``Connection.executescript``."""
        self.connection.executescript(sql)
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Return the next ``size`` rows."""
        return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left. More than ``Limits.sql_rows`` raise ``SqlLimitError``."""
        most = self.connection.most_rows
        rows = list(self._rows if most is None else islice(self._rows, most + 1))
        if most is not None and len(rows) > most:
            raise SqlLimitError("The statement gives more rows than may be fetched at once.", "", "sql_rows", most)
        return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def __next__(self) -> tuple[Any, ...]:
        return next(self._rows)

    def close(self) -> None:
        """Forget the rows that are left."""
        self._rows = iter(())


def _name(text: str) -> str:
    return text.strip().rstrip(";").strip().strip("\"'`[]").lower()
