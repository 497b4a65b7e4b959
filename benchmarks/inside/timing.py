"""How long something takes in this process: the best of several goes, since what else runs only ever adds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

__all__ = ["best", "best_of"]

GOES = 7


def best(work: Callable[[], object], times: int) -> float:
    """Return the seconds that one ``work`` takes of the processor, out of ``times`` in a row."""
    found = float("inf")
    for _ in range(GOES):
        started = time.process_time()
        for _ in range(times):
            work()
        found = min(found, (time.process_time() - started) / times)
    return found


async def best_of(work: Callable[[], Awaitable[object]], times: int) -> float:
    """The same for what is awaited."""
    found = float("inf")
    for _ in range(GOES):
        started = time.process_time()
        for _ in range(times):
            await work()
        found = min(found, (time.process_time() - started) / times)
    return found
