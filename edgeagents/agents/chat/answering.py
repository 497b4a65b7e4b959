"""Answering: what a turn does when its time has come.

It asks the agent for a reply, reads it, and ends so that every client knows how: first the message is kept and the
turn's record goes, in one transaction; then the other clients get the transcript; last everybody gets the frame that
ends the request. A turn whose task is cancelled because the agent leaves memory writes nothing: its record and its log
say that it has not ended, and ``recovery`` takes it up.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from edgeagents.agents.capability import CapabilityHost
from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.chunk_log import ChunkLog, ChunkLogs
from edgeagents.agents.chat.live_reply import LiveReply
from edgeagents.agents.chat.message_builder import MessageBuilder
from edgeagents.agents.chat.model_reply import ModelReply
from edgeagents.agents.chat.protocol import Outcome
from edgeagents.agents.chat.reply import read_reply
from edgeagents.agents.chat.request_context import RequestContext
from edgeagents.agents.chat.stall import StallWatch
from edgeagents.agents.chat.tool_state import apply_tool_output
from edgeagents.agents.chat.transcript import Transcript
from edgeagents.agents.chat.turn_options import ChatOptions
from edgeagents.agents.chat.turn_records import TurnRecords
from edgeagents.agents.chat.turns import ChatTurn, TurnResult
from edgeagents.agents.chat.ui import Chunk, UIMessage, last_assistant, message_of_call
from edgeagents.agents.protocol import decode, encode
from edgeagents.agents.streams import LONGEST_CHUNK
from edgeagents.errors import ModelError
from edgeagents.http import Response
from edgeagents.models.encoding import MASKED_ERROR
from edgeagents.models.result import TextResult
from edgeagents.own_errors import as_raised

__all__ = ["Answering", "Cut"]

CHUNKS_AT_A_TIME = 64
SAVE_FAILED = "Failed to save the response."
_END = object()


@dataclass(frozen=True, slots=True)
class Cut:
    """A reply that stopped without an end: because nothing came of it for too long. Recovery decides what follows."""

    log: ChunkLog
    message: UIMessage


@dataclass(frozen=True, slots=True)
class _Ending:
    """How reading a reply ended. ``is_in_band`` tells an error that the reply itself spoke of from one it raised."""

    outcome: Outcome
    error: str | None = None
    is_in_band: bool = False
    raised: Exception | None = None


async def _on_finish(*_: Any) -> None:
    """The handler's ``on_finish``: there is nothing left to do in it."""


class Answering:
    """Runs the turns of one agent, one after the other.

    ``stream_started`` is called when a reply begins, ``stream_ended`` with its finish reason when its message is kept,
    ``cut`` for one that stalled; it returns what becomes of the turn.
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
        before_reply: Callable[[ChatTurn], Awaitable[None]],
        stream_started: Callable[[ChatTurn], None],
        stream_ended: Callable[[ChatTurn, str | None], None],
        cut: Callable[[ChatTurn, Cut], Awaitable[TurnResult | None]],
    ) -> None:
        self._host, self._transcript, self._logs = host, transcript, logs
        self._records, self._context, self._audience = records, context, audience
        self._before_reply, self._stream_started, self._stream_ended = before_reply, stream_started, stream_ended
        self._cut = cut
        self.live: LiveReply | None = None

    @property
    def messages(self) -> list[UIMessage]:
        """The transcript, with the message that is being made as it stands."""
        messages = self._transcript.messages
        if self.live is None or not self.live.message["parts"]:
            return messages
        message = self.live.message
        others = [each for each in messages if each["id"] != message["id"]]
        if len(others) == len(messages):
            return [*messages, message]
        return [message if each["id"] == message["id"] else each for each in messages]

    # Asking

    async def answer(self, turn: ChatTurn) -> TurnResult:
        """Do the turn."""
        host, signal = self._host, turn.signal
        try:
            await self._before_reply(turn)
            if signal.aborted:
                return self._end_without_stream(turn, "aborted")
            if turn.is_request:
                host.emit("message:request")
            options = ChatOptions(
                request_id=turn.request_id,
                abort_signal=signal,
                body=turn.body,
                client_tools=turn.client_tools,
                continuation=turn.continuation,
            )
            reply = await self._ask(turn, options)
            model = ModelReply.of(reply)
            if model is not None:
                self._context.remember_own_tools(model.turn.own_tools)
            chunks = model.chunks(turn.request_id) if model else read_reply(self._in_thread(reply), turn.request_id)
        except Exception as error:
            if signal.aborted:
                return self._end_without_stream(turn, "aborted")
            return await self._failed_before_reply(turn, error)
        if signal.aborted:
            if model is not None:
                model.turn.abort()
            return self._end_without_stream(turn, "aborted")
        if chunks is None:
            return self._end_without_stream(turn, "completed")
        base = last_assistant(self._transcript.messages) if turn.continuation else None
        message = self._new_message() if base is None else copy.deepcopy(base)
        log = self._logs.start(
            turn.request_id, message["id"], continuation=turn.continuation, message_ids=turn.message_ids, base=base
        )
        self._records.started(turn.request_id, log.stream_id, model.to_json() if model else None)
        live = self._begin(turn, log, MessageBuilder(message, continuation=turn.continuation))
        return await self._read_to_end(turn, live, chunks, model)

    async def _ask(self, turn: ChatTurn, options: ChatOptions) -> Any:
        """Return the agent's reply; None when the turn was stopped before there was one."""
        host = self._host

        async def ask() -> Any:
            with host.acting(connection=turn.connection):
                return await host.call("on_chat_message", _on_finish, options)

        if not inspect.iscoroutinefunction(host.find("on_chat_message")):
            # In the agent's thread, where nothing can be stopped.
            return await ask()
        asking = host.ctx.spawn(_captured(ask()), name=f"on_chat_message {turn.request_id}")
        loop = asyncio.get_running_loop()
        remove = turn.signal.add_listener(lambda: loop.call_soon_threadsafe(asking.cancel))
        try:
            await asyncio.wait({asking})
        finally:
            remove()
        if asking.cancelled():
            if not turn.signal.aborted:
                raise asyncio.CancelledError
            return None
        reply, error = asking.result()
        if error is not None:
            raise error
        return reply

    async def go_on(self, turn: ChatTurn, log: ChunkLog, base: UIMessage, model: ModelReply) -> TurnResult:
        """Show the rest of a model's turn whose first chunks are in ``log``. ``base`` is the message before them."""
        if turn.signal.aborted:
            model.turn.abort()
        builder = MessageBuilder(copy.deepcopy(base), continuation=turn.continuation)
        for text in log.texts():
            chunk = decode(text)
            if chunk is not None:
                builder.apply(chunk)
        live = self._begin(turn, log, builder)
        chunks = _rest(model.chunks(turn.request_id), log.cursor, base, continuation=turn.continuation)
        return await self._read_to_end(turn, live, chunks, model)

    def _begin(self, turn: ChatTurn, log: ChunkLog, builder: MessageBuilder) -> LiveReply:
        self.live = LiveReply(
            log,
            builder,
            self._audience,
            keep=lambda message: self._transcript.put(copy.deepcopy(message)),
            settle=self._settle_earlier_call,
        )
        self._stream_started(turn)
        return self.live

    def _new_message(self) -> UIMessage:
        ctx = self._host.ctx
        letters = "".join(ctx.rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9))
        return {
            "id": f"assistant_{int(ctx.clock.now().timestamp() * 1000)}_{letters}",
            "role": "assistant",
            "parts": [],
        }

    def _in_thread(self, reply: Any) -> Any:
        """Return ``reply`` so that a generator which is not asynchronous runs in the agent's thread."""
        if isinstance(reply, str | list | tuple | dict | bytes | Response | TextResult | AsyncIterable):
            return reply
        return self._items(iter(reply)) if isinstance(reply, Iterable) else reply

    async def _items(self, iterator: Iterator[Any]) -> AsyncGenerator[Any, None]:
        ctx = self._host.ctx

        async def take() -> Any:
            return await ctx.invoke(next, iterator, _END)

        close = getattr(iterator, "close", None)
        try:
            while True:
                # In a task of its own: who reads may be cancelled, the thread cannot.
                item = await asyncio.shield(ctx.spawn(take(), name="chat reply"))
                if item is _END:
                    return
                yield item
        finally:
            if close is not None:
                await ctx.invoke(close)

    # Reading

    async def _read_to_end(
        self, turn: ChatTurn, live: LiveReply, chunks: AsyncGenerator[Chunk, None], model: ModelReply | None
    ) -> TurnResult:
        ctx, signal = self._host.ctx, turn.signal
        watch = StallWatch(ctx.clock, self._host.find("chat_stream_stall_timeout_ms"), lambda: reading.cancel())
        reading = ctx.spawn(self._read(turn, live, chunks, watch), name=f"chat reply {turn.request_id}")
        loop = asyncio.get_running_loop()

        def stop() -> None:
            # An abort may come from a sync handler, in its thread.
            loop.call_soon_threadsafe(reading.cancel)
            if model is not None:
                model.turn.abort(str(signal.reason) if signal.reason is not None else None)

        remove = signal.add_listener(stop)
        try:
            await asyncio.wait({reading})
        finally:
            remove()
            watch.stop()
        if not reading.cancelled():
            ending = reading.result()
        elif signal.aborted:
            ending = _Ending("aborted")
        elif watch.has_stalled:
            if model is not None:
                # Another takes its place: it must not go on to call tools beside that one.
                model.turn.abort("Nothing came of it for too long.")
            return await self._stalled(turn, live, watch)
        else:
            raise asyncio.CancelledError
        result = self._end(turn, live, ending)
        if ending.raised is not None:
            await self._report(turn, ending.raised)
        return result

    async def _read(
        self, turn: ChatTurn, live: LiveReply, chunks: AsyncGenerator[Chunk, None], watch: StallWatch
    ) -> _Ending:
        signal, count = turn.signal, 0
        try:
            with self._host.acting(connection=turn.connection):
                async with aclosing(chunks):
                    async for chunk in chunks:
                        watch.touch()
                        count += 1
                        if count % CHUNKS_AT_A_TIME == 0:
                            # A reply that never waits for anything must not keep others waiting.
                            await _let_others_run()
                        error = live.take(chunk)
                        if error is not None:
                            return _Ending("aborted") if signal.aborted else _Ending("error", error, is_in_band=True)
                        if signal.aborted:
                            return _Ending("aborted")
        except Exception as error:
            _leave_if_cancelled()
            if signal.aborted:
                return _Ending("aborted")
            return _Ending("error", _text_of(error), raised=error)
        _leave_if_cancelled()
        return _Ending("aborted") if signal.aborted else _Ending("completed")

    async def _stalled(self, turn: ChatTurn, live: LiveReply, watch: StallWatch) -> TurnResult:
        self._host.emit("chat:stream:stalled", request_id=turn.request_id, timeout_ms=watch.timeout_ms)
        result = await self._cut(turn, Cut(live.log, live.message))
        if result is not None:
            self._leave(turn, live)
            return result
        text = f"The chat stream stalled: nothing came for {watch.timeout_ms} ms."
        return self._end(turn, live, _Ending("error", text))

    def _settle_earlier_call(self, chunk: Chunk) -> None:
        message = message_of_call(self._transcript.messages, chunk["toolCallId"])
        changed = None if message is None else apply_tool_output(message, chunk)
        if changed is not None:
            self._audience.tell(protocol.updated_frame(self._transcript.put(changed)))

    # Ending

    def _end(self, turn: ChatTurn, live: LiveReply, ending: _Ending) -> TurnResult:
        # No await before all is written: the message, the log's end and the record's go together.
        message, kept, log = live.message, live.message, live.log
        is_kept = bool(message["parts"]) and not turn.is_forgotten
        if is_kept:
            try:
                kept = self._transcript.put(message)
            except Exception:
                self._host.ctx.logger.exception("The answer of the turn %s could not be kept", turn.request_id)
                is_kept, ending = False, _Ending("error", SAVE_FAILED)
        if not turn.is_forgotten:
            self._logs.end(ending.outcome, was_kept=is_kept and ending.outcome != "error", error=ending.error)
        self._note_end(turn, ending.error)
        self._audience.catch_all_up()
        asker = turn.connection.id if turn.connection is not None and turn.is_request else None
        if is_kept:
            # Others are told what they heard; what was taken out of it is gone when they load it again.
            messages = (message if each is kept else each for each in self._transcript.messages)
            self._audience.tell(lambda: protocol.messages_frame(messages), but=asker)
        more: dict[str, Any] = {"continuation": log.continuation, "message_ids": log.message_ids}
        if ending.error is None:
            outcome = None if ending.outcome == "completed" else ending.outcome
            self._audience.tell(protocol.done_frame(log.request_id, outcome=outcome, **more))
        elif ending.is_in_band:
            self._audience.tell(protocol.error_frame(log.request_id, ending.error, done=False, **more))
            self._audience.tell(protocol.done_frame(log.request_id, outcome="error", **more))
        else:
            outcome = "error" if ending.error == SAVE_FAILED else None
            self._audience.tell(protocol.error_frame(log.request_id, ending.error, done=True, outcome=outcome, **more))
        if ending.error is not None:
            self._host.emit("message:error", error=ending.error)
        else:
            self._host.emit("message:response")
        self._leave(turn, live)
        status = "completed" if ending.outcome == "completed" else "aborted" if ending.error is None else "error"
        return TurnResult(status, ending.error, message)

    def _leave(self, turn: ChatTurn, live: LiveReply) -> None:
        self.live = None
        self._stream_ended(turn, live.finish_reason)

    def _end_without_stream(self, turn: ChatTurn, outcome: Outcome) -> TurnResult:
        self._note_end(turn, None)
        if outcome == "aborted" or turn.is_request:
            body = protocol.NO_RESPONSE if outcome == "completed" else ""
            self._audience.tell(
                protocol.done_frame(
                    turn.request_id,
                    body=body,
                    outcome=outcome,
                    continuation=turn.continuation,
                    message_ids=turn.message_ids,
                )
            )
        return TurnResult("aborted" if outcome == "aborted" else "completed")

    async def _failed_before_reply(self, turn: ChatTurn, error: Exception) -> TurnResult:
        text = _text_of(error)
        self._note_end(turn, text)
        self._audience.tell(
            protocol.error_frame(
                turn.request_id,
                text,
                done=True,
                outcome="error",
                continuation=turn.continuation,
                message_ids=turn.message_ids,
            )
        )
        self._host.emit("message:error", error=text)
        await self._report(turn, error)
        return TurnResult("error", text, last_assistant(self._transcript.messages) if turn.continuation else None)

    def _note_end(self, turn: ChatTurn, error: str | None) -> None:
        if turn.is_forgotten:
            # All that was kept of it is gone.
            return
        self._records.remove(turn.request_id)
        if error is None:
            self._context.forget_failure()
        else:
            self._context.note_failure(turn.request_id, error, turn.message_ids)

    async def _report(self, turn: ChatTurn, error: Exception) -> None:
        try:
            with self._host.acting(connection=turn.connection):
                await self._host.report(error, turn.connection)
        except Exception as left:
            self._host.ctx.logger.error(
                "%s: on_chat_message() failed in the turn %s",
                self._host.title,
                turn.request_id,
                exc_info=as_raised(left),
            )


def _leave_if_cancelled() -> None:
    """Raise when the task is being cancelled: a reply that swallowed that has not ended, it was cut."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@types.coroutine
def _let_others_run() -> Generator[None]:
    yield


async def _captured(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, Exception | None]:
    """Return what ``coroutine`` returned or raised, so that the task around it has no error to log."""
    try:
        return await coroutine, None
    except Exception as error:
        return None, error


async def _rest(
    chunks: AsyncGenerator[Chunk, None], count: int, base: UIMessage, *, continuation: bool
) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks that come after those of which clients were sent ``count``."""
    seen = MessageBuilder(copy.deepcopy(base), continuation=continuation)
    async with aclosing(chunks):
        async for chunk in chunks:
            if count > 0:
                # One that is too large for the log was sent, and has no place in it.
                count -= sum(len(encode(each).encode()) <= LONGEST_CHUNK for each in seen.apply(chunk))
                continue
            yield chunk


def _text_of(error: Exception) -> str:
    # What a model's provider says may name keys, accounts and hosts.
    return MASKED_ERROR if isinstance(error, ModelError) else str(error) or type(error).__name__
