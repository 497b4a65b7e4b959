"""The thread of an object, in which its handlers run that are not async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

__all__ = ["HandlerThread"]

T = TypeVar("T")


class HandlerThread:
    """One thread, which begins when it is first needed."""

    def __init__(self, name: str) -> None:
        self._executor = _Executor(1, thread_name_prefix=name)

    async def run(self, fn: Callable[[], T]) -> T:
        """Return what ``fn`` returns.

        No thread can be made to stop. When this is cancelled, so is the async code that ``fn`` waits for, if any; then
        this waits for the end of ``fn``, and is cancelled afterwards.
        """
        try:
            return await sync_to_async(fn, thread_sensitive=False, executor=self._executor)()
        except asyncio.CancelledError:
            await _end_of(self._executor.latest)
            raise

    def end(self) -> None:
        """End the thread, after what it does now."""
        self._executor.shutdown(wait=False)


class _Executor(ThreadPoolExecutor):
    latest: Future[Any] | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        self.latest = work = super().submit(fn, *args, **kwargs)
        return work


async def _end_of(work: Future[Any] | None) -> None:
    if work is None or work.done():
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    work.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set_result, None))
    while not ended.done():
        # To be cancelled again does not help: once is enough to be so in the end.
        with suppress(asyncio.CancelledError):
            await asyncio.wait((ended,))
