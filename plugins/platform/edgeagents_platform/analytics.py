"""Analytics Engine: points of data, written down to be asked about later.

A point is a row of its dataset's table, with the columns that Cloudflare's SQL interface shows: ``timestamp``,
``index1``, ``blob1`` to ``blob20``, ``double1`` to ``double20``, ``_sample_interval`` (always 1: nothing is left out).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgeagents.errors import ConfigError
from edgeagents.stores import QUICK

if TYPE_CHECKING:
    from edgeagents.objects import Clock
    from edgeagents.stores import Stores

__all__ = ["AnalyticsEngine", "check_dataset", "datasets_of"]

BLOBS: Final = 20
DOUBLES: Final = 20
INDEX_BYTES: Final = 96
BLOB_BYTES: Final = 16 * 1024
KEPT: Final = timedelta(days=92)
_WRITES_BETWEEN_CLEANING: Final = 1000

_COLUMNS: Final = (
    *("timestamp TEXT NOT NULL", "dataset TEXT NOT NULL", "index1 TEXT NOT NULL"),
    *(f"blob{n} TEXT NOT NULL" for n in range(1, BLOBS + 1)),
    *(f"double{n} REAL NOT NULL" for n in range(1, DOUBLES + 1)),
    "_sample_interval INTEGER NOT NULL",
)


def datasets_of(stores: Stores) -> Any:
    """Return the database that has a table for each dataset."""
    # A point is written in passing: nobody waits for the disk, and a loss of power may take the last seconds.
    return stores.open("analytics_engine", "datasets", (QUICK,))


def check_dataset(name: str) -> str:
    """Return ``name`` if it can be that of a dataset. Raises ``ConfigError``."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", name) or name.lower().startswith("sqlite_"):
        raise ConfigError(f"The dataset {name!r} needs another name: letters, digits, '_' and '-', no digit in front.")
    return name


class AnalyticsEngine:
    """One dataset."""

    js_name: ClassVar[str] = "AnalyticsEngine"

    def __init__(self, stores: Stores, dataset: str, clock: Clock) -> None:
        self._stores, self._dataset, self._clock = stores, check_dataset(dataset), clock
        self._database: Any = None
        self._writes = 0

    def write_data_point(
        self,
        *,
        indexes: Sequence[Any] | None = None,
        blobs: Sequence[Any] | None = None,
        doubles: Sequence[float | None] | None = None,
    ) -> None:
        """Write a point: at most one index of 96 bytes, 20 blobs (text or bytes, 16 KiB together), 20 numbers."""
        index = _texts("indexes", indexes, 1)
        texts = _texts("blobs", blobs, BLOBS)
        numbers = _numbers(doubles)
        if index and len(index[0].encode()) > INDEX_BYTES:
            raise TypeError(f"writeDataPoint(): an index has at most {INDEX_BYTES} bytes.")
        if sum(len(text.encode()) for text in texts) > BLOB_BYTES:
            raise TypeError(f"writeDataPoint(): blobs have at most {BLOB_BYTES} bytes together.")
        now = self._clock.now()
        row = (
            *(f"{now:%Y-%m-%d %H:%M:%S}", self._dataset, *(index or [""])),
            *(texts + [""] * (BLOBS - len(texts))),
            *(numbers + [0.0] * (DOUBLES - len(numbers))),
            1,
        )
        database = self._opened()
        database.execute(f'INSERT INTO "{self._dataset}" VALUES ({", ".join("?" * len(row))})', row)
        if self._writes % _WRITES_BETWEEN_CLEANING == 0:
            database.execute(f'DELETE FROM "{self._dataset}" WHERE timestamp < ?', (f"{now - KEPT:%Y-%m-%d %H:%M:%S}",))
        self._writes += 1

    def _opened(self) -> Any:
        if self._database is None:
            database = datasets_of(self._stores)
            database.execute(f'CREATE TABLE IF NOT EXISTS "{self._dataset}" ({", ".join(_COLUMNS)})')
            database.execute(f'CREATE INDEX IF NOT EXISTS "{self._dataset}_time" ON "{self._dataset}" (timestamp)')
            self._database = database
        return self._database


def _texts(name: str, values: Sequence[Any] | None, most: int) -> list[str]:
    made: list[str] = []
    for value in _several(name, values, most):
        if isinstance(value, bytes | bytearray | memoryview):
            made.append(bytes(value).decode("utf-8", "replace"))
        elif value is None or isinstance(value, str):
            made.append((value or "").encode("utf-8", "replace").decode())
        else:
            raise TypeError(f"writeDataPoint(): {name} are text or bytes, not {type(value).__name__}.")
    return made


def _numbers(values: Sequence[Any] | None) -> list[float]:
    given = _several("doubles", values, DOUBLES)
    for value in given:
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"writeDataPoint(): doubles are numbers, not {type(value).__name__}.")
    return [float(value or 0) for value in given]


def _several(name: str, values: Sequence[Any] | None, most: int) -> Sequence[Any]:
    if values is None:
        return []
    if isinstance(values, str | bytes):
        raise TypeError(f"writeDataPoint(): {name} are a list.")
    if len(values) > most:
        raise TypeError(f"writeDataPoint(): Maximum of {most} {name} supported.")
    return values
