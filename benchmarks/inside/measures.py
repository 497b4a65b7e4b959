"""The measures that need no server."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.inside import calls, commits, imports, memory, sql, starts
from benchmarks.report import Row
from benchmarks.scale import Scale

__all__ = ["INSIDE", "Inside"]


class Inside(NamedTuple):
    """A function that measures."""

    heading: str
    run: Callable[[Scale], list[Row]]


INSIDE = {
    "calls": Inside("Calls and requests in one process", calls.measure),
    "sql": Inside("SQL through the storage API", sql.measure),
    "commits": Inside("Commits per second, by durability", commits.measure),
    "memory": Inside("Memory of an agent and of a connection", memory.measure),
    "imports": Inside("Import", imports.measure),
    "starts": Inside("Start and reload of a worker", starts.measure),
}
