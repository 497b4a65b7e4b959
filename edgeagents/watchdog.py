"""The watchdog: it tells of code that keeps the event loop for itself, whose it is and where it stands.

A thread asks the loop again and again for a sign of life. Where none comes in time, it looks at what the loop's thread
does. So what runs pays nothing for being watched, and what blocks for ever is told of too. A sync handler may block as
long as it likes: it runs in its object's own thread. Code that holds Python's own lock while it blocks is seen when it
lets go of that.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from edgeagents.objects import Activation

__all__ = ["Block", "Watchdog"]

_log = logging.getLogger("edgeagents.watchdog")


@dataclass(frozen=True, slots=True)
class Block:
    """An object's code kept the loop for ``seconds``. ``stack`` is where it stood when that was found."""

    class_name: str
    name: str
    seconds: float
    stack: str


class Watchdog:
    """Watches the running loop from ``start()`` to ``stop()``.

    What keeps it for more than ``seconds`` is logged at once, and ``tell`` is called on the loop when it is over.
    """

    def __init__(self, seconds: float, tell: Callable[[Block], object]) -> None:
        self._seconds, self._tell = seconds, tell
        self._sign, self._is_over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the loop that runs here."""
        self._loop, self._watched = asyncio.get_running_loop(), threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="edgeagents-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it. Returns when the thread has ended."""
        self._is_over.set()
        self._sign.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(self._seconds / 2):
            self._sign.clear()
            if self._is_over.is_set():
                return  # What was cleared was the last sign: stop() waits for this to end.
            asked = time.monotonic()
            if not self._ask():
                return
            if not self._sign.wait(self._seconds):
                self._look(asked)

    def _ask(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._sign.set)
        except RuntimeError:  # The loop is closed.
            return False
        return True

    def _look(self, asked: float) -> None:
        frame = sys._current_frames().get(self._watched)
        activation = _object_of(frame)
        stack = "".join(traceback.format_stack(frame))
        del frame
        if activation is None:
            _log.debug("Something keeps the event loop for more than %s s:\n%s", self._seconds, stack)
        else:
            _log.warning(
                "%s %r keeps the event loop for more than %s s, and nothing else runs meanwhile. "
                "Limits(blocked_seconds=%s)\n%s",
                activation.slot.directory.class_name,
                activation.id.name or str(activation.id),
                self._seconds,
                self._seconds,
                stack,
            )
        self._sign.wait()
        if activation is None or self._is_over.is_set():
            return
        name = activation.id.name or str(activation.id)
        block = Block(activation.slot.directory.class_name, name, time.monotonic() - asked, stack)
        try:
            self._loop.call_soon_threadsafe(self._tell, block)
        except RuntimeError:
            return


def _object_of(frame: FrameType | None) -> Activation | None:
    """Return the object whose code runs in ``frame``: the innermost, for one may call another."""
    while frame is not None:
        found = frame.f_locals.get("self")
        if isinstance(found, Activation):
            return found
        frame = frame.f_back
    return None
