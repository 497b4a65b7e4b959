"""A session with SQLite: one connection, the statements that run on it, and the one transaction that they are in.

A write begins an *implicit transaction*, which ends when the output gate commits it: so writes without an ``await``
in between are kept together or not at all. An *explicit* one is a savepoint within it, and holds the commit back
while it runs.

How the connection comes to be, and what its files are, is for ``sqlite`` to say; the SQL of an object's code runs by
``object_sql``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from edgeagents.errors import OwnershipLost, SqlError, SqlLimitError, StorageError, StorageUnavailable
from edgeagents.objects.authorizer import Authorizer
from edgeagents.objects.database_events import DatabaseEvents
from edgeagents.objects.followers import Followers
from edgeagents.objects.limits import Limits
from edgeagents.objects.own_tables import MARK
from edgeagents.objects.sql_errors import sql_error
from edgeagents.objects.sql_watch import SqlWatch
from edgeagents.objects.sqlite_driver import Driver, DriverCursor, Parameters

if TYPE_CHECKING:
    from edgeagents.objects.object_sql import KnownSql

__all__ = ["CommitPutOff", "Session"]

_BEGIN: Final = f"BEGIN {MARK}"
_COMMIT: Final = f"COMMIT {MARK}"
_ROLLBACK: Final = f"ROLLBACK {MARK}"
_LIMITS: Final = Limits()
_NOTHING_KNOWN: Final[dict[str, KnownSql]] = {}


class _Held:
    """An explicit transaction, as those know it who run in it. Each is another one."""


_held_here: ContextVar[_Held | None] = ContextVar("edgeagents_held", default=None)


class CommitPutOff(StorageUnavailable):
    """Something has to be done before the commit that cannot be done just now: try again in so many ``seconds``."""

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(message)


class Session:
    """Runs our own statements, and keeps the transaction that all statements are in.

    Methods may be called in any thread, one at a time: ``lock`` is held while a statement runs.
    """

    __slots__ = (
        "_followers",
        "_held",
        "_levels",
        "_lost",
        "authorizer",
        "before_commit",
        "events",
        "has_begun",
        "has_compiled",
        "is_pinned",
        "is_stale",
        "is_used",
        "is_writing",
        "known",
        "limits",
        "lock",
        "open_driver",
        "ready",
        "schema_changes",
        "spare",
        "watch",
        "work",
    )

    def __init__(self, events: DatabaseEvents) -> None:
        self.lock = threading.RLock()
        self.events = events
        """Whom it tells of what happens."""
        self.before_commit: Callable[[], Callable[[], object] | None] | None = None
        """Called within the next commit that has something to write; what it returns is called when that is kept. It
        may raise ``CommitPutOff``: then nothing is committed, and the next commit calls it again."""
        self.limits = _LIMITS
        self.authorizer = Authorizer(self.forget_known)
        self.open_driver: Driver | None = None
        """The connection, if it is open."""
        self.has_begun = False
        """Whether SQLite is in a transaction."""
        self.known: dict[str, KnownSql] = {}
        """What is known of the texts of the object's SQL that were run before, until the schema changes."""
        self.schema_changes = 0
        """How often the schema may have changed."""
        self.ready = _NOTHING_KNOWN
        """The same while SQLite is in a transaction, so that such a text can run at once; else nothing."""
        self.spare: list[DriverCursor] = []
        """Cursors that have done what they were to do. Whoever needs one takes it out, and puts it back."""
        self.has_compiled = self.is_stale = False
        """Whether the driver may have a compiled statement that gives rows, and whether it is older than the schema:
        SQLite compiles it anew when it runs, but not before it is asked for the names of its columns."""
        self.is_writing = False
        """Whether something was written in it."""
        self.is_used = False
        """Whether it was used since somebody set this to False."""
        self.is_pinned = False
        """Whether the object's code has made functions or collations, or has switched foreign keys off."""
        self._lost: StorageError | None = None
        self._levels = 0
        self._held: _Held | None = None
        self._followers = Followers()
        self.work = 0
        """Counts what SQLite is asked to do without a pause. Whoever steps through a cursor adds to it."""
        self.watch = SqlWatch(self)

    @property
    def driver(self) -> Driver:
        """The open connection, opened if need be."""
        return self.open_driver or self.connect()

    def connect(self) -> Driver:
        """Open the connection."""
        raise NotImplementedError

    @property
    def in_transaction(self) -> bool:
        """Whether something was written that is not committed."""
        return self.is_writing

    @property
    def held(self) -> bool:
        """Whether an explicit transaction runs, so that nothing can be committed now."""
        return self._levels > 0

    @property
    def is_held_here(self) -> bool:
        """Whether what runs here is a part of the explicit transaction that runs: its end is for this to bring about,
        and not to wait for.
        """
        return self._levels > 0 and _held_here.get() is self._held

    @property
    def level(self) -> int:
        """How many explicit transactions run, one within the other."""
        return self._levels

    # Statements

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a statement of our own, which may do anything; return its rows.

        A text that an object's code must not be able to run needs ``_cf_`` in it, as all names of internal tables have.
        """
        # In half the time of a with statement.
        self.lock.acquire()
        try:
            self.work += 1
            driver = self.open_driver or self.connect()
            if not self.has_begun:
                self.begin(driver)
            cursor = self.spare.pop() if self.spare else driver.cursor()
            self.authorizer.is_trusted = True
            try:
                rows = cursor.execute(sql, parameters).fetchall()
            except driver.errors as error:
                raise self.explain(error, sql) from error
            finally:
                self.authorizer.is_trusted = False
            self.spare.append(cursor)
            if not self.is_writing and driver.is_writing():
                self.note_write()
            return rows
        finally:
            self.lock.release()

    def explain(self, error: Exception, sql: str, start: int = 0, *, is_last: bool = True) -> Exception:
        """Return what the object's code is told of a driver's ``error``."""
        driver = self.open_driver
        assert driver is not None
        if self.has_begun and not driver.in_transaction():
            self._note_loss(error)
        fault = driver.explain(error)
        if self.watch.has_ended_one:
            self.watch.has_ended_one = False
            return SqlLimitError("The statement took too long.", sql, "sql_seconds", self.watch.seconds or 0)
        if fault.code == "SQLITE_BUSY" and self.is_owned:
            # Nobody but another owner writes: what is read here is old.
            return OwnershipLost()
        return sql_error(fault, sql, self.limits, start=start, is_last=is_last)

    @property
    def is_owned(self) -> bool:
        """Whether there is one owner at a time, which alone may write."""
        return False

    # Transactions

    def begin(self, driver: Driver) -> None:
        """Begin the implicit transaction.

        Also before a statement that only reads: SQLite alone knows, when it has run, whether it wrote.
        """
        driver.fetch_trusted(_BEGIN)
        self.authorizer.saw_write = False
        self.has_begun = self.is_used = True
        self.ready = self.known

    def forget_known(self) -> None:
        """The schema is not what it was: know nothing of any text."""
        self.known.clear()
        self.is_stale = self.has_compiled
        self.schema_changes += 1

    def _ended(self) -> None:
        self.has_begun = self.is_writing = False
        self.ready = _NOTHING_KNOWN

    def note_write(self) -> None:
        """The first statement that wrote has run."""
        self.is_writing = True
        self.events.on_write()

    def _note_loss(self, error: Exception) -> None:
        # The disk is full, or the object's SQL said ON CONFLICT ROLLBACK: SQLite has ended the whole transaction.
        if self.is_writing:
            self._lost = StorageUnavailable(f"SQLite has undone the whole transaction: {error}")
        self.has_begun = False
        self.ready = _NOTHING_KNOWN
        self.forget_known()

    def end_reading(self) -> None:
        """Let go of the state that was read, so that the next statement sees what others have written since."""
        with self.lock:
            driver = self.open_driver
            if driver is not None and self.has_begun and not self.is_writing:
                driver.fetch_trusted(_COMMIT)
                self._ended()

    def commit(self) -> bool:
        """Commit the implicit transaction; return whether there was one to commit. Does not wait for the disk.

        While an explicit transaction holds it, nothing is done. Raises ``StorageError`` when it cannot be kept: then
        nothing of it is, and ``CommitPutOff`` when it cannot be committed yet.
        """
        with self.lock:
            if self._levels or not self.is_writing:
                return False
            if self._lost is not None:
                raise self._lost
            driver = self.open_driver
            assert driver is not None
            when_kept = None
            if self.before_commit is not None:
                when_kept = self.before_commit()
                self.before_commit = None
            try:
                self.check_owner(driver)
                driver.fetch_trusted(_COMMIT)
            except driver.errors as error:
                raise self._commit_error(driver, error) from error
            self._ended()
            self.committed(driver)
        if when_kept is not None:
            self.call_when_kept(when_kept)
        return True

    def _commit_error(self, driver: Driver, error: Exception) -> Exception:
        fault = driver.explain(error)
        if fault.code != "SQLITE_CONSTRAINT":
            return StorageUnavailable(f"The writes could not be committed: {error}")
        # A deferred foreign key: the object's code is at fault, not the disk.
        told = sql_error(fault, "COMMIT", self.limits)
        told.add_note(
            "A deferred constraint still did not hold when what was written was committed: at an await, or at the end. "
            "The object is reset, and nothing of it is kept."
        )
        return told

    def check_owner(self, driver: Driver) -> None:
        """Raise ``OwnershipLost`` when another owner has the database."""

    def committed(self, driver: Driver) -> None:
        """Called after each commit."""

    def call_when_kept(self, fn: Callable[[], object]) -> None:
        """Call ``fn`` when what was committed is kept as durably as it is going to be."""
        fn()

    def rollback(self) -> None:
        """Undo everything that was not committed, explicit transactions too."""
        with self.lock:
            driver = self.open_driver
            if driver is not None and self.has_begun and driver.in_transaction():
                driver.fetch_trusted(_ROLLBACK)
            self.forget_transaction()
            # The schema may have gone back.
            self.forget_known()

    def forget_transaction(self) -> None:
        """Be in no transaction any more: SQLite is in none."""
        self._ended()
        self._lost = self.before_commit = None
        self._levels = 0
        self._followers.clear()

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing was written that is not committed."""
        return not (self.is_writing or self._levels or self._lost)

    @property
    def is_bound(self) -> bool:
        """Whether the connection has something that the next one would not have."""
        return self.is_pinned or self.authorizer.has_settings

    def savepoint(self) -> int:
        """Begin an explicit transaction, within another one if one runs. End it with ``release``, in order."""
        with self.lock:
            driver = self.open_driver or self.connect()
            if not self.has_begun:
                self.begin(driver)
            driver.fetch_trusted(f"SAVEPOINT _cf_{self._levels}")
            if not self._levels:
                self._held = _Held()
                _held_here.set(self._held)
            self._levels += 1
            return self._levels

    def rollback_to(self, level: int) -> None:
        """Undo what was written since ``savepoint`` returned ``level``. The transaction goes on."""
        with self.lock:
            driver = self.open_driver
            if driver is not None and level <= self._levels and driver.in_transaction():
                driver.fetch_trusted(f"ROLLBACK TO _cf_{level - 1}")
                self.forget_known()
            undone = self._followers.rolled_back(level)
        for tell in undone:
            tell()

    def release(self, level: int) -> None:
        """End the explicit transaction that ``savepoint`` began with ``level``, and those within it."""
        with self.lock:
            driver = self.open_driver
            if level > self._levels:
                return  # A rollback of everything has ended it.
            self._levels = level - 1
            if driver is not None and driver.in_transaction() and self.has_begun:
                driver.fetch_trusted(f"RELEASE _cf_{level - 1}")
            kept = self._followers.ended(level)
        for tell in kept:
            tell()
        if not self._levels:
            self.events.on_release()

    def follow(self, kept: Callable[[], object], undone: Callable[[], object]) -> None:
        """Call ``kept`` when the explicit transaction that runs has ended, and all that it is in; or ``undone`` when it
        is rolled back, or one that it is in. When none runs ``kept`` is called at once.
        """
        with self.lock:
            if self._levels:
                self._followers.add(self._levels, kept, undone)
                return
        kept()

    def enforce_foreign_keys(self, enforce: bool) -> None:
        """Change whether foreign keys are enforced. The pragma does nothing within a transaction; this does."""
        driver = self.driver
        if driver.enforce_foreign_keys(enforce):
            return
        if self.held:
            raise SqlError("PRAGMA foreign_keys cannot be changed within a transaction with this driver.")
        self.commit()
        self.end_reading()
        driver.fetch_trusted(f"PRAGMA foreign_keys = {int(enforce)}")
