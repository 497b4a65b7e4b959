"""The process that ``edgeagents dev`` starts to serve, and starts anew when a file changes.

It serves a socket that it is handed, so while one of these ends and the next begins, connections wait and none is
refused. It ends when it is told to, and when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

from edgeagents_emulator.serving_process import LINE, READY

if TYPE_CHECKING:
    from edgeagents.asgi.types import Message, Receive, Scope, Send
    from edgeagents_emulator.host import EmulatorApp
    from edgeagents_emulator.options import Options

__all__ = ["main"]


def main() -> None:
    """Get ready, wait to be told what to serve, and serve it until SIGTERM or the end of the line."""
    # It came blocked. What this starts itself must not have it so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # All that is made until the first request stays: there is no garbage to look for.
    gc.disable()
    line = socket.socket(fileno=int(os.environ.pop(LINE)))
    line.set_inheritable(False)
    from edgeagents_emulator.host import EmulatorApp

    told = _told(line)
    if told is None:
        return
    options, listener = told
    try:
        asyncio.run(_serve(EmulatorApp(options, owns_process=True), listener, line))
    except SystemExit as end:
        sys.exit(end.code)


def _told(line: socket.socket) -> tuple[Options, int] | None:
    """Return the options and the descriptor of the socket to serve; None when the other end has gone."""
    from edgeagents_emulator.options import Options

    text, descriptors, _, _ = socket.recv_fds(line, 65536, 1)
    while text and not text.endswith(b"\n"):
        more = line.recv(65536)
        text = text + more if more else b""
    return (Options.from_json(text.decode()), descriptors[0]) if text else None


async def _serve(app: EmulatorApp, listener: int, line: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def wait_for_the_end() -> None:
        line.recv(1)
        loop.call_soon_threadsafe(stop.set)

    async def telling(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                line.send(READY)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    threading.Thread(target=wait_for_the_end, name="lifeline", daemon=True).start()
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.errorlog = None
    config.graceful_timeout = 3.0
    await serve(telling, config, shutdown_trigger=stop.wait)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
