"""Resuming: what a client is told that comes while a turn runs, and how it gets what it missed.

A client asks whether a stream is there for it and is answered with one of three frames: a stream is running
(``resuming``: say when you are ready), one will be (``pending``: wait), or there is none. When it is ready it is sent
the log from the start and then what comes, without anything awaited between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.chunk_log import ChunkLogs
from edgeagents.agents.chat.continuation import Continuation
from edgeagents.agents.chat.request_context import RequestContext
from edgeagents.agents.connections import Connection

__all__ = ["Resuming", "WaitingRoom"]


class WaitingRoom:
    """Turns that were accepted and have not begun to speak, and the clients that wait for them.

    While any is there, a client that asks for a stream is told to wait. When a reply begins all who wait are offered
    it; when the last turn ends without one they are told that there is none.
    """

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._turns: dict[str, None] = {}
        self._waiting: set[Connection[Any]] = set()

    def expect(self, request_id: str) -> None:
        """A turn was accepted."""
        self._turns[request_id] = None

    def park(self, connection: Connection[Any], probe_id: str | None = None) -> bool:
        """Let ``connection`` wait; return False when there is nothing to wait for."""
        if not self._turns:
            return False
        self._waiting.add(connection)
        self._audience.send(connection, protocol.pending_frame(next(reversed(self._turns)), probe_id))
        return True

    def leave(self, connection: Connection[Any]) -> None:
        """The connection is gone."""
        self._waiting.discard(connection)

    def begin(self, offer: Callable[[Connection[Any]], None]) -> None:
        """A reply begins: offer it to all who wait."""
        waiting, self._waiting = self._waiting, set()
        for connection in waiting:
            offer(connection)

    def settle(self, request_id: str, *, release: bool = True) -> None:
        """A turn is over. Without ``release`` those who wait go on waiting: another turn has taken its place."""
        self._turns.pop(request_id, None)
        if release and not self._turns:
            self.release()

    def release(self) -> None:
        """Tell all who wait that nothing comes."""
        waiting, self._waiting = self._waiting, set()
        for connection in waiting:
            self._audience.send(connection, protocol.resume_none_frame())

    def clear(self) -> None:
        """Forget all turns; nobody waits any longer."""
        self._turns.clear()
        self.release()


class Resuming:
    """Answers clients that come, or come back."""

    def __init__(
        self,
        logs: ChunkLogs,
        audience: Audience,
        room: WaitingRoom,
        continuation: Continuation,
        context: RequestContext,
        *,
        recovering: Callable[[], str | None],
    ) -> None:
        self._logs, self._audience, self._room = logs, audience, room
        self._continuation, self._context = continuation, context
        self._recovering = recovering

    def greet(self, connection: Connection[Any]) -> None:
        """Tell a client that has just connected what goes on, before it asks."""
        if self._logs.active is not None:
            self.offer(connection)
        elif not self._room.park(connection):
            request_id = self._recovering()
            if request_id is not None:
                self._audience.send(connection, protocol.recovering_frame(True, request_id))

    def offer(self, connection: Connection[Any], probe_id: str | None = None) -> None:
        """Offer the stream that is running. An offer may be made twice; the client takes one."""
        active = self._logs.active
        if active is not None:
            self._audience.offer(connection, protocol.resuming_frame(active.request_id, probe_id))

    def ask(self, connection: Connection[Any], probe_id: str | None) -> None:
        """Answer whether a stream is there for this client. It always gets an answer."""
        audience, continuation, failure = self._audience, self._continuation, self._context.failure
        active = self._logs.active
        if active is not None:
            if continuation.belongs_to_another(active.request_id, connection.id, audience.has):
                audience.send(connection, protocol.resume_none_frame("continuation-owned", probe_id))
            else:
                self.offer(connection, probe_id)
        elif continuation.park(connection):
            audience.send(connection, protocol.pending_frame(continuation.pending_id, probe_id))
        elif failure is not None:
            audience.send(connection, protocol.resuming_frame(failure.request_id, probe_id))
        elif not self._room.park(connection, probe_id):
            audience.send(connection, protocol.resume_none_frame("idle", probe_id))

    def take(self, connection: Connection[Any], request_id: str) -> None:
        """Send a client that is ready what it missed of a request."""
        audience, logs = self._audience, self._logs
        audience.catch_up(connection)
        active = logs.active
        if active is not None:
            if active.request_id == request_id:
                self._replay(connection, request_id, active.texts(), continuation=active.continuation)
                frame = protocol.replay_complete_frame(request_id, continuation=active.continuation)
                audience.send(connection, frame)
            return
        failure, ended = self._context.failure, logs.ended(request_id)
        continuation = ended is not None and ended.continuation
        if failure is not None and failure.request_id == request_id:
            if ended is not None:
                self._replay(connection, request_id, logs.texts(ended), continuation=continuation)
            frame = protocol.error_frame(request_id, failure.text, done=True, message_ids=failure.message_ids)
            audience.send(connection, frame)
            return
        outcome, message_ids = None, None
        if ended is not None:
            outcome = None if ended.outcome == "completed" else ended.outcome
            message_ids = ended.message_ids
            if not ended.was_kept:
                self._replay(connection, request_id, logs.texts(ended), continuation=continuation)
        frame = protocol.replay_done_frame(
            request_id, outcome=outcome, continuation=continuation, message_ids=message_ids
        )
        audience.send(connection, frame)

    def leave(self, connection: Connection[Any]) -> None:
        """The connection is gone."""
        self._audience.catch_up(connection)
        self._room.leave(connection)
        self._continuation.leave(connection)

    def _replay(
        self, connection: Connection[Any], request_id: str, texts: Iterable[str], *, continuation: bool
    ) -> None:
        for seq, text in enumerate(texts):
            frame = protocol.chunk_frame(request_id, text, seq, continuation=continuation, replay=True)
            if not self._audience.send(connection, frame):
                return
