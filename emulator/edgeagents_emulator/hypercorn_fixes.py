"""A fault of Hypercorn up to 0.18 that a developer would take for ours, mended while the emulator runs.

A client's close code and reason reach the app as 1006 without a reason. (Its issue 127.)

A Hypercorn that is newer, or looks different inside, is left alone.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib import metadata
from typing import Any

__all__ = ["mend_hypercorn"]

_LAST_WITH_THE_FAULT = (0, 18)
_MENDED = "_edgeagents_mended"


def mend_hypercorn() -> None:
    """Mend the Hypercorn that serves this process, if it is one that needs it. Harmless when done twice."""
    if "hypercorn.protocol.ws_stream" not in sys.modules or not _has_the_fault():
        return
    ws_stream: Any = sys.modules["hypercorn.protocol.ws_stream"]
    stream = getattr(ws_stream, "WSStream", None)
    expected = (getattr(stream, "handle", None), getattr(stream, "_accept", None))
    if None in expected or hasattr(stream, _MENDED):
        return
    setattr(stream, _MENDED, True)
    _keep_close_codes(stream, ws_stream)


def _has_the_fault() -> bool:
    try:
        parts = metadata.version("hypercorn").split(".")
        return tuple(int(part) for part in parts[:2]) <= _LAST_WITH_THE_FAULT
    except (metadata.PackageNotFoundError, ValueError):
        return False


def _keep_close_codes(stream: Any, ws_stream: Any) -> None:
    handle: Callable[..., Awaitable[None]] = stream.handle
    accept: Callable[..., Awaitable[None]] = stream._accept

    @functools.wraps(handle)
    async def handle_and_tell(self: Any, event: Any) -> None:
        if isinstance(event, ws_stream.StreamClosed) and self.app_put is not None:
            closing = getattr(self, "_edgeagents_closing", None)
            if closing is not None:
                self.app_put = _telling(self.app_put, int(closing.code), closing.reason or "")
        await handle(self, event)

    @functools.wraps(accept)
    async def accept_and_watch(self: Any, message: Any) -> None:
        await accept(self, message)
        events = self.connection.events

        def watched() -> Iterator[Any]:
            for event in events():
                if isinstance(event, ws_stream.CloseConnection):
                    self._edgeagents_closing = event
                yield event

        self.connection.events = watched

    stream.handle = handle_and_tell
    stream._accept = accept_and_watch


def _telling(app_put: Callable[[Any], Awaitable[None]], code: int, reason: str) -> Callable[[Any], Awaitable[None]]:
    async def put(message: Any) -> None:
        if message.get("type") == "websocket.disconnect":
            message = {**message, "code": code, "reason": reason}
        await app_put(message)

    return put
