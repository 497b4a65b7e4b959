"""The app of a crowd of sockets and streams in one process: ``python -m tests.durability.crowd_app PORT``."""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from edgeagents import Agent, AgentsMiddleware, callable
from edgeagents.http import Request
from edgeagents.objects import Limits
from tests.durability.ledger import nothing

# As many files as the system lets a process have.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Crowd(Agent):
    """Shouts to all of its sockets, and keeps a log that many read."""

    async def on_request(self, request: Request) -> Any:
        if "follow" in request.url:
            if self.streams.status("log") is None:
                self.streams.open("log")
            return self.streams.sse_response(request, "log")
        gc.collect()
        return {"bytes": _memory(), "sockets": len(list(self.get_connections()))}

    @callable()
    async def shout(self, count: int, size: int) -> int:
        for number in range(count):
            self.broadcast(f"{number}:".ljust(size, "x"))
        return count

    @callable()
    async def shout_one(self, number: int, size: int) -> None:
        self.broadcast(f"{number}:".ljust(size, "x"))

    @callable()
    async def append(self, count: int) -> None:
        writer = self.streams.open("log")
        for number in range(count):
            writer.append(number)

    @callable()
    async def ping(self) -> str:
        return "pong"


def _memory() -> int:
    """Return the bytes of memory that this process has for itself."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


app = AgentsMiddleware(
    nothing,
    agents=[Crowd],
    storage=os.environ["AGENTS_STORAGE"],
    durability="normal",
    discover_plugins=False,
    limits=Limits(idle_seconds=1.0, send_queue_bytes=256 * 1024, send_queue_frames=10_000),
)


def main(port: int) -> None:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Each connection gets it from this one: else the kernel alone would hold megabytes for a reader that stalls.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
    listening.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, ws="websockets-sansio", ws_ping_interval=None, log_level="info", backlog=4096)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]))
