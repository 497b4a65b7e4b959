"""Waiting no longer than so long, by the agent's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from edgeagents.objects import Clock

__all__ = ["within"]

T = TypeVar("T")


async def within(clock: Clock, seconds: float, what: Coroutine[Any, Any, T]) -> T:
    """Return what ``what`` returns. Raises TimeoutError when that takes longer, and ends it."""
    work = asyncio.ensure_future(what)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((work, timer), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise TimeoutError
        return work.result()
    finally:
        for each in (work, timer):
            if not each.done():
                each.cancel()
