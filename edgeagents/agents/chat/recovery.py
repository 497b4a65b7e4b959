"""Recovery: what becomes of turns that the end of the server has cut, or whose reply stalled.

A reply that is a model's turn of the agent goes on by itself, so chat goes on showing it, under the same request. Any
other is asked for again: what it said so far is kept and continued, or, when it said nothing yet, the question is
asked anew, under another request id that answers the same messages. Not for ever: a turn that does not get on, or ends
the server each time, fails with a text that people read. Clients are told each time, and never left waiting.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from edgeagents.agents.capability import CapabilityHost
from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.answering import Cut
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.chunk_log import ChunkLog, ChunkLogs
from edgeagents.agents.chat.defaults import is_defined
from edgeagents.agents.chat.message_builder import MessageBuilder
from edgeagents.agents.chat.model_reply import ModelReply
from edgeagents.agents.chat.reconcile import reconcile
from edgeagents.agents.chat.request_context import RequestContext
from edgeagents.agents.chat.transcript import Transcript
from edgeagents.agents.chat.turn_options import ChatRecovery
from edgeagents.agents.chat.turn_records import Attempts, TurnRecord, TurnRecords
from edgeagents.agents.chat.turns import ChatTurn, TurnResult
from edgeagents.agents.chat.ui import UIMessage
from edgeagents.agents.jobs import Job
from edgeagents.agents.protocol import decode
from edgeagents.objects.ids import nanoid

__all__ = ["Interrupted", "Recovery", "RecoveryLimits"]

CAPABILITY = "chat"
JOB = "turns"
JOB_ID = "cf:chat:turns"
WAKE_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How hard to try. Attempts without progress are those that got no chunk further than the one before."""

    max_attempts: int = 10
    max_attempts_without_progress: int = 5
    no_progress_timeout_ms: float = 5 * 60_000
    retry_delay_ms: float = 3_000
    terminal_message: str = "The assistant was interrupted and could not recover. Please try again."


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A turn that is to be taken up: its record, and its log if its reply had begun."""

    record: TurnRecord
    log: ChunkLog | None


class Recovery:
    """Takes up what was interrupted.

    ``find_turn`` returns a model's turn by its stream, ``enqueue`` lets a turn run.
    """

    def __init__(
        self,
        host: CapabilityHost,
        transcript: Transcript,
        logs: ChunkLogs,
        records: TurnRecords,
        context: RequestContext,
        audience: Audience,
        *,
        enqueue: Callable[..., None],
        generation: Callable[[], int],
    ) -> None:
        self._host, self._transcript, self._logs = host, transcript, logs
        self._records, self._context, self._audience = records, context, audience
        self._enqueue, self._generation = enqueue, generation
        self._has_job = False
        self._recovering: str | None = None

    @property
    def recovering(self) -> str | None:
        """The request whose turn is being taken up, as clients know it."""
        return self._recovering

    # Waking by itself

    def watch(self) -> None:
        """A turn was accepted: should the server end, the agent wakes by itself and takes it up."""
        if not self._has_job:
            self._has_job = True
            self._host.jobs.push(
                CAPABILITY, JOB, due=self._host.ctx.clock.now() + WAKE_AFTER, id=JOB_ID, recovery_loop=True
            )

    def unwatch(self) -> None:
        """No turn is left."""
        if self._has_job:
            self._has_job = False
            self._host.jobs.remove(CAPABILITY, JOB_ID)

    def close(self) -> None:
        """The agent is being destroyed, and its jobs with it."""
        self._has_job = False

    async def _awake(self, job: Job) -> datetime | None:
        # That the agent is awake is all that was wanted; the alarm stays while a turn runs.
        return self._host.ctx.clock.now() + WAKE_AFTER if self._has_job else None

    def start(self) -> None:
        """Look for turns that did not end, while the agent wakes."""
        self._host.jobs.on(CAPABILITY, JOB, self._awake)
        unfinished = self._records.unfinished()
        if unfinished:
            self.watch()
        for position, record in enumerate(unfinished):
            self._take_up(record, has_begun=position == 0)

    def _take_up(self, record: TurnRecord, *, has_begun: bool) -> None:
        log = None if record.stream_id is None else self._logs.reopen(record.stream_id)
        model = self._model_of(record) if log is not None else None
        turn = ChatTurn(
            request_id=record.request_id,
            generation=self._generation(),
            continuation=record.continuation,
            body=record.body,
            client_tools=record.client_tools,
            message_ids=record.message_ids,
            attempts=record.attempts,
        )
        if log is not None and model is not None:
            turn.goes_on = (log, base_of(log), model)
        elif has_begun:
            self._prepare(turn, Interrupted(record, log))
        self._enqueue(turn)

    async def stalled(self, turn: ChatTurn, cut: Cut) -> TurnResult | None:
        """Take up a turn from which nothing came any more; None when that is not wanted."""
        if self._limits() is None:
            return None
        record = TurnRecord(
            turn.request_id,
            turn.continuation,
            turn.body,
            turn.client_tools,
            tuple(turn.message_ids),
            turn.attempts or Attempts(turn.request_id),
            cut.log.stream_id,
            None,
            0,
        )
        self._recovering = record.attempts.request_id
        follower = ChatTurn(
            request_id=turn.request_id,
            generation=turn.generation,
            body=turn.body,
            client_tools=turn.client_tools,
            message_ids=turn.message_ids,
        )
        is_taken_up = await self._recover(follower, Interrupted(record, cut.log))
        if is_taken_up:
            self._enqueue(follower, is_first=True)
        return TurnResult("aborted", is_taken_up=is_taken_up)

    def _model_of(self, record: TurnRecord) -> ModelReply | None:
        find = self._host.find("get_stream")
        return None if record.model_reply is None else ModelReply.from_json(record.model_reply, find)

    # Taking up

    def _prepare(self, turn: ChatTurn, interrupted: Interrupted) -> None:
        self._recovering = interrupted.record.attempts.request_id

        async def prepare() -> bool:
            return await self._recover(turn, interrupted)

        turn.prepare = prepare

    async def _recover(self, turn: ChatTurn, interrupted: Interrupted) -> bool:
        """Make ``turn`` the one that takes up what was interrupted; return False when nothing is to follow."""
        record, log, host = interrupted.record, interrupted.log, self._host
        message = None if log is None else self._partial(log)
        limits = self._limits()
        attempts = self._next_attempt(record.attempts, has_got_on=log is not None and log.cursor > 0)
        kind: Literal["retry", "continue"] = "continue" if message is not None or record.continuation else "retry"
        payload: dict[str, Any] = {
            "request_id": record.request_id,
            "attempt": attempts.count,
            "max_attempts": limits.max_attempts if limits else 0,
            "recovery_kind": kind,
        }
        host.emit("chat:recovery:detected", **payload)
        if limits is None:
            return self._give_up(record, message)
        if self._is_exhausted(attempts, limits):
            host.emit("chat:recovery:exhausted", **payload)
            return self._fail(record, message, limits.terminal_message)
        wishes = await self._ask(record, message, kind, attempts.count, limits)
        keeps, goes_on = wishes.get("persist", True), wishes.get("continue", True)
        if not goes_on:
            host.emit("chat:recovery:skipped", **payload, reason="continue_disabled")
            return self._give_up(record, message if keeps else None)
        if message is not None and not keeps and not record.continuation:
            # It may stand in the transcript already, with a question to a person.
            self._transcript.remove([message["id"]])
        self._close(record, message if keeps else None, "recovering")
        turn.request_id = nanoid(host.ctx.rng)
        turn.continuation = record.continuation or (message is not None and keeps)
        turn.attempts = attempts
        self._records.add(
            turn.request_id,
            continuation=turn.continuation,
            body=turn.body,
            client_tools=turn.client_tools,
            message_ids=turn.message_ids,
            attempts=attempts,
        )
        self._audience.tell(protocol.recovering_frame(True, self._recovering))
        host.emit("chat:recovery:scheduled", **payload)
        if attempts.count > 1:
            await host.ctx.clock.sleep(limits.retry_delay_ms / 1000)
        host.emit("chat:recovery:attempt", **payload)
        return True

    def _limits(self) -> RecoveryLimits | None:
        wanted = self._host.find("chat_recovery")
        if isinstance(wanted, RecoveryLimits):
            return wanted
        return RecoveryLimits() if wanted else None

    def _next_attempt(self, before: Attempts, *, has_got_on: bool) -> Attempts:
        now = int(self._host.ctx.clock.now().timestamp() * 1000)
        # The first time counts as getting on: the time in which no server ran is nobody's fault.
        if has_got_on or not before.count:
            return replace(before, count=before.count + 1, stuck=0, progress_at=now)
        return replace(before, count=before.count + 1, stuck=before.stuck + 1)

    def _is_exhausted(self, attempts: Attempts, limits: RecoveryLimits) -> bool:
        silence = self._host.ctx.clock.now().timestamp() * 1000 - attempts.progress_at
        return (
            attempts.count > limits.max_attempts
            or attempts.stuck > limits.max_attempts_without_progress
            # After one more attempt at least: a server may be away for longer than that.
            or (attempts.stuck > 1 and silence > limits.no_progress_timeout_ms)
        )

    async def _ask(
        self,
        record: TurnRecord,
        message: UIMessage | None,
        kind: Literal["retry", "continue"],
        attempt: int,
        limits: RecoveryLimits,
    ) -> Mapping[str, Any]:
        if not is_defined(self._host.find("on_chat_recovery")):
            return {}
        parts = [] if message is None else message["parts"]
        recovery = ChatRecovery(
            request_id=record.request_id,
            kind=kind,
            attempt=attempt,
            max_attempts=limits.max_attempts,
            partial_text="".join(part.get("text") or "" for part in parts if part["type"] == "text"),
            partial_parts=parts,
            messages=self._transcript.messages,
            body=record.body,
            client_tools=record.client_tools,
        )
        try:
            with self._host.acting():
                return await self._host.call("on_chat_recovery", recovery) or {}
        except Exception:
            self._host.ctx.logger.exception("on_chat_recovery() failed; the turn is taken up as usual")
            return {}

    def _partial(self, log: ChunkLog) -> UIMessage | None:
        """Return the message that an interrupted log amounts to, None when it says nothing."""
        builder = MessageBuilder(copy.deepcopy(base_of(log)), continuation=log.continuation)
        before = len(builder.message["parts"])
        for text in log.texts():
            chunk = decode(text)
            if chunk is not None:
                builder.apply(chunk)
        message = builder.message
        if not log.continuation and len(message["parts"]) == before:
            return None
        known = self._transcript.find(message["id"])
        # A client may have answered a call meanwhile.
        return message if known is None else reconcile([message], [known])[0]

    def _close(
        self,
        record: TurnRecord,
        message: UIMessage | None,
        outcome: Literal["recovering", "aborted", "error"],
        error: str | None = None,
    ) -> None:
        """End the old request: keep what it said, and tell its clients."""
        if message is not None:
            self._transcript.put(message)
        has_log = self._logs.active is not None
        continuation = has_log and record.continuation
        self._logs.end(outcome, was_kept=message is not None and outcome != "error", error=error)
        self._records.remove(record.request_id)
        self._audience.catch_all_up()
        if message is not None:
            self._audience.tell(lambda: protocol.messages_frame(self._transcript.messages))
        if outcome != "error":
            self._audience.tell(
                protocol.done_frame(
                    record.request_id, outcome=outcome, continuation=continuation, message_ids=record.message_ids
                )
            )

    def _give_up(self, record: TurnRecord, message: UIMessage | None) -> bool:
        self._close(record, message, "aborted")
        self.over()
        return False

    def _fail(self, record: TurnRecord, message: UIMessage | None, text: str) -> bool:
        self._close(record, message, "error", text)
        self._context.note_failure(record.request_id, text, record.message_ids)
        self._audience.tell(protocol.error_frame(record.request_id, text, done=True, message_ids=record.message_ids))
        self.over()
        return False

    def over(self) -> None:
        """The turn that was taken up has ended, one way or another."""
        if self._recovering is not None:
            request_id, self._recovering = self._recovering, None
            self._audience.tell(protocol.recovering_frame(False, request_id))


def base_of(log: ChunkLog) -> UIMessage:
    """Return the message as it was before the first chunk of ``log``."""
    return log.base or {"id": log.message_id, "role": "assistant", "parts": []}
