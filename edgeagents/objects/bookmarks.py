"""Bookmarks: names of states that an object's database was in.

A bookmark is text, and of two bookmarks of one object the one of the later state is the greater text. It says where in
the database's history (``timeline``) the state is: how often the database had been restored, the number of the log,
and how many of that log's frames belong to the state. The digits at the end tell that log from any other, so that a
bookmark of another object is refused.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from edgeagents.errors import StorageError

__all__ = ["ORIGIN", "Bookmark"]

_PATTERN: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{16})")
_NO_LOG: Final = "0" * 16
_OPEN: Final = 0xFFFFFFFF


class Bookmark(NamedTuple):
    """A state. ``salts`` are those of the log, zeros where the state is that before any log."""

    restores: int
    log: int
    frames: int
    salts: str = _NO_LOG

    def __str__(self) -> str:
        return f"{self.restores:08x}-{self.log:08x}-{self.frames:08x}-{self.salts}"

    @classmethod
    def parse(cls, text: str) -> Bookmark:
        """Return the bookmark that ``text`` is. Raises ``StorageError`` if it is none."""
        found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise StorageError(
                f"{text!r} is not a bookmark. get_current_bookmark() and get_bookmark_for_time() give them."
            )
        restores, log, frames, salts = found.groups()
        return cls(int(restores, 16), int(log, 16), int(frames, 16), salts)

    @classmethod
    def before_restore(cls, restores: int) -> Bookmark:
        """Return the last state before the database was restored again, after it had been ``restores`` times."""
        return cls(restores, _OPEN, _OPEN)

    @property
    def is_before_restore(self) -> bool:
        """Whether ``before_restore`` made it."""
        return self.log == _OPEN


ORIGIN: Final = Bookmark(0, 0, 0)
"""The state of a database that nothing was written to."""
