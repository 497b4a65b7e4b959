"""SQLite through apsw."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import apsw

from edgeagents.objects.authorizer import Authorizer
from edgeagents.objects.limits import Limits
from edgeagents.objects.sqlite_driver import PROGRESS_STEPS, DriverCursor, Fault, Parameters, engine_limits

if TYPE_CHECKING:
    from edgeagents.objects.row_counts import StatementWork

__all__ = ["connect"]

# Both map names to numbers and numbers to names.
_RESULT_CODES = cast("dict[Any, Any]", apsw.mapping_result_codes)
_EXTENDED_RESULT_CODES = cast("dict[Any, Any]", apsw.mapping_extended_result_codes)
_CODES: dict[int, str] = {code: name for name, code in _RESULT_CODES.items() if isinstance(name, str)}
_EXTENDED_CODES: dict[int, str] = {code: name for name, code in _EXTENDED_RESULT_CODES.items() if isinstance(name, str)}
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE


def connect(path: str, authorizer: Authorizer, limits: Limits) -> ApswDriver:
    """Open the database at ``path``, which may be ``:memory:``."""
    return ApswDriver(path, authorizer, limits)


class ApswDriver:
    """See ``Driver``."""

    errors = (apsw.Error, TypeError, OverflowError)
    knows_log = True

    def __init__(self, path: str, authorizer: Authorizer, limits: Limits) -> None:
        self._authorizer = authorizer
        self._connection = connection = apsw.Connection(path, flags=_FLAGS)
        self.execute: Callable[[str, Parameters], DriverCursor] = cast(Any, connection.execute)
        self.cursor: Callable[[], DriverCursor] = cast(Any, connection.cursor)
        self._txn_state, self.total_changes = connection.txn_state, connection.total_changes
        self.wal_pages = self.frames = 0
        self._notes_changes = False
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for limit, value in engine_limits(limits).items():
            connection.limit(limit, value)
        # With a hook of our own SQLite does not checkpoint within a commit.
        connection.set_wal_hook(self._note_wal)
        connection.authorizer = cast(Any, authorizer)

    def _note_wal(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self.wal_pages = self.frames = pages
        return apsw.SQLITE_OK

    def execute_first(
        self, sql: str, parameters: Parameters, *, keep: bool
    ) -> tuple[DriverCursor, tuple[str, ...], bool]:
        facts: list[Any] = [(), True]

        def note(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
            facts[:] = tuple(name for name, _ in cursor.get_description()), cursor.is_readonly
            return True

        cursor = self._connection.cursor()
        cursor.exec_trace = cast(Any, note)
        cursor.execute(sql, cast(Any, parameters), can_cache=keep)
        cursor.exec_trace = None
        return cast(DriverCursor, cursor), facts[0], facts[1]

    def fetch_trusted(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        authorizer = self._authorizer
        was_trusted, authorizer.is_trusted = authorizer.is_trusted, True
        try:
            return self.execute(sql, parameters).fetchall()
        finally:
            authorizer.is_trusted = was_trusted

    def run_once(self, sql: str) -> None:
        self._authorizer.is_trusted = True
        try:
            self._connection.execute(sql, can_cache=False).fetchall()
        finally:
            self._authorizer.is_trusted = False

    def explain(self, error: Exception) -> Fault:
        if isinstance(error, apsw.BindingsError):
            return Fault("bindings")
        if isinstance(error, OverflowError):
            return Fault("integer")
        if isinstance(error, TypeError):
            return Fault("type", str(error))
        code = _CODES.get(getattr(error, "result", 1), "SQLITE_ERROR")
        return Fault(
            "sqlite",
            str(error),
            code,
            _EXTENDED_CODES.get(getattr(error, "extendedresult", 1), code),
            getattr(error, "error_offset", -1),
        )

    def is_writing(self) -> bool:
        return self._txn_state() == 2  # SQLITE_TXN_WRITE

    def is_reading(self) -> bool:
        return self._txn_state() > 0

    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def changes(self) -> int:
        return self._connection.changes()

    def last_insert_rowid(self) -> int:
        return self._connection.last_insert_rowid()

    def is_complete(self, sql: str) -> bool:
        return apsw.complete(sql)

    def enforce_foreign_keys(self, enforce: bool) -> bool:
        # Unlike the pragma, this also works within a transaction.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))
        return True

    def create_function(self, name: str, count: int, fn: Callable[..., Any] | None, deterministic: bool) -> None:
        self._connection.create_scalar_function(name, fn, count, deterministic=deterministic)

    def create_aggregate(self, name: str, count: int, factory: Callable[[], Any] | None) -> None:
        self._connection.create_aggregate_function(name, None if factory is None else _aggregate(factory), count)

    def create_collation(self, name: str, fn: Callable[[str, str], int] | None) -> None:
        self._connection.create_collation(name, fn)

    def accept_double_quoted_text(self) -> None:
        self._connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 1)
        self._connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 1)

    def checkpoint(self) -> bool:
        try:
            logged, moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.LockedError):
            return False  # A cursor still reads: another time.
        self.frames = logged
        if moved == logged:
            self.wal_pages = 0
        return moved == logged

    def measure_log(self) -> None:
        logged, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        self.wal_pages = self.frames = max(logged, 0)

    def overwrite(self, source: str) -> None:
        other = apsw.Connection(source, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with self._connection.backup("main", other, "main") as backup:
                backup.step()
        finally:
            other.close()

    def copy_to(self, target: str) -> None:
        other = apsw.Connection(target, flags=_FLAGS)
        try:
            with other.backup("main", self._connection, "main") as backup:
                backup.step()
        finally:
            other.close()

    def serialize(self) -> bytes:
        return self._connection.serialize("main")

    def interrupt(self) -> None:
        self._connection.interrupt()

    def watch_progress(self, must_stop: Callable[[], bool]) -> None:
        self._connection.set_progress_handler(must_stop, PROGRESS_STEPS)

    def note_work(self, work: StatementWork | None, *, changed: bool = False) -> bool:
        connection = self._connection
        if work is None:
            connection.trace_v2(0, None)
            if self._notes_changes:
                connection.preupdate_hook(None)
                self._notes_changes = False
            return True

        def note_end(event: dict[str, Any]) -> None:
            status = event["stmt_status"]
            work.steps = status["SQLITE_STMTSTATUS_VM_STEP"]
            work.passed = status["SQLITE_STMTSTATUS_FULLSCAN_STEP"]

        def note_change(update: apsw.PreUpdate) -> None:
            if update.op != "DELETE":
                work.changed[update.table_name, update.op == "UPDATE"] += 1

        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note_end)
        if changed:
            connection.preupdate_hook(note_change)
            self._notes_changes = True
        return True

    def close(self) -> None:
        self._connection.authorizer = None
        self._connection.close(True)


def _aggregate(factory: Callable[[], Any]) -> Callable[[], tuple[Any, Callable[..., None], Callable[[Any], Any]]]:
    def make() -> tuple[Any, Callable[..., None], Callable[[Any], Any]]:
        return factory(), lambda state, *values: state.step(*values), lambda state: state.finalize()

    return make
