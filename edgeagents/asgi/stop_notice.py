"""Learning early that the server wants to stop.

A server that stops waits for the responses that are open, some of them without a limit, and says ``lifespan.shutdown``
only afterwards. A stream that waits for that message therefore keeps its server from stopping. ASGI has no other
message for it, so this looks at what there is: the signals that servers stop on, whose own handlers go on working, and
in Hypercorn the event that its connections wait for. Where neither is to be had (a server in a thread, Windows
services), ``lifespan.shutdown`` remains, and the server's own deadline: Hypercorn's ``graceful_timeout`` on
Python 3.11, uvicorn's ``--timeout-graceful-shutdown``, granian's ``--workers-kill-timeout``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["StopNotice"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopNotice:
    """Calls ``on_stop`` on the event loop when the server wants to stop. You must call ``close()`` afterwards."""

    def __init__(self, on_stop: Callable[[], object]) -> None:
        self._on_stop = on_stop
        self._loop = asyncio.get_running_loop()
        self._restore: dict[int, tuple[Any, Any]] = {}
        self._waiting: asyncio.Task[None] | None = None

    def listen_for_signals(self) -> None:
        """Be told by signals. A signal that nobody handles is left alone: it ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous):
                ours = self._handler(previous)
                # An event loop's handlers are woken through a file descriptor, whatever function stands here.
                signal.signal(number, ours)
                self._restore[number] = (ours, previous)

    def _handler(self, previous: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], Any]:
        def handle(number: int, frame: FrameType | None) -> Any:
            # The loop may be closed already.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_stop)
            return previous(number, frame)

        return handle

    def listen_to_hypercorn(self) -> None:
        """Be told by Hypercorn, if it is the server: its workers stop on an event and not on a signal."""
        terminated = _hypercorn_terminated()
        if terminated is not None and self._waiting is None:
            self._waiting = self._loop.create_task(self._wait(terminated), name="edgeagents: wait for Hypercorn's end")

    async def _wait(self, terminated: Any) -> None:
        await terminated.wait()
        self._on_stop()

    def close(self) -> None:
        """Put everything back."""
        if self._waiting is not None:
            self._waiting.cancel()
        # From another thread, on whose loop the next server runs, it cannot be: what stays does what was there before.
        if threading.current_thread() is threading.main_thread():
            for number, (ours, previous) in self._restore.items():
                if signal.getsignal(number) is ours:
                    signal.signal(number, previous)
        self._restore.clear()


def _hypercorn_terminated() -> Any:
    """Return the event that Hypercorn (0.14 to 0.18) sets when it begins to stop, or None."""
    if "hypercorn" not in sys.modules:
        return None
    for task in asyncio.all_tasks():
        awaited: Any = task.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None)
            if frame is not None and frame.f_code.co_name == "worker_serve":
                terminated = getattr(frame.f_locals.get("context"), "terminated", None)
                return terminated if hasattr(terminated, "wait") else None
            awaited = getattr(awaited, "cr_await", None)
    return None
