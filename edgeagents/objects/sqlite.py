"""The database of one object: a SQLite file and the session with it.

Nothing here knows what is stored. ``storage``, ``sql`` and ``alarms`` stand on it, and ``sqlite_connection`` shows it
to libraries that expect a DB-API connection. The driver is chosen in ``sqlite_driver``, what runs and what is committed
is in ``sqlite_session``, and this decides when the file is opened, closed and made to last.

How it lasts. The file is in WAL mode with ``synchronous=NORMAL``: a commit appends to ``<file>-wal`` and survives the
end of the process. ``sync`` makes it survive the loss of power, from a thread, while the object goes on: it opens the
log by its path and syncs it, so it needs nothing of the connection. A checkpoint may move the log's content into the
database meanwhile, and the log may then be written from its start again; but SQLite syncs the log before it moves
anything and the database before it reuses the log, so what was committed before ``sync`` began is on disk in one or
the other when it ends. The database file must never be opened here while SQLite has it open: closing any descriptor
of it would drop SQLite's locks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeagents.errors import OwnershipLost, StorageError, StorageUnavailable
from edgeagents.objects import new_database, own_tables
from edgeagents.objects.database_events import DatabaseEvents
from edgeagents.objects.lease import Lease
from edgeagents.objects.limits import Limits
from edgeagents.objects.log_moving import LogMover
from edgeagents.objects.object_sql import ObjectSql
from edgeagents.objects.open_databases import OpenDatabases
from edgeagents.objects.own_tables import MARK, PUT_METADATA
from edgeagents.objects.ownership import Ownership
from edgeagents.objects.past import Past
from edgeagents.objects.sql_errors import opening_error
from edgeagents.objects.sqlite_driver import Driver, DriverName, load_driver
from edgeagents.objects.sqlite_session import Session
from edgeagents.objects.unsynced import Unsynced

if TYPE_CHECKING:
    from edgeagents.objects.sqlite_connection import Connection

__all__ = ["Database"]

_PATIENCE: Final = 0.005
_NOBODY_LISTENS: Final = DatabaseEvents()

_SET_UP: Final = (f"PRAGMA foreign_keys = ON {MARK}", f"PRAGMA temp_store = MEMORY {MARK}")
# First, so that SQLite keeps the index of the log in memory and not in a third file.
_SET_UP_EXCLUSIVE: Final = f"PRAGMA locking_mode = EXCLUSIVE {MARK}"
_SET_UP_SHARED: Final = f"PRAGMA busy_timeout = 1000 {MARK}"
_SYNC: Final = f"PRAGMA synchronous = NORMAL {MARK}"
_DO_NOT_SYNC: Final = f"PRAGMA synchronous = OFF {MARK}"
_SET_UP_FILE: Final = (
    f"PRAGMA journal_mode = WAL {MARK}",
    _SYNC,
    f"PRAGMA journal_size_limit = 4194304 {MARK}",
)
# SQLite takes room for 20 pages at once when a cache that may grow is empty; most objects need 5. So the cache gets its
# first page while it may not grow, and it may from then on, to SQLite's usual 2 MB.
_SMALL_CACHE: Final = (
    f"PRAGMA cache_size = 2 {MARK}",
    f"PRAGMA shrink_memory {MARK}",
    f"SELECT 1 FROM sqlite_schema LIMIT 1 {MARK}",
    f"PRAGMA cache_size = -2000 {MARK}",
)
_SIZE: Final = (
    "SELECT (page_count - freelist_count) * page_size "
    f"FROM pragma_page_count, pragma_freelist_count, pragma_page_size {MARK}"
)


class Database(Session):
    """One object's database. Made by ``open``; there is no file, and no connection, before something needs them."""

    __slots__ = (
        "_begins_log",
        "_connection",
        "_driver_name",
        "_identity",
        "_is_absent",
        "_is_connecting",
        "_is_shared",
        "_log_mover",
        "_ownership",
        "_unsynced",
        "_was_open",
        "handles",
        "is_certain",
        "is_closed",
        "is_synced",
        "object_sql",
        "past",
        "path",
        "takes_double_quotes",
    )

    def __init__(self, path: Path | None, driver: DriverName | None, events: DatabaseEvents, is_shared: bool) -> None:
        super().__init__(events)
        self.path = path
        self._is_shared = is_shared
        self._ownership: Ownership | None = None
        self.is_certain = False
        """Whether what is in the files is known to survive a loss of power, but for what was committed since."""
        self.is_synced = path is not None
        """Whether ``sync`` follows each commit, so that what waits for a commit to be kept waits for it."""
        self.handles: OpenDatabases | None = None
        """What counts the database while its file is open, and may have it suspended."""
        self.is_closed = False
        """Whether it was closed for good."""
        self.takes_double_quotes = False
        """Whether what is in double quotes is text where no column has that name."""
        self.object_sql = ObjectSql(self)
        """Runs the SQL of the object's code."""
        self.past = Past(self, driver)
        """What was, and the way back to it."""
        self._driver_name: DriverName | None = driver
        self._identity: str | None = None
        self._connection: Connection | None = None
        self._begins_log = self._is_absent = self._is_connecting = self._was_open = False
        self._unsynced = Unsynced(path)
        self._log_mover = LogMover(self)

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        driver: DriverName | None = None,
        events: DatabaseEvents = _NOBODY_LISTENS,
        is_shared: bool = False,
    ) -> Database:
        """Return the database at ``path``, or one in memory. The file need not be there, nor its folder.

        One that ``is_shared`` may be open in other processes too, which wait for each other's transactions.
        """
        return cls(path, driver, events, is_shared)

    def bound(self, limits: Limits, monotonic: Callable[[], float] | None = None) -> None:
        """Hold to ``limits`` from now on, to that of time by ``monotonic``. Call it before anything else."""
        self.limits = limits
        if limits.sql_seconds is not None:
            self.watch.seconds, self.watch.monotonic = limits.sql_seconds, monotonic

    def accept_double_quoted_text(self) -> None:
        """Take what is in double quotes for text where no column has that name, as SQLite did in its early days."""
        self.takes_double_quotes = True
        if self.open_driver is not None:
            self.open_driver.accept_double_quoted_text()

    def claim(self, lease: Lease) -> None:
        """Write by the right of ``lease`` from now on. Call it before anything else.

        Raises ``OwnershipLost`` when a later owner has the database.
        """
        if self.path is None or not lease.is_shared:
            return
        self._is_shared, self._ownership = True, Ownership(lease)
        if self._ownership.may_displace:
            _ = self.driver

    # What it is

    @property
    def exists(self) -> bool:
        """Whether anything was ever written, so that there is something to read."""
        if self.open_driver is not None:
            return True
        if self.path is None or self._is_absent:
            return False
        exists = new_database.has_content(self.path)
        # Nobody else makes the file of a database that one alone may write.
        self._is_absent = not exists and (self._ownership is not None or not self._is_shared)
        return exists

    @property
    def size(self) -> int:
        """The bytes in use. Zero before something was written."""
        return self.fetch(_SIZE)[0][0] if self.exists else 0

    @property
    def identity(self) -> str | None:
        """The object's name as it stands in the database, if the object has one."""
        if self.exists:
            for (name,) in self.fetch("SELECT value FROM _cf_METADATA WHERE key = 'name'"):
                return name.decode("utf-8", "surrogatepass") if isinstance(name, bytes) else name
        return self._identity

    def set_identity(self, name: str | None) -> None:
        """Keep ``name`` in the database from its first write on, so that the file tells whose it is."""
        self._identity = name

    @property
    def connection(self) -> Connection:
        """The same connection for libraries that expect a DB-API one. It obeys the rules for an object's SQL."""
        from edgeagents.objects.sqlite_connection import Connection

        if self._connection is None:
            self._connection = Connection(self)
        return self._connection

    @property
    def is_owned(self) -> bool:
        return self._ownership is not None

    def check_owner(self, driver: Driver) -> None:
        if self._ownership is not None:
            self._ownership.check(driver)

    # What lasts

    @property
    def root(self) -> Path | None:
        """A folder above the database that is there for certain; None: the one that the database is in."""
        return self._unsynced.root

    @root.setter
    def root(self, folder: Path | None) -> None:
        self._unsynced.root = folder

    @property
    def before_sync(self) -> Callable[[], object] | None:
        """Called once by the next ``sync``, before the database itself is synced."""
        return self._unsynced.before_sync

    @before_sync.setter
    def before_sync(self, fn: Callable[[], object] | None) -> None:
        self._unsynced.before_sync = fn

    def sync(self) -> None:
        """Return when what was committed before survives a loss of power. It waits for the disk: for threads."""
        driver = self.open_driver
        is_all, when_kept = self._unsynced.sync(has_log=driver is not None and driver.knows_log and driver.frames > 0)
        self.is_certain = self.is_certain or is_all
        if when_kept is not None:
            when_kept()
        self._unsynced.called()
        self.past.note()

    @property
    def is_keeping(self) -> bool:
        """Whether somebody waits for ``sync`` to be told of what was committed."""
        return self._unsynced.is_keeping

    def sync_folder_too(self, folder: Path) -> None:
        """Have the next ``sync`` make sure of a folder as well, from which a file was removed."""
        self._unsynced.add_folder(folder)

    def call_when_kept(self, fn: Callable[[], object]) -> None:
        if self.is_synced:
            self._unsynced.call_when_kept(fn)
        else:
            fn()

    def let_go(self) -> None:
        """Commit, in a sync handler, what others are about to see."""
        self.events.let_go()

    def committed(self, driver: Driver) -> None:
        if self._begins_log:
            self._begins_log = False
            driver.run_once(_SYNC)
        if self._log_mover.is_due_at_once(driver):
            self._log_mover.move_at_once(driver)
        timeline = self.past.timeline
        if timeline is not None and not self.is_synced and not timeline.touch(driver.frames):
            self.past.note(is_quick=True)

    @property
    def is_untidy(self) -> bool:
        """Whether ``tidy`` has something to do."""
        return self._log_mover.is_due

    def tidy(self) -> None:
        """Move a log that has grown into the database, and its copy into the history. Waits for the disk."""
        self._log_mover.move()

    # The file

    def interrupt(self) -> None:
        """Make the statement that runs now fail with SQLITE_INTERRUPT. Any thread may call this."""
        driver = self.open_driver
        if driver is not None:
            driver.interrupt()

    @contextmanager
    def seized(self) -> Generator[None]:
        """Have the connection for oneself. A thread that runs a statement is interrupted in it, and not waited for."""
        while not self.lock.acquire(timeout=_PATIENCE):
            self.interrupt()
        try:
            yield
        finally:
            self.lock.release()

    def suspend(self) -> bool:
        """Close the file until it is needed again, unless something depends on its being open; return whether it is
        closed. Any thread may call this.
        """
        return self._close_for_now(ends_cursors=False)

    def end_cursors(self) -> bool:
        """Take from cursors the rows that they have left, and undo what was not committed. When something depends on
        the file's being open nothing is done; return whether it was.
        """
        with self.lock:
            return self._close_for_now(ends_cursors=True)

    def _close_for_now(self, *, ends_cursors: bool) -> bool:
        if not self.lock.acquire(blocking=False):
            return False
        try:
            driver = self.open_driver
            if driver is None:
                return not self._is_connecting
            if self.is_bound or self._unsynced.needs_descriptor(is_synced=self.is_synced):
                return False
            if not (ends_cursors or self.is_at_rest):
                return False
            timeline = self.past.timeline
            if timeline is None:
                return self._suspend(driver, ends_cursors=ends_cursors)
            # What is to be restored when the object starts the next time must not be so when the file is opened again.
            if timeline.has_restore() or not timeline.lock.acquire(blocking=False):
                return False
            try:
                return self._suspend(driver, ends_cursors=ends_cursors)
            finally:
                timeline.lock.release()
        finally:
            self.lock.release()

    def _suspend(self, driver: Driver, *, ends_cursors: bool) -> bool:
        if ends_cursors:
            self.rollback()
        self.end_reading()
        self._forget_compiled()
        if driver.is_reading() and not ends_cursors:
            return False
        self.open_driver = None
        self._close_files(driver)
        return True

    def close(self) -> None:
        """Close the connection for good. What was not committed is lost, what was is kept. Does not wait for the
        disk.
        """
        with self.lock:
            driver, self.open_driver = self.open_driver, None
            self.forget_transaction()
            self._forget_compiled()
            self.is_closed = True
            self._close_files(driver)
            if self.handles is not None:
                self.handles.discard(self)

    def _forget_compiled(self) -> None:
        self.known.clear()
        self.spare.clear()
        self.has_compiled = self.is_stale = False

    def _close_files(self, driver: Driver | None) -> None:
        if driver is not None:
            driver.close()
            if self.past.timeline is not None:
                self.past.timeline.closed()
        self._unsynced.close()

    def connect(self) -> Driver:
        if self.is_closed:
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
        self._is_absent = False
        module = load_driver(self._driver_name)
        path = self.path
        is_new = path is None or self._prepare_file(path, new_database.template(module))
        try:
            driver = module.connect(":memory:" if path is None else str(path), self.authorizer, self.limits)
        except Exception as error:
            raise StorageUnavailable(f"The database {path} cannot be opened: {error}") from error
        try:
            self._set_up(driver, is_new)
        except Exception as error:
            is_ours = isinstance(error, StorageError | OwnershipLost)
            reason = error if is_ours else opening_error(path, driver.explain(error))
            driver.close()
            raise reason from error
        self.open_driver = driver
        if self.watch.monotonic is not None:
            driver.watch_progress(self.watch.must_stop)
        if not is_new:
            self._tell_of_opening()
        elif self._identity is not None:
            self.fetch(PUT_METADATA, ("name", _stored(self._identity)))
        self._was_open = True
        return driver

    def _prepare_file(self, path: Path, template: bytes) -> bool:
        """Make the file, unless there is one, and remember what the next sync must make sure of; return whether."""
        content = new_database.start_of(path, len(template) + 1)
        is_new = not new_database.is_whole(content, template)
        if is_new:
            self._unsynced.create(path, template, is_shared=self._is_shared)
        elif self.is_synced and not self.is_certain:
            self._unsynced.doubt(path, len(template))
        self.past.opening(is_untouched=is_new or new_database.is_untouched(content, template))
        self._unsynced.add_folder(path.parent)  # The log will be a new entry in it.
        return is_new

    def _set_up(self, driver: Driver, is_new: bool) -> None:
        if self.path is None:
            statements = _SET_UP
        else:
            mode = _SET_UP_SHARED if self._is_shared else _SET_UP_EXCLUSIVE
            statements = (mode, *_SET_UP_FILE, *_SET_UP, *_SMALL_CACHE)
        for statement in statements:
            driver.run_once(statement)
        # SQLite syncs the head of a log that it begins, and whoever commits waits for the disk: what an older log has
        # left in the file must not be taken for a part of the new one. In a new file there is nothing of that kind.
        self._begins_log = is_new and self.path is not None and driver.knows_log
        if self._begins_log:
            driver.run_once(_DO_NOT_SYNC)
        if self.takes_double_quotes:
            driver.accept_double_quoted_text()
        if not is_new:
            self._bring_tables_up_to_date(driver)
        elif self.path is None:
            own_tables.bring_up_to_date(driver, 0, None)
        if self._ownership is not None and self._ownership.take_over(driver):
            self.is_certain = False
        if self.past.begin(driver, is_new=is_new):
            self.forget_known()
            self._bring_tables_up_to_date(driver)

    def _bring_tables_up_to_date(self, driver: Driver) -> None:
        version, restores = own_tables.versions(driver)
        if self.past.timeline is not None:
            self.past.timeline.restores = restores
        own_tables.bring_up_to_date(driver, version, self.path)

    def _tell_of_opening(self) -> None:
        if not self._was_open:
            self.events.on_open()
            if self.is_synced and not self.is_certain:
                self.events.on_inherit()


def _stored(name: str) -> str | bytes:
    """Return ``name`` as text, or as bytes where it has lone surrogates: SQLite has no text for those."""
    data = name.encode("utf-8", "surrogatepass")
    return name if data.decode("utf-8", "ignore") == name else data
