"""Who is sent what: all who are connected, except those who have yet to catch up.

A client that was offered a running stream gets nothing of chat until it says that it is ready; then it is sent what it
missed, and belongs to the others again. Between the two nothing is awaited, so nothing is missed and nothing doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from edgeagents.agents.connections import Connection, Connections
from edgeagents.errors import WebSocketError

__all__ = ["Audience"]


class Audience:
    """The connections of one agent, as chat sees them."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._behind: set[Connection[Any]] = set()
        self._held: set[Connection[Any]] = set()

    def tell(self, frame: str | Callable[[], str], *, but: str | None = None, but_these: Collection[str] = ()) -> None:
        """Send ``frame`` to all but the connections with these ids. A function is called if there is anybody."""
        text = frame if isinstance(frame, str) else None
        for connection in self._connections.open():
            if connection in self._behind or connection in self._held:
                continue
            if connection.id == but or connection.id in but_these:
                continue
            if text is None:
                assert not isinstance(frame, str)
                text = frame()
            self.send(connection, text)

    def send(self, connection: Connection[Any], frame: str) -> bool:
        """Send to one. Returns whether it could be: False when it is closed."""
        try:
            connection.send(frame)
        except WebSocketError:
            return False
        return True

    def offer(self, connection: Connection[Any], frame: str) -> None:
        """Send an offer of a stream. Until it is taken, the connection is left out."""
        if self.send(connection, frame):
            self._behind.add(connection)

    def catch_up(self, connection: Connection[Any]) -> None:
        """The connection takes an offer, or is gone."""
        self._behind.discard(connection)

    def hold(self, connection: Connection[Any]) -> None:
        """The connection is being sent what it missed, and that takes a while: leave it out until ``let_go``."""
        self._held.add(connection)

    def holds(self, connection: Connection[Any]) -> bool:
        """Whether the connection is being sent what it missed."""
        return connection in self._held

    def let_go(self, connection: Connection[Any]) -> None:
        """The connection has all that it missed, or is gone."""
        self._held.discard(connection)

    def catch_all_up(self) -> None:
        """There is nothing left to catch up with: everybody belongs to the audience again."""
        self._behind.clear()

    def has(self, connection_id: str) -> bool:
        """Whether somebody with this id is connected."""
        return next(self._connections.with_id(connection_id), None) is not None
