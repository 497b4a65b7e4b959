"""The database of one object: a SQLite file, one connection, one transaction at a time.

A write begins an *implicit transaction*, which ends when the output gate commits it: so writes without an ``await``
in between are kept together or not at all. An *explicit* one is a savepoint within it, and holds the commit back
while it runs.

Nothing here knows what is stored. ``storage``, ``sql`` and ``alarms`` stand on it, and ``sqlite_connection`` shows it
to libraries that expect a DB-API connection. The driver is chosen in ``sqlite_driver``.

How it lasts. The file is in WAL mode with ``synchronous=NORMAL``: a commit appends to ``<file>-wal`` and survives the
end of the process. ``sync`` makes it survive the loss of power, from a thread, while the object goes on: it opens the
log by its path and syncs it, so it needs nothing of the connection. A checkpoint may move the log's content into the
database meanwhile, and the log may then be written from its start again; but SQLite syncs the log before it moves
anything and the database before it reuses the log, so what was committed before ``sync`` began is on disk in one or
the other when it ends. The database file must never be opened here while SQLite has it open: closing any descriptor
of it would drop SQLite's locks.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeagents.errors import (
    OwnershipLost,
    SqlError,
    SqlLimitError,
    SqlUnavailable,
    StorageError,
    StorageUnavailable,
)
from edgeagents.objects import disk
from edgeagents.objects.authorizer import INTERNAL, Authorizer
from edgeagents.objects.bookmarks import ORIGIN, Bookmark
from edgeagents.objects.lease import Lease
from edgeagents.objects.limits import Limits
from edgeagents.objects.open_databases import OpenDatabases
from edgeagents.objects.sql_text import first_keyword, foreign_keys_setting, split
from edgeagents.objects.sql_watch import SqlWatch
from edgeagents.objects.sqlite_driver import Driver, DriverCursor, DriverName, Fault, Parameters, load_driver
from edgeagents.objects.timeline import History, Timeline
from edgeagents.objects.whole_files import WholeFiles

if TYPE_CHECKING:
    from edgeagents.objects.sqlite_connection import Connection

__all__ = ["NOT_AUTHORIZED", "Cursor", "Database", "Result"]

# What brings the tables of our own from one version to the next, the first from nothing. A release that changes them
# adds a step; none is ever changed. A database is brought up to date when it is opened, in one transaction.
_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE IF NOT EXISTS _cf_METADATA (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    ),
)
SCHEMA_VERSION: Final = len(_STEPS)
_GET_VERSIONS: Final = "SELECT key, value FROM _cf_METADATA WHERE key IN ('schema', 'restores')"
_PUT_VERSION: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES ('schema', ?)"
# Every text of our own that an object's code must not run has the mark in it, if only in a comment. A text with the
# mark is compiled anew when the object runs it, and never taken from the driver's cache, where ours passed the
# authorizer as trusted.
_MARK: Final = f"/* {INTERNAL} */"
_BEGIN: Final = f"BEGIN {_MARK}"
_COMMIT: Final = f"COMMIT {_MARK}"
_ROLLBACK: Final = f"ROLLBACK {_MARK}"
_SET_UP: Final = (f"PRAGMA foreign_keys = ON {_MARK}", f"PRAGMA temp_store = MEMORY {_MARK}")
# First, so that SQLite keeps the index of the log in memory and not in a third file.
_SET_UP_EXCLUSIVE: Final = f"PRAGMA locking_mode = EXCLUSIVE {_MARK}"
_SET_UP_SHARED: Final = f"PRAGMA busy_timeout = 1000 {_MARK}"
_SET_UP_FILE: Final = (
    f"PRAGMA journal_mode = WAL {_MARK}",
    f"PRAGMA synchronous = NORMAL {_MARK}",
    f"PRAGMA journal_size_limit = 4194304 {_MARK}",
)
_SIZE: Final = (
    "SELECT (page_count - freelist_count) * page_size "
    f"FROM pragma_page_count, pragma_freelist_count, pragma_page_size {_MARK}"
)
_GET_OWNER: Final = "SELECT value FROM _cf_METADATA WHERE key = 'owner'"
_PUT_OWNER: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES ('owner', ?)"
_PUT_METADATA: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)"
NOT_AUTHORIZED: Final = "not authorized: SQLITE_AUTH"
_NO_TRANSACTION_STATEMENTS: Final = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. In Python: ctx.storage.transaction() or "
    "ctx.storage.transaction_sync(), which roll back when an exception leaves them."
)
_UNAVAILABLE: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_NOMEM"})
_TRANSACTION_KEYWORDS: Final = frozenset({"BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT"})

# Pages of the log (4 KiB each) from which on it is moved into the database by ``tidy``; and by ``commit`` itself, where
# nobody calls ``tidy`` or it does not get a chance.
_CHECKPOINT_PAGES: Final = 1_000
_CHECKPOINT_AT_ONCE_PAGES: Final = 8_000
_LIMITS: Final = Limits()
_TEXTS_KEPT: Final = 1_000
_PAGE: Final = 4096
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NO_FOLDER: Final = "The past can be restored only where storage is a folder, as with Runtime(storage='state')."
_NO_HISTORY: Final = "No history is kept: history=None. With History() bookmarks can be restored."
_NO_DRIVER: Final = "Python's own sqlite3 keeps no history. Install apsw."

_log = logging.getLogger("edgeagents.storage")


class Cursor:
    """The rows of one of our own statements, as tuples, and what it did."""

    __slots__ = ("columns", "rows", "rows_written")

    def __init__(self, rows: list[tuple[Any, ...]], columns: tuple[str, ...], rows_written: int) -> None:
        self.rows, self.columns, self.rows_written = rows, columns, rows_written

    @property
    def rows_read(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row, or None."""
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return self.rows


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


def _nothing() -> None:
    pass


class Database:
    """One object's database. Made by ``open``; there is no file, and no connection, before something needs them.

    Methods may be called in any thread, one at a time: ``lock`` is held while a statement runs. ``on_write`` is
    called when an implicit transaction begins, ``on_release`` when no explicit one holds the commit back any more.
    """

    # What each statement looks at; the rest is in the dict.
    __slots__ = (
        "__dict__",
        "_authorizer",
        "_driver",
        "_has_begun",
        "_is_writing",
        "_own_texts",
        "_texts",
        "is_used",
        "limits",
        "lock",
        "on_write",
        "work",
    )

    def __init__(
        self, path: Path | None, driver: DriverName | None, on_write: Callable[[], object] | None, is_shared: bool
    ) -> None:
        self.path = path
        self._is_shared = is_shared
        self._lease: Lease | None = None
        self.lock = threading.RLock()
        self.on_write: Callable[[], object] = on_write or _nothing
        self.on_release: Callable[[], object] = _nothing
        self.let_go: Callable[[], object] = _nothing
        """Called by who lets others see what was just written: a sync handler commits there."""
        self.before_commit: Callable[[], Callable[[], object] | None] | None = None
        """Called within the next commit that has something to write; what it returns is called when that is kept."""
        self.before_sync: Callable[[], object] | None = None
        """Called once by the next ``sync``, before the database itself is synced."""
        self.on_inherit: Callable[[], object] = _nothing
        """Called when a database was opened that somebody else left, who may not have come to sync what is in it."""
        self.is_certain = False
        """Whether what is in the files is known to survive a loss of power, but for what was committed since."""
        self.root: Path | None = None
        """A folder above the database that is there for certain; None: the one that the database is in."""
        self.on_open: Callable[[], object] = _nothing
        """Called when an existing database was opened."""
        self.is_synced = path is not None
        """Whether ``sync`` follows each commit, so that what waits for a commit to be kept waits for it."""
        self._driver_name: DriverName | None = driver
        self._driver: Driver | None = None
        self._authorizer = Authorizer()
        self._identity: str | None = None
        self._has_begun = False
        self._is_writing = False
        self._lost: StorageError | None = None
        self._levels = 0
        self._texts: dict[str, _Text] = {}
        self._own_texts: dict[str, _Text] = {}
        self._hand_over = threading.Lock()
        self._when_kept: Callable[[], object] | None = None
        self._unsynced_folders: list[Path] = []
        self._created_lock = threading.Lock()
        self._created: int | None = None
        self._is_closed = self._is_connecting = False
        self.limits = _LIMITS
        self.work = 0
        """Counts what SQLite is asked to do without a pause. Whoever steps through a cursor adds to it."""
        self._watch = SqlWatch(self)
        self.handles: OpenDatabases | None = None
        """What counts the database while its file is open, and may have it suspended."""
        self.is_used = False
        """Whether it was used since somebody set this to False."""
        self._was_open = self._is_pinned = False
        self._timeline: Timeline | None = None
        self._no_timeline = _NO_FOLDER if path is None else _NO_HISTORY
        self._untidy_from = _CHECKPOINT_PAGES

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        driver: DriverName | None = None,
        on_write: Callable[[], object] | None = None,
        is_shared: bool = False,
    ) -> Database:
        """Return the database at ``path``, or one in memory. The file need not be there, nor its folder.

        One that ``is_shared`` may be open in other processes too, which wait for each other's transactions.
        """
        return cls(path, driver, on_write, is_shared)

    def bound(self, limits: Limits, monotonic: Callable[[], float] | None = None) -> None:
        """Hold to ``limits`` from now on, to that of time by ``monotonic``. Call it before anything else."""
        self.limits = limits
        if limits.sql_seconds is not None:
            self._watch.seconds, self._watch.monotonic = limits.sql_seconds, monotonic

    def keep_history(self, history: History | None, now: Callable[[], float]) -> None:
        """Keep what it takes to restore earlier states. Call it before anything else. ``now`` tells the time."""
        if history is not None and self.path is not None:
            self._timeline = Timeline(self.path, history, now, _Tools(self._driver_name), self.lock)

    def claim(self, lease: Lease) -> None:
        """Write by the right of ``lease`` from now on. Call it before anything else.

        Raises ``OwnershipLost`` when a later owner has the database.
        """
        if self.path is None or not lease.is_shared:
            return
        self._is_shared, self._lease = True, lease
        if lease.displace is not None:
            _ = self.driver

    # What it is

    @property
    def exists(self) -> bool:
        """Whether anything was ever written, so that there is something to read."""
        return self._driver is not None or (self.path is not None and _has_content(self.path))

    @property
    def in_transaction(self) -> bool:
        """Whether something was written that is not committed."""
        return self._is_writing

    @property
    def held(self) -> bool:
        """Whether an explicit transaction runs, so that nothing can be committed now."""
        return self._levels > 0

    @property
    def size(self) -> int:
        """The bytes in use. Zero before something was written."""
        return self.execute(_SIZE).rows[0][0] if self.exists else 0

    @property
    def identity(self) -> str | None:
        """The object's name as it stands in the database, if the object has one."""
        if self.exists:
            for (name,) in self.execute("SELECT value FROM _cf_METADATA WHERE key = 'name'"):
                return name.decode("utf-8", "surrogatepass") if isinstance(name, bytes) else name
        return self._identity

    def set_identity(self, name: str | None) -> None:
        """Keep ``name`` in the database from its first write on, so that the file tells whose it is."""
        self._identity = name

    @functools.cached_property
    def connection(self) -> Connection:
        """The same connection for libraries that expect a DB-API one. It obeys the rules for an object's SQL."""
        from edgeagents.objects.sqlite_connection import Connection

        return Connection(self)

    @property
    def driver(self) -> Driver:
        """The open connection, opened if need be."""
        return self._driver or self._connect()

    def create_function(self, name: str, count: int, fn: Callable[..., Any] | None, *, deterministic: bool) -> None:
        """Make ``fn``, with ``count`` arguments, callable in the object's SQL."""
        with self.lock:
            self._is_pinned = True
            self.driver.create_function(name, count, fn, deterministic)
            self._authorizer.functions.add(name.lower())

    def create_aggregate(self, name: str, count: int, factory: Callable[[], Any] | None) -> None:
        """Make a class with ``step`` and ``finalize`` callable in the object's SQL."""
        with self.lock:
            self._is_pinned = True
            self.driver.create_aggregate(name, count, factory)
            self._authorizer.functions.add(name.lower())

    def create_collation(self, name: str, fn: Callable[[str, str], int] | None) -> None:
        """Make ``fn`` usable after COLLATE in the object's SQL."""
        with self.lock:
            self._is_pinned = True
            self.driver.create_collation(name, fn)

    # Statements

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run a statement of our own, which may do anything, and fetch its rows.

        A text that an object's code must not be able to run needs ``_cf_`` in it, as all names of internal tables have.
        """
        with self.lock:
            self.work += 1
            driver = self._driver or self._connect()
            if not self._has_begun:
                self._begin(driver)
            authorizer = self._authorizer
            authorizer.is_trusted = True
            try:
                known = self._own_texts.get(sql)
                if known is not None and known.schema == authorizer.schema_changes:
                    before = driver.total_changes()
                    rows = driver.execute(sql, parameters).fetchall()
                    columns = known.columns
                else:
                    before = driver.total_changes()
                    cursor, columns, is_readonly = driver.execute_first(sql, parameters, keep=True)
                    rows = cursor.fetchall()
                    _remember(self._own_texts, sql, _Text(sql, columns, is_readonly, authorizer.schema_changes))
            except driver.errors as error:
                raise self.explain(error, sql) from error
            finally:
                authorizer.is_trusted = False
            if not self._is_writing and driver.is_writing():
                self._note_write()
            return Cursor(rows, columns, driver.total_changes() - before)

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a statement of our own that is run often; return its rows."""
        with self.lock:
            self.work += 1
            driver = self._driver or self._connect()
            if not self._has_begun:
                self._begin(driver)
            self._authorizer.is_trusted = True
            try:
                rows = driver.execute(sql, parameters).fetchall()
            except driver.errors as error:
                raise self.explain(error, sql) from error
            finally:
                self._authorizer.is_trusted = False
            if not self._is_writing and driver.is_writing():
                self._note_write()
            return rows

    def run(self, sql: str, parameters: Parameters) -> Result:
        """Run SQL of the object's code, one statement or several; the parameters and the result are the last one's.

        What only reads stands at its first row and is read on demand, anything else is done when this returns.
        """
        with self.lock:
            self.work += 1
            text = self._texts.get(sql)
            if text is None or text.schema != self._authorizer.schema_changes:
                return self._run_first(sql, parameters)
            driver = self._driver or self._connect()
            if not self._has_begun:
                self._begin(driver)
            try:
                if text.is_readonly:
                    return Result(text.columns, None, driver.execute(text.statement, parameters), 0)
                before = driver.total_changes()
                rows = driver.execute(text.statement, parameters).fetchall()
            except driver.errors as error:
                raise self.explain(error, sql) from error
            if not self._is_writing and driver.is_writing():
                self._note_write()
            return Result(text.columns, rows, None, driver.total_changes() - before)

    def too_many_rows(self, cursor: DriverCursor, sql: str) -> SqlLimitError:
        """Return the error of a statement that gives more rows than may be fetched at once, and end it."""
        cursor.close()
        text = "The statement gives more rows than may be fetched at once: iterate over them, or ask for fewer."
        return SqlLimitError(text, sql, "sql_rows", self.limits.sql_rows or 0)

    def _run_first(self, sql: str, parameters: Parameters) -> Result:
        driver = self._driver or self._connect()
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
            _remember(self._texts, sql, text)
        result.rows_written += written
        return result

    def _run_one(
        self, driver: Driver, sql: str, statement: str, start: int, parameters: Parameters | None
    ) -> tuple[Result, _Text | None]:
        keyword = first_keyword(statement)
        if keyword in _TRANSACTION_KEYWORDS:
            raise SqlError(_NO_TRANSACTION_STATEMENTS, sql)
        if keyword == "VACUUM":
            raise SqlError(NOT_AUTHORIZED, sql)
        enforced = foreign_keys_setting(statement) if keyword == "PRAGMA" else None
        if enforced is not None:
            self._is_pinned = self._is_pinned or not enforced
            # The pragma does nothing within a transaction, and there is always one.
            if not driver.enforce_foreign_keys(enforced):
                self._set_foreign_keys_between_transactions(driver, enforced)
            return Result((), [], None, 0), None
        if not self._has_begun:
            self._begin(driver)
        authorizer = self._authorizer
        authorizer.mentions_internal = mentions_internal = INTERNAL in statement.lower()
        before = driver.total_changes()
        try:
            cursor, columns, is_readonly = driver.execute_first(statement, parameters or (), keep=not mentions_internal)
            rows = None if is_readonly else cursor.fetchall()
        except driver.errors as error:
            raise self.explain(error, sql, start, is_last=parameters is not None) from error
        finally:
            authorizer.mentions_internal = False
        if not self._is_writing and driver.is_writing():
            self._note_write()
        result = Result(columns, rows, cursor if is_readonly else None, driver.total_changes() - before)
        if mentions_internal:
            return result, None
        return result, _Text(statement, columns, is_readonly, authorizer.schema_changes)

    def _set_foreign_keys_between_transactions(self, driver: Driver, enforced: bool) -> None:
        if self.held:
            raise SqlError("PRAGMA foreign_keys cannot be changed within a transaction with this driver.")
        self.commit()
        self._end_reading(driver)
        self._trusted(driver, f"PRAGMA foreign_keys = {int(enforced)}")

    def _trusted(self, driver: Driver, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        self._authorizer.is_trusted = True
        try:
            return driver.execute(sql, parameters).fetchall()
        finally:
            self._authorizer.is_trusted = False

    def explain(self, error: Exception, sql: str, start: int = 0, *, is_last: bool = True) -> Exception:
        """Return what the object's code is told of a driver's ``error``."""
        driver = self._driver
        assert driver is not None
        if self._has_begun and not driver.in_transaction():
            self._note_loss(error)
        fault = driver.explain(error)
        if self._watch.has_ended_one:
            self._watch.has_ended_one = False
            return SqlLimitError("The statement took too long.", sql, "sql_seconds", self._watch.seconds or 0)
        if self._lease is not None and fault.code == "SQLITE_BUSY":
            # Nobody but another owner writes: what is read here is old.
            return OwnershipLost()
        told = _error(fault, error, sql, start, is_last)
        if fault.code == "SQLITE_TOOBIG":
            told.add_note(
                f"Limits(row_bytes={self.limits.row_bytes}, statement_bytes={self.limits.statement_bytes}) are what is "
                "allowed; with strict=False they may be more."
            )
        return told

    # Transactions

    def _begin(self, driver: Driver) -> None:
        # Also before a statement that only reads: SQLite alone knows, when it has run, whether it wrote.
        self._trusted(driver, _BEGIN)
        self._authorizer.saw_write = False
        self._has_begun = self.is_used = True

    def _note_write(self) -> None:
        self._is_writing = True
        self.on_write()

    def _note_loss(self, error: Exception) -> None:
        # The disk is full, or the object's SQL said ON CONFLICT ROLLBACK: SQLite has ended the whole transaction.
        if self._is_writing:
            self._lost = StorageUnavailable(f"SQLite has undone the whole transaction: {error}")
        self._has_begun = False
        self._authorizer.schema_changes += 1

    def end_reading(self) -> None:
        """Let go of the state that was read, so that the next statement sees what others have written since."""
        with self.lock:
            if self._driver is not None:
                self._end_reading(self._driver)

    def _end_reading(self, driver: Driver) -> None:
        if self._has_begun and not self._is_writing:
            self._trusted(driver, _COMMIT)
            self._has_begun = False

    def commit(self) -> bool:
        """Commit the implicit transaction; return whether there was one to commit. Does not wait for the disk.

        While an explicit transaction holds it, nothing is done. Raises ``StorageError`` when it cannot be kept: then
        nothing of it is.
        """
        with self.lock:
            if self._levels or not self._is_writing:
                return False
            if self._lost is not None:
                raise self._lost
            driver = self._driver
            assert driver is not None
            before_commit, self.before_commit = self.before_commit, None
            when_kept = before_commit() if before_commit is not None else None
            try:
                if self._lease is not None:
                    self._check_owner(driver, self._lease)
                self._trusted(driver, _COMMIT)
            except driver.errors as error:
                fault = driver.explain(error)
                if fault.code == "SQLITE_CONSTRAINT":
                    # A deferred foreign key: the object's code is at fault, not the disk.
                    raise _error(fault, error, "COMMIT", 0, is_last=True) from error
                raise StorageUnavailable(f"The writes could not be committed: {error}") from error
            self._has_begun = self._is_writing = False
            if driver.wal_pages >= max(_CHECKPOINT_AT_ONCE_PAGES, self._untidy_from):
                self._tidy_at_once(driver)
            timeline = self._timeline
            if timeline is not None and not self.is_synced and not timeline.touch(driver.frames):
                self._note_time(timeline, is_quick=True)
        if when_kept is not None:
            if self.is_synced:
                with self._hand_over:
                    self._when_kept = when_kept
            else:
                when_kept()
        return True

    def _check_owner(self, driver: Driver, lease: Lease) -> None:
        for (token,) in self._trusted(driver, _GET_OWNER):
            if token > lease.token:
                raise OwnershipLost

    def rollback(self) -> None:
        """Undo everything that was not committed, explicit transactions too."""
        with self.lock:
            driver = self._driver
            if driver is not None and self._has_begun and driver.in_transaction():
                self._trusted(driver, _ROLLBACK)
            self._has_begun = self._is_writing = False
            self._lost = self.before_commit = None
            self._levels = 0
            # The schema may have gone back.
            self._authorizer.schema_changes += 1

    def savepoint(self) -> int:
        """Begin an explicit transaction, within another one if one runs. End it with ``release``, in order."""
        with self.lock:
            driver = self._driver or self._connect()
            if not self._has_begun:
                self._begin(driver)
            self._trusted(driver, f"SAVEPOINT _cf_{self._levels}")
            self._levels += 1
            return self._levels

    def rollback_to(self, level: int) -> None:
        """Undo what was written since ``savepoint`` returned ``level``. The transaction goes on."""
        with self.lock:
            driver = self._driver
            if driver is not None and level <= self._levels and driver.in_transaction():
                self._trusted(driver, f"ROLLBACK TO _cf_{level - 1}")
                self._authorizer.schema_changes += 1

    def release(self, level: int) -> None:
        """End the explicit transaction that ``savepoint`` began with ``level``, and those within it."""
        with self.lock:
            driver = self._driver
            if level > self._levels:
                return  # A rollback of everything has ended it.
            self._levels = level - 1
            if driver is not None and driver.in_transaction() and self._has_begun:
                self._trusted(driver, f"RELEASE _cf_{level - 1}")
        if not self._levels:
            self.on_release()

    def drop_all(self) -> None:
        """Drop what SQL has made: all tables but our own, views, triggers, indexes."""
        with self.lock:
            driver = self._driver or self._connect()
            enforces = bool(self.fetch(f"PRAGMA foreign_keys {_MARK}")[0][0])
            # Tables go in any order, whatever refers to them.
            if enforces and not driver.enforce_foreign_keys(False):
                self._set_foreign_keys_between_transactions(driver, False)
            try:
                self._drop("type IN ('view', 'trigger')")
                self._drop("type = 'table' AND sql LIKE 'CREATE VIRTUAL%'")
                self._drop("type = 'table'")
            finally:
                if enforces and not driver.enforce_foreign_keys(True):
                    self._set_foreign_keys_between_transactions(driver, True)

    def _drop(self, which: str) -> None:
        entries = self.fetch(
            f"SELECT type, name FROM sqlite_schema WHERE {which} "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"
        )
        for kind, name in entries:
            quoted = name.replace('"', '""')
            self.fetch(f'DROP {kind} IF EXISTS "{quoted}" {_MARK}')

    # Files

    def sync(self) -> None:
        """Return when what was committed before survives a loss of power. It waits for the disk: for threads."""
        with self._hand_over:
            before_sync, self.before_sync = self.before_sync, None
            when_kept, self._when_kept = self._when_kept, None
            folders, self._unsynced_folders = self._unsynced_folders, []
        if before_sync is not None:
            before_sync()
        if self.path is not None:
            try:
                with self._created_lock:
                    if self._created is not None and folders:
                        disk.sync_descriptor(self._created)
                disk.sync_if_there(f"{self.path}-wal")
                for folder in folders:
                    disk.sync_folder(folder)
            except OSError as error:
                raise StorageUnavailable(f"{self.path} could not be synced: {error}") from error
            if folders:
                self.is_certain = True
        if when_kept is not None:
            when_kept()
        if self._timeline is not None:
            self._note_time(self._timeline)

    def sync_folder_too(self, folder: Path) -> None:
        """Have the next ``sync`` make sure of a folder as well, from which a file was removed."""
        with self._hand_over:
            self._unsynced_folders.append(folder)

    @property
    def is_untidy(self) -> bool:
        """Whether ``tidy`` has something to do."""
        driver, timeline = self._driver, self._timeline
        return driver is not None and (
            driver.wal_pages >= self._untidy_from or (timeline is not None and not timeline.is_located)
        )

    def tidy(self) -> None:
        """Move a log that has grown into the database, and its copy into the history. Waits for the disk.

        A failure is logged and changes nothing: what was committed stands in the log.
        """
        driver = self._driver
        if driver is None:
            return
        try:
            self._tidy(driver)
        except (OSError, StorageError) as error:
            self._put_off(driver, error)
        else:
            self._untidy_from = _CHECKPOINT_PAGES

    def _tidy(self, driver: Driver) -> None:
        timeline = self._timeline
        if not self.is_untidy:
            return
        if timeline is None:
            with self.lock:
                if self._driver is driver:
                    self._move_log(driver, None)
            return
        with timeline.lock:
            if self._is_closed:
                return
            if driver.wal_pages < _CHECKPOINT_PAGES:
                timeline.note(driver.frames)
                return
            if timeline.is_kept:
                self._keep_log(driver, timeline)
            with self.lock:
                if self._driver is driver:
                    self._move_log(driver, timeline)
            timeline.prune()

    def _tidy_at_once(self, driver: Driver) -> None:
        timeline = self._timeline
        if timeline is not None and not timeline.lock.acquire(blocking=False):
            return
        try:
            self._move_log(driver, timeline)
        except (OSError, StorageError) as error:
            self._put_off(driver, error)
        finally:
            if timeline is not None:
                timeline.lock.release()

    def _put_off(self, driver: Driver, error: Exception) -> None:
        if self._driver is not driver:
            return  # It was closed meanwhile.
        _log.warning("The log of %s could not be moved into the database: %s", self.path, error)
        self._untidy_from = driver.wal_pages + _CHECKPOINT_PAGES
        if self._timeline is not None:
            self._timeline.rest()

    def _keep_log(self, driver: Driver, timeline: Timeline) -> None:
        try:
            timeline.keep(driver.frames)
        except OSError as error:
            # The history must not make a database grow for ever that could be written otherwise.
            if driver.wal_pages < _CHECKPOINT_AT_ONCE_PAGES:
                raise
            timeline.give_up(f"it cannot be written: {error}")

    def _move_log(self, driver: Driver, timeline: Timeline | None) -> None:
        if self._is_writing or self._levels or driver.wal_pages < _CHECKPOINT_PAGES:
            return
        self._end_reading(driver)
        if timeline is not None and timeline.is_kept:
            self._keep_log(driver, timeline)
            timeline.write_down(driver.frames)
        try:
            if self._lease is not None:
                self._check_owner(driver, self._lease)
            is_moved = driver.checkpoint()
        except driver.errors as error:
            raise StorageError(f"{error}") from error
        if timeline is not None and is_moved:
            timeline.moved(driver.frames)

    # The past

    def bookmark(self) -> str | None:
        """Return the bookmark of what is committed; None while that cannot be told: try again. For threads."""
        timeline = self._history()
        if not self.exists:
            return str(ORIGIN)
        with timeline.lock:
            here = self._here(timeline)
        return None if here is None else str(here)

    def bookmark_at(self, when: float) -> str | None:
        """The same for the state at ``when``, in seconds since 1970."""
        timeline = self._history()
        if not self.exists:
            return str(ORIGIN)
        with timeline.lock:
            here = self._here(timeline)
            return None if here is None else str(timeline.at(when, here.frames))

    def restore_at_next_start(self, bookmark: str) -> tuple[str, bytes | None]:
        """Have the next ``Database`` at this path begin with what stood here at ``bookmark``. For threads.

        Returns the bookmark that undoes it, and the alarm that was set then, as it is kept.
        """
        timeline = self._history()
        wanted = Bookmark.parse(bookmark)
        if not self.exists:
            if wanted != ORIGIN:
                raise StorageError(f"The bookmark {bookmark} is not one of this object's database: it has none.")
            return bookmark, None
        alarm: list[bytes] = []
        with timeline.lock:
            if self._here(timeline) is None:
                raise StorageError("The database is being written just now. Try again.")
            actual = timeline.actual(wanted)
            if actual is None:
                timeline.cancel_restore()
            else:
                timeline.prepare_restore(actual, lambda made: alarm.extend(self._prepare_restored(made, timeline)))
        return str(Bookmark.before_restore(timeline.restores)), alarm[0] if alarm else None

    def _history(self) -> Timeline:
        with self.lock:
            if self._timeline is not None and self.exists:
                _ = self.driver
        if self._timeline is None:
            raise StorageError(self._no_timeline)
        return self._timeline

    def _here(self, timeline: Timeline) -> Bookmark | None:
        """Return where the database stands, or None. The timeline's lock is held, so that the log is not moved."""
        driver = self._driver
        if driver is None:
            return None
        if not timeline.is_moved:
            return timeline.note(driver.frames)
        with self.lock:
            if self._is_writing and timeline.is_begun_anew():
                return None
            return timeline.note(driver.frames)

    def _note_time(self, timeline: Timeline, *, is_quick: bool = False) -> None:
        if not timeline.is_kept or timeline.is_resting or (is_quick and not timeline.is_at_hand):
            return
        if not timeline.lock.acquire(blocking=False):
            return
        try:
            self._here(timeline)
        except (OSError, StorageError) as error:
            timeline.rest()
            _log.warning("The history of %s could not be written: %s", self.path, error)
        finally:
            timeline.lock.release()

    def _prepare_restored(self, made: Path, timeline: Timeline) -> list[bytes]:
        """Make what is restored know whose it is and how often that was done; return the alarm, if there is one."""
        with WholeFiles(self._driver_name).alone(made) as driver:
            driver.execute(_PUT_METADATA, ("restores", timeline.restores + 1)).fetchall()
            if self.identity is not None:
                driver.execute(_PUT_METADATA, ("name", self.identity)).fetchall()
            rows = driver.execute("SELECT value FROM _cf_METADATA WHERE key = 'alarm'", ()).fetchall()
        return [row[0] for row in rows]

    def _restore(self, driver: Driver, timeline: Timeline) -> None:
        """Replace the content of the database, which was opened just now, with what was prepared."""
        prepared = timeline.restore_path
        with timeline.lock:
            with WholeFiles(self._driver_name).alone(prepared) as other:
                ((restores,),) = other.execute("SELECT value FROM _cf_METADATA WHERE key = 'restores'", ()).fetchall()
                if restores > timeline.restores:
                    for (owner,) in self._trusted(driver, _GET_OWNER):
                        other.execute(_PUT_METADATA, ("owner", owner)).fetchall()
            if restores > timeline.restores:
                timeline.about_to_restore(driver.frames)
                driver.overwrite(str(prepared))
                driver.measure_log()
                disk.sync_if_there(f"{self.path}-wal")
                self._authorizer.schema_changes += 1
            timeline.restored(restores, driver.frames)

    def interrupt(self) -> None:
        """Make the statement that runs now fail with SQLITE_INTERRUPT. Any thread may call this."""
        driver = self._driver
        if driver is not None:
            driver.interrupt()

    def suspend(self) -> bool:
        """Close the file until it is needed again, unless something depends on its being open; return whether it is
        closed. Any thread may call this.
        """
        if not self.lock.acquire(blocking=False):
            return False
        try:
            driver = self._driver
            if driver is None:
                return not self._is_connecting
            if self._is_writing or self._levels or self._lost or self._is_pinned or self._authorizer.has_settings:
                return False
            with self._hand_over:
                if self.is_synced and self._unsynced_folders and self._created is not None:
                    return False  # The next sync makes sure of a new file by this descriptor.
            if self._created_lock.locked():
                return False
            timeline = self._timeline
            if timeline is None:
                return self._suspend(driver)
            # What is to be restored when the object starts the next time must not be so when the file is opened again.
            if timeline.has_restore() or not timeline.lock.acquire(blocking=False):
                return False
            try:
                return self._suspend(driver)
            finally:
                timeline.lock.release()
        finally:
            self.lock.release()

    def _suspend(self, driver: Driver) -> bool:
        self._end_reading(driver)
        if driver.is_reading():
            return False
        self._driver = None
        self._close_files(driver)
        return True

    def close(self) -> None:
        """Close the connection for good. What was not committed is lost, what was is kept. Does not wait for the
        disk.
        """
        with self.lock:
            driver, self._driver = self._driver, None
            self._has_begun = self._is_writing = False
            self._levels = 0
            self._lost = self.before_commit = None
            self._texts.clear()
            self._is_closed = True
            self._close_files(driver)
            if self.handles is not None:
                self.handles.discard(self)

    def _close_files(self, driver: Driver | None) -> None:
        if driver is not None:
            driver.close()
            if self._timeline is not None:
                self._timeline.closed()
        with self._created_lock:
            # Not before SQLite has closed the file: see the top.
            if self._created is not None:
                os.close(self._created)
                self._created = None

    def _connect(self) -> Driver:
        if self._is_closed:
            raise StorageError("This object's storage is closed: the object has left memory.")
        handles = self.handles
        if handles is None or self.path is None:
            return self._open_file()
        with self.lock:
            self._is_connecting = True
            handles.add(self)
            try:
                try:
                    return self._open_file()
                except (OSError, StorageError):
                    # Whatever it was: with fewer files open it may be another thing.
                    if not handles.make_room(self):
                        raise
                    return self._open_file()
            except OSError as error:
                handles.discard(self)
                raise StorageUnavailable(f"The database {self.path} cannot be opened: {error}") from error
            except BaseException:
                handles.discard(self)
                raise
            finally:
                self._is_connecting = False

    def _open_file(self) -> Driver:
        module = load_driver(self._driver_name)
        path = self.path
        is_new = True
        if path is not None:
            template = _template(module)
            content = _start(path, len(template) + 1)
            is_new = not _is_whole(content, template)
            if is_new:
                self._create(path, template)
            elif self.is_synced and not self.is_certain:
                self._make_certain(path, len(template))
            if self._timeline is not None:
                self._timeline.is_untouched = is_new or _is_untouched(content, template)
            with self._hand_over:
                self._unsynced_folders.append(path.parent)  # The log will be a new entry in it.
        driver: Driver | None = None
        try:
            driver = module.connect(":memory:" if path is None else str(path), self._authorizer, self.limits)
            for statement in self._set_up():
                self._trusted(driver, statement)
            self._prepare_schema(driver, is_new)
            if self._lease is not None:
                self._take_over(driver, self._lease)
            if self._timeline is not None:
                self._begin_history(driver, self._timeline, is_new)
        except Exception as error:
            if driver is None:
                raise StorageUnavailable(f"The database {path} cannot be opened: {error}") from error
            is_ours = isinstance(error, StorageError | OwnershipLost)
            reason = error if is_ours else _opening_error(path, driver.explain(error))
            driver.close()
            raise reason from error
        self._driver = driver
        if self._watch.monotonic is not None:
            driver.watch_progress(self._watch.must_stop)
        if not is_new:
            if not self._was_open:
                self.on_open()
                if self.is_synced and not self.is_certain:
                    self.on_inherit()
        elif self._identity is not None:
            self.fetch("INSERT OR REPLACE INTO _cf_METADATA VALUES ('name', ?)", (_stored(self._identity),))
        self._was_open = True
        return driver

    def _begin_history(self, driver: Driver, timeline: Timeline, is_new: bool) -> None:
        if not driver.knows_log:
            self._timeline, self._no_timeline = None, _NO_DRIVER
            return
        driver.measure_log()
        if is_new:
            return
        timeline.opened(driver.frames)
        if timeline.has_restore():
            self._restore(driver, timeline)
            self._prepare_schema(driver, is_new)

    def _set_up(self) -> tuple[str, ...]:
        if self.path is None:
            return _SET_UP
        return (_SET_UP_SHARED if self._is_shared else _SET_UP_EXCLUSIVE, *_SET_UP_FILE, *_SET_UP)

    def _take_over(self, driver: Driver, lease: Lease) -> None:
        """See that no later owner has the database, and that an earlier one that still runs can no longer write."""
        if lease.displace is None:
            self._check_owner(driver, lease)
            return
        try:
            self._put_owner(driver, lease.token)
        except driver.errors as error:
            if driver.explain(error).code != "SQLITE_BUSY":
                raise
            lease.displace()
            self._put_owner(driver, lease.token)
        # Whoever was there before has been seen off: when the file is opened again it is enough to look.
        self._lease = replace(lease, displace=None)

    def _put_owner(self, driver: Driver, token: int) -> None:
        self._trusted(driver, f"BEGIN IMMEDIATE {_MARK}")
        try:
            for (known,) in self._trusted(driver, _GET_OWNER):
                if known > token:
                    raise OwnershipLost
                if known < token:
                    self.is_certain = False
            self._trusted(driver, _PUT_OWNER, (token,))
            self._trusted(driver, _COMMIT)
        except BaseException:
            self._trusted(driver, _ROLLBACK)
            raise

    def _make_certain(self, path: Path, least: int) -> None:
        """Have the next ``sync`` make sure of a file that is there, as of one that is made here."""
        if path.stat().st_size > least or self._created is not None:
            return  # It grows when a log is moved into it, and then SQLite syncs it.
        descriptor = os.open(path, os.O_RDWR)
        with self._created_lock:
            self._created = descriptor
        with self._hand_over:
            folder = path.parent
            while self.root is not None and folder != self.root and folder != folder.parent:
                folder = folder.parent
                self._unsynced_folders.append(folder)

    def _create(self, path: Path, content: bytes) -> None:
        """Put a new database at ``path``, whole or not at all. The first ``sync`` makes it last."""
        folders: list[Path] = []
        folder = path.parent
        while not folder.exists():
            folders.append(folder)
            folder = folder.parent
        for folder in reversed(folders):
            folder.mkdir(mode=0o700, exist_ok=True)
        for remains in (f"{path}-wal", f"{path}-shm", f"{path}-journal"):
            Path(remains).unlink(missing_ok=True)
        temporary = f"{path}-new{os.getpid() if self._is_shared else ''}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, content)
            if self._is_shared:
                _move_to_free_place(temporary, path)
            else:
                os.replace(temporary, path)
        except FileExistsError:
            os.close(descriptor)
            os.unlink(temporary)
            return  # Whoever made it meanwhile owns it, or did: the tokens tell.
        except OSError:
            os.close(descriptor)
            raise
        with self._created_lock:
            self._created = descriptor
        with self._hand_over:
            self._unsynced_folders += (folder.parent for folder in folders)

    def _prepare_schema(self, driver: Driver, is_new: bool) -> None:
        if is_new and self.path is not None:
            return
        version = 0
        if not is_new:
            try:
                known = dict(self._trusted(driver, _GET_VERSIONS))
            except driver.errors as error:
                if driver.explain(error).code != "SQLITE_ERROR":
                    raise
                known = {}  # A SQLite file from elsewhere.
            version = known.get("schema", 0)
            if self._timeline is not None:
                self._timeline.restores = known.get("restores", 0)
        if version == len(_STEPS):
            return
        if version > len(_STEPS):
            raise StorageError(
                f"{self.path} was written by a newer edgeagents (schema {version}, known: {len(_STEPS)}). "
                "Update edgeagents."
            )
        self._trusted(driver, f"BEGIN IMMEDIATE {_MARK}")
        try:
            for step in _STEPS[version:]:
                for statement in step:
                    self._trusted(driver, statement)
            self._trusted(driver, _PUT_VERSION, (len(_STEPS),))
            self._trusted(driver, _COMMIT)
        except BaseException:
            if driver.in_transaction():
                self._trusted(driver, _ROLLBACK)
            raise


@functools.cache
def _template(module: Any) -> bytes:
    """Return the content of a new database file: with our tables, in WAL mode."""
    authorizer = Authorizer()
    authorizer.is_trusted = True
    driver: Driver = module.connect(":memory:", authorizer, Limits())
    try:
        for step in _STEPS:
            for statement in step:
                driver.execute(statement, ())
        driver.execute(_PUT_VERSION, (len(_STEPS),))
        content = bytearray(driver.serialize())
    finally:
        driver.close()
    # The read and write version of the file format: 2 is WAL.
    content[18] = content[19] = 2
    return bytes(content)


class _Tools(WholeFiles):
    """What a timeline makes databases with."""

    def template(self) -> bytes:
        return _template(self._module)


def _has_content(path: Path) -> bool:
    # After a loss of power a file that was never synced may be there with its size and without its content.
    return any(_start(path, 16))


def _start(path: Path, length: int) -> bytes:
    """Return the first bytes of the file, none if it is not there. SQLite must not have it open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageUnavailable(f"The database {path} cannot be opened: {error}") from error
    try:
        return os.read(descriptor, length)
    finally:
        os.close(descriptor)


def _is_untouched(content: bytes, template: bytes) -> bool:
    # Another release of SQLite writes its own number there.
    return content[:92] == template[:92] and content[100:] == template[100:]


def _is_whole(content: bytes, template: bytes) -> bool:
    """Whether there is a database, and not what a loss of power left of a new one, which nobody has synced.

    ``content`` is the start of the file, as far as the template goes and one byte more.
    """
    if not any(content[:16]):
        return False
    if content[:92] != template[:92]:
        return len(content) >= 512  # Another database, or one into which a log was moved.
    pages = (content[at : at + _PAGE] for at in range(0, len(template), _PAGE))
    return len(content) >= len(template) and all(page.count(0) < len(page) for page in pages)


def _move_to_free_place(temporary: str, path: Path) -> None:
    template = Path(temporary).read_bytes()
    if path.exists() and not _is_whole(_start(path, len(template) + 1), template):
        path.unlink()
    # A link, unlike a rename, never takes the place of a file that is there.
    os.link(temporary, path)
    os.unlink(temporary)


def _remember(texts: dict[str, _Text], sql: str, text: _Text) -> None:
    if len(texts) >= _TEXTS_KEPT:
        texts.clear()
    texts[sql] = text


def _stored(name: str) -> str | bytes:
    """Return ``name`` as text, or as bytes where it has lone surrogates: SQLite has no text for those."""
    data = name.encode("utf-8", "surrogatepass")
    return name if data.decode("utf-8", "ignore") == name else data


def _opening_error(path: Path | None, fault: Fault) -> StorageError:
    if fault.code in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return StorageUnavailable(
            f"Another process has the database {path} open. Objects live in one process at a time."
        )
    kind = StorageUnavailable if fault.code in _UNAVAILABLE else StorageError
    return kind(f"The database {path} cannot be opened: {fault.message}: {fault.code}")


def _error(fault: Fault, error: Exception, sql: str, start: int, is_last: bool) -> Exception:
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
            pass
    if fault.code == "SQLITE_AUTH" or fault.message.startswith("not authorized"):
        return SqlError(NOT_AUTHORIZED, sql)
    offset = f" at offset {start + fault.offset}" if fault.offset >= 0 else ""
    extended = f" (extended: {fault.extended_code})" if fault.extended_code != fault.code else ""
    kind = SqlUnavailable if fault.code in _UNAVAILABLE else SqlError
    return kind(f"{fault.message}{offset}: {fault.code}{extended}", sql)
