"""The process that ``edgeagents dev`` starts to serve, and starts anew when a file changes.

It serves a socket that it is handed, so while one of these ends and the next begins, connections wait and none is
refused. It ends when it is told to, and when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeagents_emulator.debugging import use_pdb
from edgeagents_emulator.starting import AHEAD, LINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.asgi.types import Message, Receive, Scope, Send
    from edgeagents_emulator.host import EmulatorApp
    from edgeagents_emulator.options import Options
    from edgeagents_emulator.serving_process import Ahead

__all__ = ["import_ahead", "main", "modules_of_ours"]

_OURS: Final = frozenset({"edgeagents", "wrangler_compat"})
_HEARING_SECONDS: Final = 0.01


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

    importlib.import_module("hypercorn.asyncio")
    if ahead := os.environ.pop(AHEAD):
        from edgeagents_emulator.serving_process import Ahead

        import_ahead(Ahead.from_json(ahead))
    told = _told(line)
    if told is None:
        return
    options, listener = told
    os.chdir(options.directory)
    use_pdb()
    app = EmulatorApp(options, on_built=lambda: line.sendall(f"{time.time()}\n".encode()), owns_process=True)
    try:
        asyncio.run(_serve(app, options, listener, line))
    except SystemExit as end:
        sys.exit(end.code)


def modules_of_ours() -> list[str]:
    """Return the names of what this process has imported of edgeagents and its plugins."""
    return [name for name in sys.modules if name.partition(".")[0] in _OURS or name.startswith("edgeagents_")]


def import_ahead(ahead: Ahead) -> None:
    """Import what another process has imported, but nothing that lies in the projects' own folders.

    That may be what changes next. What can be had no more is left to whoever wants it.
    """
    from wrangler_compat.own_environment import OwnEnvironment

    folders = [Path(folder) for folder in ahead.folders]
    environments = [OwnEnvironment(folder) for folder in reversed(folders)]
    try:
        for name in ahead.modules:
            with contextlib.suppress(Exception):
                spec = importlib.util.find_spec(name)
                if spec is not None and not _is_in(folders, spec.origin or ""):
                    importlib.import_module(name)
    finally:
        for environment in environments:
            environment.close()


def _is_in(folders: Iterable[Path], file: str) -> bool:
    return "site-packages" not in file and any(folder in Path(file).parents for folder in folders)


def _told(line: socket.socket) -> tuple[Options, int] | None:
    """Return the options and the descriptor of the socket to serve; None when the other end has gone."""
    from edgeagents_emulator.options import Options

    text, descriptors, _, _ = socket.recv_fds(line, 65536, 1)
    while text and not text.endswith(b"\n"):
        more = line.recv(65536)
        text = text + more if more else b""
    return (Options.from_json(text.decode()), descriptors[0]) if text else None


async def _serve(app: EmulatorApp, options: Options, listener: int, line: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from edgeagents_emulator.serving_process import Ready
    from edgeagents_emulator.stopping import Stopping

    loop, stopping = asyncio.get_running_loop(), Stopping()

    async def told_to_stop() -> None:
        await stopping.wait()
        # Who connects from now on waits for the next process. Who just did is heard before it counts as idle.
        loop.remove_reader(listener)
        await asyncio.sleep(_HEARING_SECONDS)

    def wait_for_the_end() -> None:
        line.recv(1)
        stopping.stop()

    async def telling(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                line.sendall(Ready(app.banner, modules_of_ours()).to_json().encode() + b"\n")

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    threading.Thread(target=wait_for_the_end, name="lifeline", daemon=True).start()
    config = Config()
    config.bind = [f"fd://{listener}"]
    if options.certificate is not None:
        config.certfile, config.keyfile = options.certificate
    config.errorlog = None
    config.graceful_timeout = 3.0
    await serve(telling, config, shutdown_trigger=told_to_stop)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
