"""Resuming: what a client is told that comes while a turn runs, and how it gets what it missed.

A client asks whether a stream is there for it and is answered with one of three frames: a stream is running
(``resuming``: say when you are ready), one will be (``pending``: wait), or there is none. When it is ready it is sent
the log from the start and then what comes, without anything awaited between the last of it and that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.chunk_log import ChunkLogs
from edgeagents.agents.chat.continuation import Continuation
from edgeagents.agents.chat.request_context import RequestContext
from edgeagents.agents.chat.turns import Spawn
from edgeagents.agents.connections import Connection
from edgeagents.objects.clock import Clock

__all__ = ["Resuming", "WaitingRoom"]

AT_ONCE = 1024
SECONDS_BETWEEN = 0.02


class WaitingRoom:
    """Turns that were accepted and have not begun to speak, and the clients that wait for them.

    While any is there, a client that asks for a stream is told to wait. When a reply begins all who wait are offered
    it; when the last turn ends without one they are told that there is none.
    """

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._turns: dict[str, None] = {}
        self._waiting: dict[Connection[Any], None] = {}

    def expect(self, request_id: str) -> None:
        """A turn was accepted."""
        self._turns[request_id] = None

    def park(self, connection: Connection[Any], probe_id: str | None = None) -> bool:
        """Let ``connection`` wait; return False when there is nothing to wait for."""
        if not self._turns:
            return False
        self._waiting[connection] = None
        self._audience.send(connection, protocol.pending_frame(next(reversed(self._turns)), probe_id))
        return True

    def leave(self, connection: Connection[Any]) -> None:
        """The connection is gone."""
        self._waiting.pop(connection, None)

    def begin(self, offer: Callable[[Connection[Any]], None]) -> None:
        """A reply begins: offer it to all who wait."""
        waiting, self._waiting = self._waiting, {}
        for connection in waiting:
            offer(connection)

    def settle(self, request_id: str, *, release: bool = True) -> None:
        """A turn is over. Without ``release`` those who wait go on waiting: another turn has taken its place."""
        self._turns.pop(request_id, None)
        if release and not self._turns:
            self.release()

    def release(self) -> None:
        """Tell all who wait that nothing comes."""
        waiting, self._waiting = self._waiting, {}
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
        clock: Clock,
        spawn: Spawn,
        recovering: Callable[[], str | None],
    ) -> None:
        self._clock, self._spawn = clock, spawn
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
        self._audience.catch_up(connection)
        active = self._logs.active
        if self._audience.holds(connection) or (active is not None and active.request_id != request_id):
            return
        ended = None if active is not None else self._logs.ended(request_id)
        if active is not None:
            stream_id, continuation = active.stream_id, active.continuation
        elif ended is not None and not ended.was_kept:
            stream_id, continuation = ended.stream_id, ended.continuation
        else:
            self._send_end(connection, request_id)
            return
        texts = self._logs.texts(stream_id)
        if len(texts) <= AT_ONCE:
            self._replay(connection, request_id, texts, 0, continuation=continuation)
            self._send_end(connection, request_id)
        else:
            self._audience.hold(connection)
            sending = self._send_slowly(connection, request_id, stream_id, continuation=continuation)
            self._spawn(sending, name=f"chat replay {request_id}")

    async def _send_slowly(
        self, connection: Connection[Any], request_id: str, stream_id: str, *, continuation: bool
    ) -> None:
        """Send a long log as fast as the client takes it: all at once would be more than may wait for it."""
        position = 0
        try:
            while True:
                rest = self._logs.texts(stream_id)[position:]
                texts = rest[:AT_ONCE]
                if not self._replay(connection, request_id, texts, position, continuation=continuation):
                    return
                if len(texts) == len(rest):
                    # That was all, and nothing is awaited before the end is sent.
                    break
                position += len(texts)
                await self._clock.sleep(SECONDS_BETWEEN)
                while connection.is_open and connection.buffered_messages > AT_ONCE // 4:
                    await self._clock.sleep(SECONDS_BETWEEN)
        finally:
            self._audience.let_go(connection)
        self._send_end(connection, request_id)
        active = self._logs.active
        if active is not None and active.request_id != request_id:
            # Another turn has begun meanwhile, without this client.
            self.offer(connection)

    def _send_end(self, connection: Connection[Any], request_id: str) -> None:
        """Say how a request stands to a client that has all there is of it."""
        active, failure = self._logs.active, self._context.failure
        if active is not None and active.request_id == request_id:
            frame = protocol.replay_complete_frame(request_id, continuation=active.continuation)
        elif failure is not None and failure.request_id == request_id:
            frame = protocol.error_frame(request_id, failure.text, done=True, message_ids=failure.message_ids)
        else:
            ended = self._logs.ended(request_id)
            outcome = None if ended is None or ended.outcome == "completed" else ended.outcome
            frame = protocol.replay_done_frame(
                request_id,
                outcome=outcome,
                continuation=ended is not None and ended.continuation,
                message_ids=None if ended is None else ended.message_ids,
            )
        self._audience.send(connection, frame)

    def leave(self, connection: Connection[Any]) -> None:
        """The connection is gone."""
        self._audience.catch_up(connection)
        self._room.leave(connection)
        self._continuation.leave(connection)

    def _replay(
        self, connection: Connection[Any], request_id: str, texts: Iterable[str], start: int, *, continuation: bool
    ) -> bool:
        return all(
            self._audience.send(
                connection, protocol.chunk_frame(request_id, text, seq, continuation=continuation, replay=True)
            )
            for seq, text in enumerate(texts, start)
        )
