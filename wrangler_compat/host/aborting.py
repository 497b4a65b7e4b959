"""``ctx.abort()`` of an object, as the SDK does it: it leaves the handler, and the reset comes a moment later."""

from __future__ import annotations

import asyncio

__all__ = ["is_abort", "until_aborted"]


def is_abort(error: BaseException) -> bool:
    """Whether ``error`` is how the SDK leaves code that has called ``ctx.abort()``."""
    return not isinstance(error, Exception) and type(error).__name__ == "DurableObjectAbort"


async def until_aborted() -> None:
    """Wait for the reset that ``ctx.abort()`` has asked for: it cancels whoever waits."""
    await asyncio.get_running_loop().create_future()
