"""How much of the past is kept of each database, and where.

What is kept, and how a state is made from it again, is told in ``timeline``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeagents.errors import ConfigError

__all__ = ["DEFAULT_HISTORY", "History", "history_folder"]


@dataclass(frozen=True)
class History:
    """How much of the past is kept of each database, so that it can be restored as it was.

    ``days`` is how far bookmarks reach back, ``bytes`` what the history of one database may take on disk: when it
    would be more, the oldest is given up, and a database that is larger itself has no history.
    """

    days: float = 30.0
    bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        for name, value in (("days", self.days), ("bytes", self.bytes)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"History({name}=...) is a number, not {type(value).__name__}: {value!r}.")
        if not self.days > 0 or not self.bytes > 0:
            raise ConfigError("History keeps more than nothing: days and bytes are above 0. history=None turns it off.")


DEFAULT_HISTORY: Final = History()


def history_folder(database: Path) -> Path:
    """Return where the history of the database at this path is."""
    return database.with_suffix(".history")
