"""What a database tells whoever has opened it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["DatabaseEvents", "nothing"]


def nothing() -> None:
    """What happens where nobody listens."""


@dataclass(frozen=True, slots=True)
class DatabaseEvents:
    """Functions that a database calls, in whatever thread it is used. What is not given does nothing."""

    on_write: Callable[[], object] = nothing
    """Something was written, for the first time since the last commit."""
    on_release: Callable[[], object] = nothing
    """No explicit transaction holds the commit back any more."""
    on_open: Callable[[], object] = nothing
    """A database was opened that was there."""
    on_inherit: Callable[[], object] = nothing
    """Somebody else has left the database, who may not have come to sync what is in it."""
    let_go: Callable[[], object] = nothing
    """Others are about to see what was written: a sync handler commits here."""
