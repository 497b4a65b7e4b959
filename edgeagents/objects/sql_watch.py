"""Watching SQL work: a statement that keeps its object, and the event loop, for too long is ended.

SQLite asks every few milliseconds of work whether it may go on. Nothing is done before it asks, so a statement that is
quick costs no more than the count that tells one piece of work from the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["SqlWatch"]


class _Works(Protocol):
    work: int
    """Counts what SQLite is asked to do without a pause."""


class SqlWatch:
    """Ends what takes longer than ``seconds`` by ``monotonic``; without that nothing is ended."""

    __slots__ = ("_began", "_timed", "_works", "has_ended_one", "monotonic", "seconds")

    def __init__(self, works: _Works) -> None:
        self._works = works
        self._timed = -1
        self._began = 0.0
        self.monotonic: Callable[[], float] | None = None
        self.seconds: float | None = None
        self.has_ended_one = False
        """Whether the error that SQLite raises next is this one's doing. Whoever tells of it sets it back."""

    def must_stop(self) -> bool:
        """Answer SQLite's question."""
        if self.monotonic is None or self.seconds is None:
            return False
        now = self.monotonic()
        if self._timed != self._works.work:
            self._timed, self._began = self._works.work, now
            return False
        self.has_ended_one = now - self._began > self.seconds
        return self.has_ended_one
