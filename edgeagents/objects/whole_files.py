"""Database files as wholes: made, copied and checked by whoever is not the object that they belong to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from edgeagents.errors import StorageError
from edgeagents.objects.authorizer import Authorizer
from edgeagents.objects.limits import Limits
from edgeagents.objects.sqlite_driver import Driver, DriverName, load_driver

__all__ = ["WholeFiles"]

_ALONE: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA synchronous = OFF",
    "PRAGMA foreign_keys = OFF",
)


class WholeFiles:
    """Works on files with the driver of this name, trusted with everything."""

    def __init__(self, driver: DriverName | None = None) -> None:
        self._module = load_driver(driver)

    @contextlib.contextmanager
    def alone(self, database: Path) -> Generator[Driver]:
        """Open what nobody else has open. What was written is in the file, and no log is left, at the end.

        It is not synced.
        """
        with self._connection(database) as driver:
            for statement in _ALONE:
                driver.execute(statement, ()).fetchall()
            yield driver
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)", ()).fetchall()
        for remains in (f"{database}-wal", f"{database}-shm"):
            Path(remains).unlink(missing_ok=True)

    @contextlib.contextmanager
    def beside_others(self, database: Path) -> Generator[Driver]:
        """Open what others may have open too. The log is left alone."""
        with self._connection(database) as driver:
            driver.execute("PRAGMA busy_timeout = 5000", ()).fetchall()
            yield driver

    @contextlib.contextmanager
    def _connection(self, database: Path) -> Generator[Driver]:
        authorizer = Authorizer()
        authorizer.is_trusted = True
        try:
            driver: Driver = self._module.connect(str(database), authorizer, Limits())
        except Exception as error:
            raise StorageError(f"The database {database} cannot be opened: {error}") from error
        try:
            yield driver
        except driver.errors as error:
            raise StorageError(f"The database {database} cannot be used: {driver.explain(error).message}") from error
        finally:
            driver.close()

    def absorb_log(self, database: Path) -> None:
        """Move the log beside ``database``, which nobody has open, into it."""
        with self.alone(database):
            """Opening and closing it is all."""

    def check(self, database: Path) -> str | None:
        """Return what is wrong with ``database``, which nobody has open, or None."""
        with self.alone(database) as driver:
            try:
                found = [row[0] for row in driver.execute("PRAGMA quick_check(1)", ()).fetchall()]
            except driver.errors as error:
                # A CHECK of the object's may use a function of its own.
                return None if "no such function" in str(error) else str(error)
            return None if found == ["ok"] else "; ".join(found)

    def copy(self, source: Path, target: Path, at_that_moment: Callable[[], object] | None = None) -> None:
        """Make ``target``, which is not there, what is committed in ``source``, which may be in use.

        ``at_that_moment`` is called at the moment of the copy: until it returns nobody can write to ``source``, so it
        must be quick.
        """
        with self.beside_others(source) as driver:
            if at_that_moment is not None:
                with self.beside_others(source) as other:
                    other.execute("BEGIN IMMEDIATE", ()).fetchall()
                    at_that_moment()
                    driver.execute("BEGIN", ()).fetchall()
                    driver.execute("SELECT 1 FROM sqlite_schema LIMIT 1", ()).fetchall()
                    # Others may write from here on: this connection reads what was there.
                    other.execute("ROLLBACK", ()).fetchall()
            driver.copy_to(str(target))
        target.chmod(0o600)
