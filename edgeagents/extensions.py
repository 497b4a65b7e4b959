"""What a plugin may add to a runtime beside bindings: ways in, and what starts a worker from outside.

Protocols only; the hooks that take them stand in ``hookspecs``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from edgeagents.http import Request, Response

__all__ = ["DeveloperRoute", "Fetch", "Transport", "Trigger"]

Fetch: TypeAlias = Callable[[Request], Awaitable[Response]]


class Transport(Protocol):
    """Another way for clients to reach an agent. It carries messages and does not read them."""

    name: str

    def claims(self, request: Request) -> bool:
        """Return whether ``request`` is this transport's. Asked for every request to an agent: be quick."""
        ...

    async def serve(self, request: Request, fetch: Fetch) -> Response:
        """Answer ``request``. ``fetch`` reaches the agents; an upgrade through it opens a WebSocket in memory."""
        ...


class Trigger(Protocol):
    """Starts a worker from outside: a clock, a queue, a mailbox."""

    name: str

    async def start(self) -> None:
        """Begin. The runtime answers already."""
        ...

    async def stop(self) -> None:
        """End, and let go of everything."""
        ...


class DeveloperRoute(Protocol):
    """A path under ``/cdn-cgi/`` that the emulator serves."""

    path: str

    async def serve(self, request: Request) -> Response:
        """Answer a request to ``path``, or below it."""
        ...
