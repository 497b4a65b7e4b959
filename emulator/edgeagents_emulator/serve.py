"""The process that ``edgeagents dev`` starts to serve, and starts anew when a file changes.

It serves a socket that it inherits, so while one of these ends and the next begins, connections wait and none is
refused. It ends when it is told to, and when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from hypercorn.asyncio import serve
from hypercorn.config import Config

from edgeagents_emulator.host import EmulatorApp

__all__ = ["LIFELINE", "LISTENER", "main"]

LISTENER = "EDGEAGENTS_DEV_LISTENER"
LIFELINE = "EDGEAGENTS_DEV_LIFELINE"


def main() -> None:
    """Serve until SIGTERM, or until the other end of the lifeline closes."""
    # Control-C reaches every process of the terminal; the one that started this decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_serve(int(os.environ.pop(LISTENER)), int(os.environ.pop(LIFELINE))))
    except SystemExit as end:
        sys.exit(end.code)


async def _serve(listener: int, lifeline: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def wait_for_the_end() -> None:
        os.read(lifeline, 1)
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_the_end, name="lifeline", daemon=True).start()
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.errorlog = None
    config.graceful_timeout = 3.0
    await serve(EmulatorApp(), config, shutdown_trigger=stop.wait)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
