"""SQLite drivers: the little that storage asks of one, and how each is chosen.

``apsw`` brings a recent SQLite of its own and is the one to use. Python's ``sqlite3`` stands in where it is not
installed: slower, and without the places of errors in a statement. Only ``sqlite_apsw`` and ``sqlite_stdlib`` name
them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from edgeagents.objects.authorizer import Authorizer
from edgeagents.objects.limits import Limits

if TYPE_CHECKING:
    from edgeagents.objects.row_counts import StatementWork

__all__ = [
    "PROGRESS_STEPS",
    "Driver",
    "DriverCursor",
    "DriverName",
    "Fault",
    "Parameters",
    "engine_limits",
    "load_driver",
]

DriverName = Literal["apsw", "sqlite3"]
Parameters = Sequence[Any] | Mapping[str, Any]

# sqlite3_limit, with workerd's figures. Bytes of a string, blob or row (0), of a statement (1), and columns (2) are
# for ``Limits`` to say. The number of variables (9) is checked in ``sql.py``: what builds statements for many rows at
# once, such as sqlite-utils, needs more of them.
_ENGINE_LIMITS: dict[int, int] = {
    3: 100,  # depth of an expression
    4: 5,  # terms of a compound SELECT
    5: 25_000,  # instructions of a compiled statement
    6: 127,  # arguments of a function
    7: 0,  # attached databases
    8: 50,  # bytes of a LIKE or GLOB pattern
    10: 10,  # depth of triggers
    11: 0,  # worker threads
}

PROGRESS_STEPS = 50_000
"""Instructions of a compiled statement after which SQLite asks whether it may go on: some milliseconds of work."""


def engine_limits(limits: Limits) -> dict[int, int]:
    """Return the limits to set on a connection, by SQLite's numbers for them."""
    return {0: limits.row_bytes, 1: limits.statement_bytes, 2: limits.sql_columns, **_ENGINE_LIMITS}


@dataclass(frozen=True, slots=True)
class Fault:
    """What a driver's exception says. ``kind`` is SQLite's, or what SQLite has no code for."""

    kind: Literal["sqlite", "bindings", "type", "integer"]
    message: str = ""
    code: str = ""
    extended_code: str = ""
    offset: int = -1


class DriverCursor(Protocol):
    """A statement that was run up to its first row."""

    def execute(self, sql: str, parameters: Parameters, /) -> DriverCursor: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def close(self) -> None: ...


class Driver(Protocol):
    """One open connection."""

    errors: tuple[type[Exception], ...]
    """What ``execute`` and cursors raise."""
    execute: Callable[[str, Parameters], DriverCursor]
    """Run one statement up to its first row."""
    cursor: Callable[[], DriverCursor]
    """Return a cursor that can run statements, one after the other. It is quicker than a new one for each."""
    wal_pages: int
    """Pages in the write-ahead log that are to be moved, or 0 when SQLite looks after it by itself."""
    frames: int
    """Pages in the write-ahead log, moved or not. Only known where ``knows_log`` is true."""
    knows_log: bool
    """Whether the log is moved and begun anew only when ``checkpoint`` is called."""

    def execute_first(
        self, sql: str, parameters: Parameters, *, keep: bool
    ) -> tuple[DriverCursor, tuple[str, ...], bool]:
        """Run a statement that was not run before; return also its columns and whether it only reads.

        Unless ``keep``, it is compiled anew and forgotten.
        """
        ...

    def fetch_trusted(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Run one statement of our own, which may do anything; return its rows."""
        ...

    def run_once(self, sql: str) -> None:
        """Run one statement of our own to its end, and keep nothing of it."""
        ...

    def explain(self, error: Exception) -> Fault:
        """Return what ``error`` says."""
        ...

    def is_writing(self) -> bool:
        """Whether a write transaction is open."""
        ...

    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def is_reading(self) -> bool:
        """Whether a cursor has rows left, so that closing would take them from it. Asked outside of a transaction."""
        ...

    def total_changes(self) -> int:
        """Return the number of rows changed so far."""
        ...

    def changes(self) -> int:
        """Return the number of rows that the last INSERT, UPDATE or DELETE changed."""
        ...

    def last_insert_rowid(self) -> int:
        """Return the id of the row that was inserted last."""
        ...

    def is_complete(self, sql: str) -> bool:
        """Whether ``sql`` ends with the end of a statement."""
        ...

    def enforce_foreign_keys(self, enforce: bool) -> bool:
        """Change whether foreign keys are enforced, also within a transaction. Return False if that cannot be done."""
        ...

    def create_function(self, name: str, count: int, fn: Callable[..., Any] | None, deterministic: bool) -> None:
        """Make ``fn`` callable in SQL."""
        ...

    def create_aggregate(self, name: str, count: int, factory: Callable[[], Any] | None) -> None:
        """Make a class with ``step`` and ``finalize`` callable in SQL."""
        ...

    def create_collation(self, name: str, fn: Callable[[str, str], int] | None) -> None:
        """Make ``fn`` usable after COLLATE."""
        ...

    def accept_double_quoted_text(self) -> None:
        """Take text in double quotes for text where no column has that name, as SQLite did in its early days."""
        ...

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the database as far as that is possible now; return whether that was all."""
        ...

    def measure_log(self) -> None:
        """Find out how many pages there are in the write-ahead log."""
        ...

    def overwrite(self, source: str) -> None:
        """Make this database what the one at the path ``source`` is, in one commit."""
        ...

    def copy_to(self, target: str) -> None:
        """Make the database at the path ``target`` what this one is, as of now."""
        ...

    def serialize(self) -> bytes:
        """Return the database as it would stand in a file."""
        ...

    def interrupt(self) -> None:
        """Make what runs now fail. Any thread may call this."""
        ...

    def watch_progress(self, must_stop: Callable[[], bool]) -> None:
        """Ask ``must_stop`` while a statement works for long, and make it fail when that is so."""
        ...

    def note_work(self, work: StatementWork | None, *, changed: bool = False) -> bool:
        """Note in ``work`` what statements do that run to their end from now on, until it is None.

        ``changed`` rows are noted only when that is wanted. Return False if the driver cannot tell.
        """
        ...

    def close(self) -> None:
        """Close the connection; cursors fail from now on."""
        ...


class _DriverModule(Protocol):
    def connect(self, path: str, authorizer: Authorizer, limits: Limits) -> Driver: ...


@functools.cache
def load_driver(name: DriverName | None = None) -> _DriverModule:
    """Return the module of the driver ``name``; without a name the best that is installed."""
    if name is None:
        name = "apsw" if importlib.util.find_spec("apsw") is not None else "sqlite3"
    module: Any = importlib.import_module(f"edgeagents.objects.{'sqlite_apsw' if name == 'apsw' else 'sqlite_stdlib'}")
    return module
