"""Turns: one at a time, in the order in which they were asked for.

A turn is a task of the agent. Neither the socket nor the handler that asked for it is needed while it runs. What a
turn does is handed in; here stands only when it may.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from edgeagents.agents.chat.chunk_log import ChunkLog
from edgeagents.agents.chat.concurrency import Admission
from edgeagents.agents.chat.model_reply import ModelReply
from edgeagents.agents.chat.turn_records import Attempts
from edgeagents.agents.chat.ui import UIMessage
from edgeagents.agents.connections import Connection
from edgeagents.http import AbortController, AbortSignal

__all__ = ["ChatTurn", "TurnQueue", "TurnResult", "TurnStatus"]

TurnStatus = Literal["completed", "error", "skipped", "aborted"]
Spawn: TypeAlias = Callable[..., asyncio.Task[Any]]


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ended.

    ``message`` is what was said, when anything was. With ``is_taken_up`` another turn goes on with it.
    """

    status: TurnStatus
    error: str | None = None
    message: UIMessage | None = None
    is_taken_up: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class ChatTurn:
    """A turn that was accepted.

    ``connection`` is the client's that asked, None when the server did. ``is_request``: it did so with a request;
    ``is_auto``: with an answer to a tool. ``message_ids`` are those of the user's messages that it answers.
    ``prepare`` is awaited when the turn's time has come; False means that there is nothing left to do. ``goes_on`` is
    the log of a model's turn that is still being shown, with the message before it. With ``is_forgotten`` the
    conversation was cleared while it ran, and what it says is not kept. ``begun`` is set when it has a log, or has
    ended without one; ``raised`` is what kept it from beginning.
    """

    request_id: str
    generation: int
    continuation: bool = False
    is_request: bool = False
    is_auto: bool = False
    connection: Connection[Any] | None = None
    body: dict[str, Any] | None = None
    client_tools: list[dict[str, Any]] | None = None
    message_ids: Sequence[str] = ()
    admission: Admission = field(default_factory=Admission)
    prepare: Callable[[], Awaitable[bool]] | None = None
    goes_on: tuple[ChunkLog, UIMessage, ModelReply] | None = None
    is_forgotten: bool = False
    raised: Exception | None = None
    attempts: Attempts | None = None
    controller: AbortController = field(default_factory=AbortController)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Future[TurnResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def signal(self) -> AbortSignal:
        """Says that the turn shall stop."""
        return self.controller.signal


class TurnQueue:
    """The turns of one agent.

    ``run`` does a turn and returns how it ended. ``skip`` is called for one whose generation is over when its time
    comes, ``at_rest`` when none is left. ``spawn`` starts a task of the agent; when such a task is cancelled, the agent
    is leaving memory.
    """

    def __init__(
        self,
        spawn: Spawn,
        run: Callable[[ChatTurn], Coroutine[Any, Any, TurnResult]],
        skip: Callable[[ChatTurn], object],
        at_rest: Callable[[], object],
    ) -> None:
        self._spawn, self._run, self._skip, self._at_rest = spawn, run, skip, at_rest
        self._waiting: deque[ChatTurn] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self.active: ChatTurn | None = None
        self.generation = 0

    def add(self, turn: ChatTurn, *, is_first: bool = False) -> None:
        """Let ``turn`` run when all before it have ended. With ``is_first`` it goes before those that wait."""
        if is_first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        if self.active is None:
            self._next()

    def count(self) -> int:
        """Return how many turns of this generation run or wait."""
        turns = (self.active, *self._waiting)
        return sum(turn is not None and turn.generation == self.generation for turn in turns)

    def find(self, request_id: str) -> ChatTurn | None:
        """Return the turn of this request that runs or waits."""
        turns = (self.active, *self._waiting)
        return next((turn for turn in turns if turn is not None and turn.request_id == request_id), None)

    def all(self) -> list[ChatTurn]:
        """Return the turns that run or wait."""
        return [turn for turn in (self.active, *self._waiting) if turn is not None]

    def reset(self) -> None:
        """Begin a new generation: turns that wait will be skipped."""
        self.generation += 1

    async def idle(self) -> None:
        """Return when no turn runs or waits."""
        while self.active is not None:
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if turn.generation != self.generation:
                self._skip(turn)
                _settle(turn, TurnResult("skipped"))
                continue
            self.active = turn
            task = self._spawn(self._run(turn), name=f"chat turn {turn.request_id}")
            task.add_done_callback(partial(self._ended, turn))
            return
        self._at_rest()
        waiters, self._idle = self._idle, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _ended(self, turn: ChatTurn, task: asyncio.Task[TurnResult]) -> None:
        if task.cancelled():
            # The agent is leaving memory. What waits is taken up again when it comes back.
            turn.done.cancel()
            turn.begun.set()
            return
        error = task.exception()
        self.active = None
        _settle(turn, TurnResult("error", str(error)) if error is not None else task.result())
        self._next()


def _settle(turn: ChatTurn, result: TurnResult) -> None:
    if not turn.done.done():
        turn.done.set_result(result)
    turn.begun.set()
