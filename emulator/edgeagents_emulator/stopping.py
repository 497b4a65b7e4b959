"""Being told to stop, also where a worker keeps the event loop for itself and nothing on it could be told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from types import FrameType
from typing import Final

__all__ = ["STUCK_SECONDS", "Stopping"]

_log = logging.getLogger("edgeagents.emulator")
STUCK_SECONDS: Final = 1.5
"""For how long the event loop may stand still when the process is told to stop."""


class Stopping:
    """``wait()`` on the running loop returns when SIGTERM comes, or ``stop()`` is called, from whatever thread.

    A process whose loop stands still is ended: what it had committed is kept, as after a power cut.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.wait = self._stop.wait
        signal.signal(signal.SIGTERM, self._told)

    def stop(self) -> None:
        """Let ``wait()`` return."""
        with contextlib.suppress(RuntimeError):  # The loop has ended already.
            self._loop.call_soon_threadsafe(self._stop.set)
        timer = threading.Timer(STUCK_SECONDS, self._end_if_stuck)
        timer.daemon = True
        timer.start()

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.stop()

    def _end_if_stuck(self) -> None:
        if not self._stop.is_set():
            _log.warning("The worker kept the event loop for itself and was ended.")
            os._exit(1)
