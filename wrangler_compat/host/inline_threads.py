"""No threads for a worker's code: what frameworks would do in one is done where it is asked for, as in workerd.

FastAPI runs handlers that are plain functions through ``anyio.to_thread``. In a thread they could not use a binding,
nor ``run_sync``. Code that belongs to no worker keeps its threads.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from wrangler_compat.host.context import is_within_worker

__all__ = ["run_threads_inline"]


def run_threads_inline() -> None:
    """See to it, if ``anyio`` is loaded by now."""
    module: Any = sys.modules.get("anyio.to_thread")
    if module is not None and not hasattr(module.run_sync, "_in_thread"):
        module.run_sync = _inline(module.run_sync)


def _inline(in_thread: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(in_thread)
    async def run_sync(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return func(*args) if is_within_worker() else await in_thread(func, *args, **options)

    run_sync.__dict__["_in_thread"] = in_thread
    return run_sync
