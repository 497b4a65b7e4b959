"""Files of SQLite's that several processes have open at once."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from edgeagents.errors import StorageUnavailable

__all__ = ["is_locked", "open_shared", "transaction"]

_PAUSE: Final = 0.005


class _SharedFile(sqlite3.Connection):
    """A connection whose statements name the file when they fail for a reason that is not theirs."""

    path: Path

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            raise self._explained(error) from error

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        try:
            return super().executemany(sql, parameters)
        except sqlite3.OperationalError as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.OperationalError) -> Exception:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:
            return error  # Of the statement.
        return StorageUnavailable(f"{self.path} cannot be used: {error}")


def open_shared(path: Path, seconds: float) -> sqlite3.Connection:
    """Open the file, make it if need be. A statement waits so many ``seconds`` for one of another process.

    Any thread may use the connection, one at a time; each statement commits by itself. Raises ``StorageUnavailable``,
    naming the file, when that is locked for longer, or the disk is full, read-only or failing.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be used: {error}") from error
    connection = sqlite3.connect(
        path, timeout=seconds, isolation_level=None, check_same_thread=False, factory=_SharedFile
    )
    connection.path = path
    try:
        _use_log(connection, time.monotonic() + seconds)
    except BaseException:
        connection.close()
        raise
    return connection


def is_locked(error: StorageUnavailable) -> bool:
    """Whether the file cannot be used because another process has locked it for too long."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _use_log(connection: sqlite3.Connection, until: float) -> None:
    # When several open a new file at once, SQLite may tell one that it is locked without waiting at all.
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except StorageUnavailable as error:
            if not is_locked(error) or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Keep what is written in the ``with`` block together or, when it or the commit fails, not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended it already. Left open, it would keep every process out.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
