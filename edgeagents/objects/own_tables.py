"""The tables of our own that every object's database has, and how they came to be.

A text of SQL that an object's code must not run has ``_cf_`` in it, in the name of a table of ours or in ``MARK``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgeagents.errors import StorageError
from edgeagents.objects.authorizer import INTERNAL
from edgeagents.objects.sqlite_driver import Driver

__all__ = [
    "GET_METADATA",
    "MARK",
    "PUT_METADATA",
    "SCHEMA_VERSION",
    "bring_up_to_date",
    "get_metadata",
    "make",
    "versions",
]

# What brings the tables of our own from one version to the next, the first from nothing. A release that changes them
# adds a step; none is ever changed. A database is brought up to date when it is opened, in one transaction.
_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE IF NOT EXISTS _cf_METADATA (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    ),
)
SCHEMA_VERSION: Final = len(_STEPS)
MARK: Final = f"/* {INTERNAL} */"
"""For a statement of our own without a table of ours. A text with the mark is compiled anew when the object runs it,
and never taken from the driver's cache, where ours passed the authorizer as trusted."""
GET_METADATA: Final = "SELECT value FROM _cf_METADATA WHERE key = ?"
PUT_METADATA: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)"
_GET_VERSIONS: Final = "SELECT key, value FROM _cf_METADATA WHERE key IN ('schema', 'restores')"


def make(driver: Driver) -> None:
    """Make the tables in a database that has nothing."""
    for step in _STEPS:
        for statement in step:
            driver.fetch_trusted(statement)
    driver.fetch_trusted(PUT_METADATA, ("schema", len(_STEPS)))


def get_metadata(driver: Driver, key: str) -> object:
    """Return what is kept under ``key``, or None."""
    rows = driver.fetch_trusted(GET_METADATA, (key,))
    return rows[0][0] if rows else None


def versions(driver: Driver) -> tuple[int, int]:
    """Return the version of the tables, 0 where there are none, and how often the database was restored."""
    try:
        known = dict(driver.fetch_trusted(_GET_VERSIONS))
    except driver.errors as error:
        if driver.explain(error).code != "SQLITE_ERROR":
            raise
        known = {}  # A SQLite file from elsewhere.
    return known.get("schema", 0), known.get("restores", 0)


def bring_up_to_date(driver: Driver, version: int, path: Path | None) -> None:
    """Change the tables of this ``version`` to those of this release, all of them or none."""
    if version == len(_STEPS):
        return
    if version > len(_STEPS):
        raise StorageError(
            f"{path} was written by a newer edgeagents (schema {version}, known: {len(_STEPS)}). Update edgeagents."
        )
    driver.fetch_trusted(f"BEGIN IMMEDIATE {MARK}")
    try:
        for step in _STEPS[version:]:
            for statement in step:
                driver.fetch_trusted(statement)
        driver.fetch_trusted(PUT_METADATA, ("schema", len(_STEPS)))
        driver.fetch_trusted(f"COMMIT {MARK}")
    except BaseException:
        if driver.in_transaction():
            driver.fetch_trusted(f"ROLLBACK {MARK}")
        raise
