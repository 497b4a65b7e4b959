"""The event loop that a runtime's objects live on, and the way there from other loops and threads.

An application calls objects from where it is: a worker thread that runs a loop of its own (``asyncio.run``,
``async_to_sync``), a task queue, a test. Objects stay on one loop: such a call goes there, what it gives comes back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edgeagents.errors import ObjectError
from edgeagents.http import Response
from edgeagents.http.closing import close
from edgeagents.objects.events import Event, FetchEvent
from edgeagents.objects.ids import Address

if TYPE_CHECKING:
    from edgeagents.objects.namespace import Deliver

__all__ = ["HomeLoop"]

T = TypeVar("T")

_END: Final = object()


class HomeLoop:
    """The loop that runs where this is made."""

    def __init__(self) -> None:
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    def bound(self, deliver: Deliver) -> Deliver:
        """Return ``deliver`` such that it may be called on any loop, and is always run on this one."""

        def bring(address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
            if threading.get_ident() == self._thread and self._loop.is_running():
                return deliver(address, event, props)
            return self._bring(deliver, address, event, props)

        return bring

    async def _bring(self, deliver: Deliver, address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
        if isinstance(event, FetchEvent):
            # What is still to come of it comes on the caller's loop.
            await event.request.bytes()
        result = await self._run(lambda: deliver(address, event, props))
        if isinstance(result, Response):
            if result.websocket is not None:
                result.websocket.feed_close(1006, "", was_clean=False)
                raise ObjectError(
                    "A WebSocket of an object can only be opened on the event loop of its runtime, and this is another "
                    "one. Call the object from a coroutine of the application."
                )
            result.map_body(self._from_here)
            return result
        return self._from_here(result) if isinstance(result, AsyncIterator) else result

    async def _from_here(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield on the caller's loop what is made on this one."""
        try:
            while (item := await self._run(lambda: anext(items, _END))) is not _END:
                yield item
        finally:
            await self._run(lambda: close(items))

    async def _run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await work()

        if not self._loop.is_running():
            raise ObjectError(
                "The event loop on which this object's runtime was started does not run any more. Start a runtime on "
                "the loop that runs now, as the application's lifespan does."
            )
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._loop))
