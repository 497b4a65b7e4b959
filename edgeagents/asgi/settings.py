"""What serving depends on, in one value: limits, time, and the connections that are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from edgeagents.http import Request
from edgeagents.objects import Clock, Limits, SystemClock

__all__ = ["OpenConnections", "Settings"]


class OpenConnection(Protocol):
    """A response that is being streamed, or a WebSocket."""

    def drain(self) -> None:
        """End soon: the server wants to stop."""
        ...


class OpenConnections:
    """The streams and sockets that are open, so that a server that stops can be let go."""

    def __init__(self, on_first: Callable[[], object] | None = None) -> None:
        self._open: set[OpenConnection] = set()
        self._by_address: dict[str, int] = {}
        self._on_first = on_first
        self._all_ended: asyncio.Event | None = None
        self.is_draining = False

    def add(self, connection: OpenConnection) -> None:
        """Take note of ``connection``. One that opens while the others are being ended is ended too."""
        self._open.add(connection)
        if self._on_first is not None:
            on_first, self._on_first = self._on_first, None
            on_first()
        if self.is_draining:
            connection.drain()

    def discard(self, connection: OpenConnection) -> None:
        """Forget ``connection``: it has ended."""
        self._open.discard(connection)
        if self._all_ended is not None and not self._open:
            self._all_ended.set()

    def take_place(self, address: str, limit: int) -> bool:
        """Count one more of ``address``, unless it has as many as ``limit``; return whether it was counted."""
        count = self._by_address.get(address, 0)
        if count >= limit:
            return False
        self._by_address[address] = count + 1
        return True

    def give_back_place(self, address: str) -> None:
        """Count one less of ``address``."""
        count = self._by_address[address] - 1
        if count:
            self._by_address[address] = count
        else:
            del self._by_address[address]

    def drain(self) -> None:
        """End all of them, and those that come."""
        if self.is_draining:
            return
        self.is_draining = True
        for connection in tuple(self._open):
            connection.drain()

    async def drained(self, seconds: float) -> None:
        """End all of them, and return when they have ended; after ``seconds`` whatever is open."""
        self.drain()
        if not self._open:
            return
        self._all_ended = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), seconds)

    def __len__(self) -> int:
        return len(self._open)


@dataclass(frozen=True)
class Settings:
    """How to serve. Lengths of time are in seconds, by ``clock``."""

    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)
    connections: OpenConnections = field(default_factory=OpenConnections)
    keep_alive_seconds: float = 15.0
    """How long an event stream may be silent before a comment is sent."""
    drain_seconds: float = 2.0
    """How long a stream that is not one of events may go on once the server wants to stop."""
    closing_seconds: float = 5.0
    """How long a client may take to agree to the closing of its WebSocket."""
    claims: Callable[[Request], bool] = lambda request: True
    """Whether a request is ours, and not another app's."""
    debug: bool = False
    """Whether clients see tracebacks."""
