"""What an object's code is told when SQLite refuses or fails: the words are Cloudflare's where there are such."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edgeagents.errors import SqlError, SqlLimitError, SqlUnavailable, StorageError, StorageUnavailable
from edgeagents.objects.limits import Limits
from edgeagents.objects.sqlite_driver import Fault

__all__ = ["NOT_AUTHORIZED", "NO_TRANSACTION_STATEMENTS", "opening_error", "sql_error", "too_many_rows"]

NOT_AUTHORIZED: Final = "not authorized: SQLITE_AUTH"
NO_TRANSACTION_STATEMENTS: Final = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. In Python: ctx.storage.transaction() or "
    "ctx.storage.transaction_sync(), which roll back when an exception leaves them."
)
_NO_USER_VERSION: Final = (
    "An object has no PRAGMA user_version, as on Cloudflare. Keep the version of its tables with "
    "ctx.storage.kv.put(...): docs/storage.md, 'When your tables change'."
)
_USER_VERSION: Final = re.compile(r"\bpragma\s+(?:\w+\s*\.\s*)?user_version\b", re.IGNORECASE)
_UNAVAILABLE: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_NOMEM"})


def opening_error(path: Path | None, fault: Fault) -> StorageError:
    """Return the error of a database that SQLite does not open."""
    if fault.code in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return StorageUnavailable(
            f"Another process has the database {path} open. Objects live in one process at a time."
        )
    kind = StorageUnavailable if fault.code in _UNAVAILABLE else StorageError
    return kind(f"The database {path} cannot be opened: {fault.message}: {fault.code}")


def sql_error(fault: Fault, sql: str, limits: Limits, *, start: int = 0, is_last: bool = True) -> Exception:
    """Return the error of a statement, which begins at ``start`` in the text ``sql`` and may not be the last in it."""
    match fault.kind:
        case "bindings" if is_last:
            return SqlError("Wrong number of parameter bindings for SQL query.", sql)
        case "bindings":
            return SqlError(
                "When executing multiple SQL statements in a single call, only the last statement can have parameters.",
                sql,
            )
        case "type":
            kind = fault.message.rpartition("type ")[2]
            return TypeError(
                f"A value of type {kind} cannot be bound to SQL. Bind None, a bool, int, float, str or bytes."
            )
        case "integer":
            return OverflowError("An int bound to SQL has at most 64 bits. Bind a larger one as text.")
        case _:
            return _sqlite_error(fault, sql, limits, start)


def _sqlite_error(fault: Fault, sql: str, limits: Limits, start: int) -> SqlError:
    if fault.code == "SQLITE_AUTH" or fault.message.startswith("not authorized"):
        refused = SqlError(NOT_AUTHORIZED, sql, "SQLITE_AUTH")
        if _USER_VERSION.search(sql):
            # Beside the message, which is workerd's to the letter.
            refused.add_note(_NO_USER_VERSION)
        return refused
    offset = f" at offset {start + fault.offset}" if fault.offset >= 0 else ""
    extended = f" (extended: {fault.extended_code})" if fault.extended_code != fault.code else ""
    kind = SqlUnavailable if fault.code in _UNAVAILABLE else SqlError
    error = kind(f"{fault.message}{offset}: {fault.code}{extended}", sql, fault.code)
    if fault.code == "SQLITE_TOOBIG":
        error.add_note(
            f"Limits(row_bytes={limits.row_bytes}, statement_bytes={limits.statement_bytes}) are what is allowed; "
            "with strict=False they may be more."
        )
    return error


def too_many_rows(sql: str, most: int) -> SqlLimitError:
    """Return the error of a statement that gives more rows than may be fetched at once."""
    text = "The statement gives more rows than may be fetched at once: iterate over them, or ask for fewer."
    return SqlLimitError(text, sql, "sql_rows", most)
