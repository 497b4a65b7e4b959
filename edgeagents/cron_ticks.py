"""Ticks: up to when a worker's cron triggers have run, kept in the state folder.

So it is known, when the process that runs them changes or starts again, whether a tick has run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgeagents.stores import Stores

__all__ = ["Ticks"]

_SCHEMA: Final = ("CREATE TABLE IF NOT EXISTS ticks (expression TEXT PRIMARY KEY, due INTEGER NOT NULL) WITHOUT ROWID",)
# A tick that is kept as one to come is of a clock that was wrong.
_CLAIM: Final = (
    "INSERT INTO ticks VALUES (?, ?) "
    "ON CONFLICT (expression) DO UPDATE SET due = excluded.due WHERE due < excluded.due OR due > ?"
)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Ticks:
    """The latest tick of each of a worker's expressions that was run by any process on the state folder."""

    def __init__(self, stores: Stores, worker: str) -> None:
        self._database = stores.open("crons", worker, _SCHEMA)

    def has_run(self, expression: str) -> bool:
        """Whether any tick of ``expression`` was run."""
        return self._database.execute("SELECT 1 FROM ticks WHERE expression = ?", (expression,)).fetchone() is not None

    def claim(self, expression: str, due: datetime, now: datetime) -> bool:
        """Return whether the caller, and nobody else, is to run the tick of ``expression`` that is due at ``due``."""
        changed = self._database.execute(_CLAIM, (expression, _ms(due), _ms(now))).rowcount
        return changed == 1


def _ms(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(milliseconds=1)
