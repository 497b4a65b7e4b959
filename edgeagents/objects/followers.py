"""Followers of explicit transactions: whoever keeps something outside of the database that goes with what is in it.

What was written in a savepoint is undone with it; and when it has ended, with the one that it is in. So does what a
follower has: it hears once, of the end or of the undoing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Followers"]

Told = Callable[[], object]


class _Follower(NamedTuple):
    level: int
    kept: Told
    undone: Told


class Followers:
    """Those of one session, in the order of their coming. The session's lock is held."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: list[_Follower] = []

    def add(self, level: int, kept: Told, undone: Told) -> None:
        """Remember one in the transaction of this level."""
        self._all.append(_Follower(level, kept, undone))

    def rolled_back(self, level: int) -> list[Told]:
        """The transaction of this level was rolled back: return what to call, in order."""
        gone = [follower.undone for follower in self._all if follower.level >= level]
        if gone:
            self._all = [follower for follower in self._all if follower.level < level]
        return gone[::-1]

    def ended(self, level: int) -> list[Told]:
        """The transaction of this level has ended: return what to call, in order."""
        followers = self._all
        if not followers:
            return []
        if level > 1:
            self._all = [follower._replace(level=min(follower.level, level - 1)) for follower in followers]
            return []
        self._all = []
        return [follower.kept for follower in followers]

    def clear(self) -> None:
        """Forget all: nobody is there any more who has what they have."""
        self._all.clear()
