"""SQLite through Python's own ``sqlite3``, where apsw is not installed.

It compiles a statement each time it runs, so that the authorizer sees it each time, and knows no offsets of errors.
Before Python 3.12 it cannot be told to refuse text in double quotes, to leave the write-ahead log alone when it closes,
nor to guard the tables in which FTS5 and R*Tree keep their data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakSet

from edgeagents.objects.authorizer import Authorizer
from edgeagents.objects.limits import Limits
from edgeagents.objects.sqlite_driver import PROGRESS_STEPS, DriverCursor, Fault, Parameters, engine_limits

if TYPE_CHECKING:
    from edgeagents.objects.row_counts import StatementWork

__all__ = ["connect"]

_CODES: dict[int, str] = {
    value: name
    for name, value in sorted(vars(sqlite3).items(), reverse=True)
    if name.startswith("SQLITE_")
    and isinstance(value, int)
    and value < 256
    and name[7:]
    in {
        *("ERROR", "INTERNAL", "PERM", "ABORT", "BUSY", "LOCKED", "NOMEM", "READONLY", "INTERRUPT", "IOERR", "CORRUPT"),
        *("NOTFOUND", "FULL", "CANTOPEN", "PROTOCOL", "EMPTY", "SCHEMA", "TOOBIG", "CONSTRAINT", "MISMATCH", "MISUSE"),
        *("NOLFS", "AUTH", "FORMAT", "RANGE", "NOTADB", "NOTICE", "WARNING"),
    }
}
_BINDABLE = (str, int, float, bytes, bytearray, memoryview, type(None))
_BINDING_COUNT = "Incorrect number of bindings"
_NAMED_BINDING = "You did not supply a value for binding"
_BINDING_TYPE = "Error binding parameter"


def connect(path: str, authorizer: Authorizer, limits: Limits) -> StdlibDriver:
    """Open the database at ``path``, which may be ``:memory:``."""
    return StdlibDriver(path, authorizer, limits)


class _StrictCursor(sqlite3.Cursor):
    """A cursor without sqlite3's adapters, which would turn a datetime into text unasked."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        for value in parameters.values() if isinstance(parameters, Mapping) else parameters:
            if not isinstance(value, _BINDABLE):
                raise TypeError(f"type {type(value).__name__}")
        return super().execute(sql, parameters)


class StdlibDriver:
    """See ``Driver``."""

    errors = (sqlite3.Error, sqlite3.Warning, TypeError, OverflowError)
    wal_pages = frames = 0
    knows_log = False

    def __init__(self, path: str, authorizer: Authorizer, limits: Limits) -> None:
        self._authorizer = authorizer
        # It does not tell which of them have rows left: those that are still there may.
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()
        self._connection = connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=0
        )
        for limit, value in engine_limits(limits).items():
            connection.setlimit(limit, value)
        setconfig: Callable[[int, bool], None] | None = getattr(connection, "setconfig", None)
        self._setconfig = setconfig
        if setconfig is not None:
            for option, value in (("DEFENSIVE", True), ("TRUSTED_SCHEMA", False), ("NO_CKPT_ON_CLOSE", True)):
                setconfig(getattr(sqlite3, f"SQLITE_DBCONFIG_{option}"), value)
            for option in ("DQS_DML", "DQS_DDL"):
                setconfig(getattr(sqlite3, f"SQLITE_DBCONFIG_{option}"), False)
        else:
            connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_authorizer(authorizer)

    def cursor(self) -> DriverCursor:
        cursor = self._connection.cursor(_StrictCursor)
        self._cursors.add(cursor)
        return cast(DriverCursor, cursor)

    def execute(self, sql: str, parameters: Parameters) -> DriverCursor:
        return self.cursor().execute(sql, parameters)

    def execute_first(
        self, sql: str, parameters: Parameters, *, keep: bool
    ) -> tuple[DriverCursor, tuple[str, ...], bool]:
        seen, self._authorizer.saw_write = self._authorizer.saw_write, False
        try:
            cursor = self.execute(sql, parameters)
            is_readonly = not self._authorizer.saw_write
        finally:
            self._authorizer.saw_write = self._authorizer.saw_write or seen
        description = cast(Any, cursor).description
        return cursor, tuple(column[0] for column in description or ()), is_readonly

    def fetch_trusted(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        authorizer = self._authorizer
        was_trusted, authorizer.is_trusted = authorizer.is_trusted, True
        try:
            return self.execute(sql, parameters).fetchall()
        finally:
            authorizer.is_trusted = was_trusted

    def run_once(self, sql: str) -> None:
        self.fetch_trusted(sql)

    def explain(self, error: Exception) -> Fault:
        message = str(error)
        if isinstance(error, OverflowError):
            return Fault("integer")
        if isinstance(error, TypeError) or message.startswith(_BINDING_TYPE):
            return Fault("type", message)
        if message.startswith((_BINDING_COUNT, _NAMED_BINDING)):
            return Fault("bindings")
        extended = getattr(error, "sqlite_errorcode", None)
        if extended is None:
            return Fault("sqlite", message, "SQLITE_MISUSE", "SQLITE_MISUSE")
        code = _CODES.get(extended & 0xFF, "SQLITE_ERROR")
        return Fault("sqlite", message, code, getattr(error, "sqlite_errorname", code))

    def is_writing(self) -> bool:
        return self._authorizer.saw_write and self._connection.in_transaction

    def is_reading(self) -> bool:
        return bool(self._cursors)

    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def total_changes(self) -> int:
        return self._connection.total_changes

    def changes(self) -> int:
        return self._connection.execute("SELECT changes() /* _cf_ */").fetchone()[0]

    def last_insert_rowid(self) -> int:
        return self._connection.execute("SELECT last_insert_rowid() /* _cf_ */").fetchone()[0]

    def is_complete(self, sql: str) -> bool:
        return sqlite3.complete_statement(sql)

    def enforce_foreign_keys(self, enforce: bool) -> bool:
        if self._setconfig is None:
            return False
        self._setconfig(getattr(sqlite3, "SQLITE_DBCONFIG_ENABLE_FKEY"), enforce)  # noqa: B009  (new in Python 3.12)
        return True

    def create_function(self, name: str, count: int, fn: Callable[..., Any] | None, deterministic: bool) -> None:
        self._connection.create_function(name, count, fn, deterministic=deterministic)

    def create_aggregate(self, name: str, count: int, factory: Callable[[], Any] | None) -> None:
        self._connection.create_aggregate(name, count, cast(Any, factory))

    def create_collation(self, name: str, fn: Callable[[str, str], int] | None) -> None:
        self._connection.create_collation(name, cast(Any, fn))

    def accept_double_quoted_text(self) -> None:
        if self._setconfig is not None:
            for option in ("DQS_DML", "DQS_DDL"):
                self._setconfig(getattr(sqlite3, f"SQLITE_DBCONFIG_{option}"), True)

    def checkpoint(self) -> bool:
        ((_, logged, moved),) = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return logged == moved

    def measure_log(self) -> None:
        """SQLite looks after the log by itself."""

    def overwrite(self, source: str) -> None:
        other = sqlite3.connect(source)
        try:
            other.backup(self._connection)
        finally:
            other.close()

    def copy_to(self, target: str) -> None:
        other = sqlite3.connect(target)
        try:
            self._connection.backup(other)
        finally:
            other.close()

    def serialize(self) -> bytes:
        return self._connection.serialize()

    def interrupt(self) -> None:
        self._connection.interrupt()

    def watch_progress(self, must_stop: Callable[[], bool]) -> None:
        self._connection.set_progress_handler(must_stop, PROGRESS_STEPS)

    def note_work(self, work: StatementWork | None, *, changed: bool = False) -> bool:
        return False

    def close(self) -> None:
        self._connection.set_authorizer(None)
        # One that has rows left would keep the file open, and locked.
        for cursor in tuple(self._cursors):
            cursor.close()
        self._connection.close()
