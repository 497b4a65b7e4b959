"""Chat: the capability that makes an agent hold a conversation.

It reads the frames that clients send, puts the parts together, and says in which order things happen when a turn is
accepted, when its time comes, and when the conversation is cleared. How a turn is answered, resumed, continued or
recovered stands in the files of those names.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.answering import Answering
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.chunk_log import ChunkLogs
from edgeagents.agents.chat.client_copy import admit
from edgeagents.agents.chat.concurrency import Admission, SubmitPolicy, merge_user_messages, read_concurrency
from edgeagents.agents.chat.continuation import Continuation, Pending
from edgeagents.agents.chat.defaults import is_defined
from edgeagents.agents.chat.doors import Doors
from edgeagents.agents.chat.legacy import read_messages
from edgeagents.agents.chat.live_reply import LiveReply
from edgeagents.agents.chat.reconcile import trailing_user_ids
from edgeagents.agents.chat.recovery import Recovery
from edgeagents.agents.chat.repair import approved_calls, interrupted_part, repair_begun, repair_interrupted
from edgeagents.agents.chat.request_context import RequestContext
from edgeagents.agents.chat.resume import Resuming, WaitingRoom
from edgeagents.agents.chat.sanitize import sanitize
from edgeagents.agents.chat.tool_answers import ToolAnswers
from edgeagents.agents.chat.tool_state import (
    apply_tool_approval,
    apply_tool_result,
    has_pending_interaction,
    is_batch_incomplete,
    part_awaits_client,
)
from edgeagents.agents.chat.transcript import HYDRATION_BYTES, Transcript
from edgeagents.agents.chat.turn_options import ChatResponse, SaveResult
from edgeagents.agents.chat.turn_records import TurnRecords
from edgeagents.agents.chat.turns import ChatTurn, TurnQueue, TurnResult
from edgeagents.agents.chat.ui import UIMessage, last_assistant
from edgeagents.agents.connections import Connection
from edgeagents.http import AbortSignal, Request, Response
from edgeagents.objects.ids import nanoid
from edgeagents.own_errors import as_raised

__all__ = ["Chat"]

MCP_TIMEOUT_MS = 10_000
MOST_TURNS = 256
"""How many turns may wait. A message beyond that is refused, whatever ``message_concurrency`` says."""

Messages = Sequence[UIMessage] | Callable[[list[UIMessage]], Sequence[UIMessage] | Awaitable[Sequence[UIMessage]]]


class Chat(Capability):
    """The conversation of one agent. ``AIChatAgent`` has its public methods under the same names."""

    name = "chat"

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        ctx = host.ctx
        database, clock = ctx.storage.database, ctx.clock
        self._policy = SubmitPolicy()
        self._responses: deque[ChatResponse] = deque()
        self._is_telling = False
        self._merge_from: int | None = None
        self.transcript = Transcript(
            database,
            clock,
            sanitize=self._sanitize,
            limit=lambda: host.find("max_persisted_messages"),
            budget=lambda: host.find("hydration_byte_budget") or HYDRATION_BYTES,
        )
        self._audience = Audience(host.connections)
        self._records = TurnRecords(database, clock)
        self._context = RequestContext(database)
        self._logs = ChunkLogs(host.find("streams"), ctx.rng)
        self._queue = TurnQueue(ctx.spawn, self._run, self._skip, self._at_rest)
        self._room = WaitingRoom(self._audience)
        self._continuation = Continuation(
            clock,
            ctx.rng,
            self._audience,
            may_fire=self._may_continue,
            fire=self._continue,
            note=self._context.note_continuation,
        )
        self._recovery = Recovery(
            host,
            self.transcript,
            self._logs,
            self._records,
            self._context,
            self._audience,
            enqueue=self._enqueue,
            generation=lambda: self._queue.generation,
        )
        self._answering = Answering(
            host,
            self.transcript,
            self._logs,
            self._records,
            self._context,
            self._audience,
            before_reply=self._before_reply,
            stream_started=self._stream_started,
            stream_ended=self._stream_ended,
            cut=self._recovery.stalled,
        )
        self._answers = ToolAnswers(
            clock,
            ctx.spawn,
            self.transcript,
            self._audience,
            live=self._live,
            settled=self._continuation.answers_settled,
        )
        self._resuming = Resuming(
            self._logs,
            self._audience,
            self._room,
            self._continuation,
            self._context,
            clock=clock,
            spawn=ctx.spawn,
            recovering=lambda: self._recovery.recovering,
        )
        self._doors = Doors(host, self.transcript, self._logs, self._queue.all)

    # Events

    async def start(self, props: Mapping[str, Any] | None) -> None:
        self._recovery.start()
        awaited = self._context.continuation
        if awaited is not None:
            request_id, owner = awaited
            connection = None if owner is None else next(self.host.connections.with_id(owner), None)
            body, tools = self._context.body, self._context.client_tools
            self._continuation.restore(Pending(request_id, connection, owner if connection else None, body, tools))

    async def request(self, request: Request) -> object | None:
        if self._doors.asks_for_turn(request):
            return await self._answer_post(request)
        return await self._doors.answer(request)

    async def greet(self, connection: Connection[Any], request: Request) -> None:
        self._resuming.greet(connection)

    async def connect(self, connection: Connection[Any], request: Request) -> None:
        # It gets no identity, so nobody greeted it; what it is sent of chat is the same.
        if not connection.is_protocol_enabled:
            self._resuming.greet(connection)

    async def close(self, connection: Connection[Any], code: int, reason: str, was_clean: bool) -> None:
        self._resuming.leave(connection)

    async def dispose(self) -> None:
        for turn in self._queue.all():
            turn.is_forgotten = True
        self.reset_turn_state()
        self._recovery.close()

    async def frame(self, connection: Connection[Any], frame: Mapping[str, Any]) -> bool:
        # Nothing is awaited here: what clients send takes effect in the order in which it came.
        match asked := protocol.read_chat_frame(frame):
            case None:
                return False
            case protocol.ChatRequest(id) if self._queue.find(id) is not None:
                # Its chunks would be taken for those of the other, and with its end the other's record would go.
                self.host.ctx.logger.warning(
                    "A request from %r was ignored: its turn %r has not ended.", connection, id
                )
            case protocol.ChatRequest():
                self._request(connection, asked)
            case protocol.Cancel(id):
                self._cancel(id)
            case protocol.Clear():
                self._clear(connection)
            case protocol.SetMessages(messages):
                self._take_in(self._admitted(messages, may_edit=True), but=connection.id)
            case protocol.ResumeRequest(probe_id):
                self._resuming.ask(connection, probe_id)
            case protocol.ResumeAck(id):
                self._resuming.take(connection, id)
            case protocol.ToolResult():
                self._tool_result(connection, asked)
            case protocol.ToolApproval():
                self._tool_approval(connection, asked)
            case protocol.Ignored(reason):
                self.host.ctx.logger.warning("A frame of chat from %r was ignored: %s.", connection, reason)
        return True

    # Turns that clients ask for

    async def _answer_post(self, request: Request) -> Response:
        """Have a turn for a client without a WebSocket. It goes on when that client has gone."""
        init = {"method": "POST", "body": await request.text()}
        asked = protocol.read_chat_frame({"type": protocol.REQUEST, "id": nanoid(self.host.ctx.rng), "init": init})
        if not isinstance(asked, protocol.ChatRequest):
            reason = asked.reason if isinstance(asked, protocol.Ignored) else "this is no request"
            return Response(f"No turn can be had: {reason}.", status=400)
        turn = self._request(None, asked)
        if turn.admission.is_dropped:
            return Response("Another turn runs.", status=409)
        return self._doors.show(turn)

    def _request(self, connection: Connection[Any] | None, request: protocol.ChatRequest) -> ChatTurn:
        asker = None if connection is None else connection.id
        turn = ChatTurn(
            request_id=request.id,
            generation=self._queue.generation,
            is_request=True,
            connection=connection,
            body=request.body,
            client_tools=request.client_tools,
            message_ids=trailing_user_ids(request.messages) or (),
        )
        turn.admission = self._admit(request.trigger)
        if turn.admission.is_dropped:
            if connection is not None:
                # What the client shows already must disappear again.
                self._audience.send(connection, protocol.messages_frame(self._answering.messages))
            self._skip(turn)
            return turn
        self._context.forget_failure()
        self._room.expect(turn.request_id)
        try:
            messages = self._admitted(request.messages)
            self._audience.tell(lambda: protocol.messages_frame(messages), but=asker)
            self._take_in(messages, but=asker, forget_missing=True)
            if turn.admission.merges:
                self._merge_waiting()
            self._accept(turn)
        except Exception as error:
            self._refuse(turn, error)
            raise
        return turn

    def _admit(self, trigger: protocol.Trigger) -> Admission:
        if len(self._queue.all()) >= MOST_TURNS:
            return Admission(is_dropped=True)
        if trigger != "submit-message":
            return Admission()
        concurrency = read_concurrency(self.host.find("message_concurrency") or "queue")
        admission = self._policy.admit(
            concurrency, is_busy=self._queue.count() > 0, now=self.host.ctx.clock.monotonic()
        )
        if admission.merges and self._merge_from is None:
            self._merge_from = len(self.transcript.messages)
        return admission

    def _refuse(self, turn: ChatTurn, error: Exception) -> None:
        self._room.settle(turn.request_id)
        if turn.connection is None:
            return
        text = str(error) or type(error).__name__
        frame = protocol.error_frame(turn.request_id, text, done=True, outcome="error", message_ids=turn.message_ids)
        self._audience.send(turn.connection, frame)

    def _accept(self, turn: ChatTurn) -> None:
        self._records.add(
            turn.request_id,
            continuation=turn.continuation,
            body=turn.body,
            client_tools=turn.client_tools,
            message_ids=turn.message_ids,
        )
        self._enqueue(turn)

    def _enqueue(self, turn: ChatTurn, *, is_first: bool = False) -> None:
        self._recovery.watch()
        if not turn.continuation and turn.goes_on is None:
            self._room.expect(turn.request_id)
        self._queue.add(turn, is_first=is_first)

    def _skip(self, turn: ChatTurn) -> None:
        """A turn will not run: something newer has taken its place, or the conversation was cleared."""
        if not turn.is_forgotten:
            self._records.remove(turn.request_id)
        if turn.connection is not None and turn.is_request:
            frame = protocol.done_frame(turn.request_id, outcome="skipped", message_ids=turn.message_ids)
            self._audience.send(turn.connection, frame)
        # Whoever waits waits for the turn that comes instead.
        self._room.settle(turn.request_id, release=False)
        if turn.is_auto:
            self._continuation.reset()
        if turn.attempts is not None:
            self._recovery.over()

    def _at_rest(self) -> None:
        self._merge_from = None
        self._recovery.unwatch()

    async def _run(self, turn: ChatTurn) -> TurnResult:
        result = TurnResult("skipped")
        try:
            if await self._is_due(turn):
                if turn.goes_on is not None:
                    result = await self._answering.go_on(turn, *turn.goes_on)
                else:
                    result = await self._answering.answer(turn)
                self._ended(turn, result)
            else:
                self._skip(turn)
        except Exception as error:
            turn.raised = error
            if turn.prepare is None:
                title = self.host.title
                self.host.ctx.logger.error("%s: the turn %s failed", title, turn.request_id, exc_info=as_raised(error))
            self._skip(turn)
            result = TurnResult("error", str(error))
        self._room.settle(turn.request_id)
        return result

    async def _is_due(self, turn: ChatTurn) -> bool:
        """Wait until the turn may begin. False when it is not wanted any more."""
        clock = self.host.ctx.clock
        asked_as = turn.request_id
        if self._policy.is_superseded(turn.admission):
            return False
        left = turn.admission.ready_at - clock.monotonic()
        if left > 0:
            await clock.sleep(left)
        if turn.admission.merges:
            self._merge_waiting()
        if turn.prepare is not None and not await turn.prepare():
            self._room.settle(asked_as)
            return False
        if turn.request_id != asked_as:
            self._room.expect(turn.request_id)
            self._room.settle(asked_as, release=False)
        return turn.generation == self._queue.generation and not self._policy.is_superseded(turn.admission)

    def _ended(self, turn: ChatTurn, result: TurnResult) -> None:
        begun = self._context.begun_calls
        if begun and not turn.is_forgotten:
            left = approved_calls(self.transcript.messages)
            self._context.note_begun_calls([id for id in begun if id in left])
        if turn.is_auto:
            self._continuation.turn_ended(turn.request_id, failed=result.status == "error")
        if turn.attempts is not None and not result.is_taken_up:
            self._recovery.over()
        if result.message is not None and result.status != "skipped":
            self._responses.append(
                ChatResponse(
                    message=result.message,
                    request_id=turn.request_id,
                    continuation=turn.continuation,
                    status=result.status,
                    error=result.error,
                )
            )
            if not self._is_telling and is_defined(self.host.find("on_chat_response")):
                self._is_telling = True
                self.host.ctx.spawn(self._tell_responses(), name="on_chat_response")
            elif not self._is_telling:
                self._responses.clear()

    async def _tell_responses(self) -> None:
        # Outside of the turn, which has ended: the handler may ask for the next one.
        try:
            while self._responses:
                try:
                    with self.host.acting():
                        await self.host.call("on_chat_response", self._responses.popleft())
                except Exception as error:
                    await self._report(error)
        finally:
            self._is_telling = False

    async def _report(self, error: Exception) -> None:
        try:
            await self.host.report(error, None)
        except Exception as left:
            self.host.ctx.logger.error("%s: on_chat_response() failed", self.host.title, exc_info=as_raised(left))

    # Before and around a reply

    async def _before_reply(self, turn: ChatTurn) -> None:
        await self._wait_for_mcp()
        self._context.remember(turn.body, turn.client_tools)
        self._repair(repairs_approved=not turn.continuation and not self._continuation.is_awaited)
        if not turn.signal.aborted:
            # From here on they may be made; should the turn break off, nobody knows whether they were.
            self._context.note_begun_calls(approved_calls(self.transcript.messages))

    async def _wait_for_mcp(self) -> None:
        wait = getattr(self.host.find("mcp"), "wait_for_connections", None)
        wanted = self.host.find("wait_for_mcp_connections")
        if wait is not None and wanted:
            timeout = wanted.get("timeout", MCP_TIMEOUT_MS) if isinstance(wanted, Mapping) else MCP_TIMEOUT_MS
            await wait(timeout / 1000)

    def _repair(self, *, repairs_approved: bool) -> None:
        repair = self.host.find("repair_interrupted_tool_part") or interrupted_part
        tools = self._client_tool_names()
        begun = self._context.begun_calls
        changed = repair_begun(self.transcript.messages, begun) if begun else []
        for message in changed:
            self.transcript.put(message)
        interrupted = repair_interrupted(
            self.transcript.messages,
            repair,
            is_waited_for=lambda part: part_awaits_client(part, tools),
            repairs_approved=repairs_approved,
        )
        for message in interrupted:
            self.transcript.put(message)
        if changed or interrupted:
            self._audience.tell(lambda: protocol.messages_frame(self.transcript.messages))

    def _client_tool_names(self) -> set[str]:
        return {tool["name"] for tool in self._context.client_tools or ()}

    def _live(self) -> LiveReply | None:
        return self._answering.live

    def _stream_started(self, turn: ChatTurn) -> None:
        turn.begun.set()
        self._room.begin(self._resuming.offer)
        self._continuation.reply_started(turn.request_id, self._resuming.offer)

    def _stream_ended(self, turn: ChatTurn, finish_reason: str | None) -> None:
        is_stale = finish_reason == "stop" and not is_batch_incomplete(self.transcript.messages)
        self._continuation.reply_ended(turn.request_id, is_stale=is_stale)

    def _sanitize(self, message: UIMessage) -> UIMessage:
        kept = sanitize(message)
        hook = self.host.find("sanitize_message_for_persistence")
        return hook(kept) if is_defined(hook) else kept

    # Continuations

    def _may_continue(self) -> bool:
        return (
            self._answering.live is None
            and not self._answers.is_waiting
            and not is_batch_incomplete(self.transcript.messages)
        )

    def _continue(self, pending: Pending) -> None:
        self._accept(
            ChatTurn(
                request_id=pending.request_id,
                generation=self._queue.generation,
                continuation=True,
                is_auto=True,
                connection=pending.connection,
                body=pending.body,
                client_tools=pending.client_tools,
            )
        )

    def _tool_result(self, connection: Connection[Any], result: protocol.ToolResult) -> None:
        if result.client_tools:
            self._context.remember_tools(result.client_tools)
        self.host.emit("tool:result", tool_call_id=result.tool_call_id, tool_name=result.tool_name)
        change = partial(
            apply_tool_result,
            tool_call_id=result.tool_call_id,
            output=result.output,
            failed=result.failed,
            error_text=result.error_text,
            is_own_tool=self._context.own_tools.__contains__,
        )
        self._answers.take(result.tool_call_id, change)
        self._go_on_if(connection, wanted=result.auto_continue)

    def _tool_approval(self, connection: Connection[Any], approval: protocol.ToolApproval) -> None:
        self.host.emit("tool:approval", tool_call_id=approval.tool_call_id, approved=approval.approved)
        change = partial(apply_tool_approval, tool_call_id=approval.tool_call_id, approved=approval.approved)
        self._answers.take(approval.tool_call_id, change)
        self._go_on_if(connection, wanted=approval.auto_continue)

    def _go_on_if(self, connection: Connection[Any], *, wanted: bool) -> None:
        if wanted:
            self._continuation.ask(connection, self._context.body, self._context.client_tools)
        else:
            self._continuation.look_again()

    # The transcript

    def _admitted(self, given: Sequence[Any], *, may_edit: bool = False) -> list[UIMessage]:
        """Return what counts of the messages that a client sent."""
        messages = read_messages(given)
        rows = self.transcript.known(message["id"] for message in messages)
        turn, live = self._queue.active, self._answering.live
        if live is not None and turn is not None and not turn.is_forgotten:
            # What it is saying now is the server's too, and newer than what is kept of it.
            message = copy.deepcopy(live.message)
            rows = [*(row for row in rows if row["id"] != message["id"]), message]
        return admit(
            messages, rows, self._sanitize, is_own_tool=self._context.own_tools.__contains__, may_edit=may_edit
        )

    def _take_in(
        self, messages: Sequence[UIMessage], *, but: str | None, forget_missing: bool = False
    ) -> list[UIMessage]:
        merged = self.transcript.merge(messages, forget_missing=forget_missing)
        self._audience.tell(lambda: protocol.messages_frame(merged), but=but)
        return merged

    def _merge_waiting(self) -> None:
        """Make one message of those that wait."""
        start, messages = self._merge_from, self.transcript.messages
        if start is None:
            return
        end = start
        while end < len(messages) and messages[end]["role"] == "user":
            end += 1
        if end - start > 1:
            merged = merge_user_messages(messages[start:end])
            self._take_in([*messages[:start], merged, *messages[end:]], but=None, forget_missing=True)

    def _clear(self, connection: Connection[Any]) -> None:
        for turn in self._queue.all():
            turn.is_forgotten = True
        self.reset_turn_state()
        self.transcript.clear()
        self._context.clear()
        self._records.clear()
        self._logs.clear()
        self._audience.catch_all_up()
        self._audience.tell(protocol.CLEAR_FRAME, but=connection.id)
        self.host.emit("message:clear")

    def _cancel(self, request_id: str) -> None:
        self.abort_request(request_id)
        self.host.emit("message:cancel", request_id=request_id)

    # What the agent's own code does

    @property
    def messages(self) -> list[UIMessage]:
        """The conversation, the oldest message first."""
        return self.transcript.messages

    async def persist_messages(
        self, messages: Sequence[UIMessage], exclude_ids: Sequence[str] = (), *, delete_stale: bool = False
    ) -> None:
        """Keep messages and tell clients of them. No turn follows."""
        merged = self.transcript.merge(read_messages(messages), forget_missing=delete_stale)
        self._audience.tell(lambda: protocol.messages_frame(merged), but_these=exclude_ids)

    async def save_messages(self, messages: Messages, *, signal: AbortSignal | None = None) -> SaveResult:
        """Keep messages and answer them in a turn that no client asked for. Returns when the turn has ended."""
        turn = ChatTurn(
            request_id=nanoid(self.host.ctx.rng),
            generation=self._queue.generation,
            body=self._context.body,
            client_tools=self._context.client_tools,
        )

        async def prepare() -> bool:
            wanted = messages
            if callable(wanted):
                wanted = await self.host.ctx.invoke(wanted, self.transcript.messages)
            if turn.generation != self._queue.generation:
                return False
            self._take_in(read_messages(wanted), but=None)
            self._keep_record(turn)
            return True

        turn.prepare = prepare
        return await self._turn_of_ours(turn, signal)

    async def continue_last_turn(
        self, body: dict[str, Any] | None = None, *, signal: AbortSignal | None = None
    ) -> SaveResult:
        """Let the assistant go on with its last message. Skipped when it has said nothing yet."""
        if last_assistant(self.transcript.messages) is None:
            return SaveResult("", "skipped")
        turn = ChatTurn(
            request_id=nanoid(self.host.ctx.rng),
            generation=self._queue.generation,
            continuation=True,
            body=self._context.body if body is None else body,
            client_tools=self._context.client_tools,
        )

        async def prepare() -> bool:
            self._keep_record(turn)
            return True

        turn.prepare = prepare
        return await self._turn_of_ours(turn, signal)

    def _keep_record(self, turn: ChatTurn) -> None:
        self._records.add(
            turn.request_id,
            continuation=turn.continuation,
            body=turn.body,
            client_tools=turn.client_tools,
            message_ids=(),
        )

    async def _turn_of_ours(self, turn: ChatTurn, signal: AbortSignal | None) -> SaveResult:
        remove = None if signal is None else signal.add_listener(lambda: turn.controller.abort(signal.reason))
        try:
            self._enqueue(turn)
            result = await turn.done
        finally:
            if remove is not None:
                remove()
        if turn.raised is not None:
            raise turn.raised
        is_over = turn.generation != self._queue.generation and result.status == "completed"
        return SaveResult(turn.request_id, "skipped" if is_over else result.status, result.error)

    def abort_request(self, request_id: str, reason: str | None = None) -> None:
        """Stop the turn of a request, as a client's stop does. What was said so far is kept."""
        for turn in self._queue.all():
            root = None if turn.attempts is None else turn.attempts.request_id
            if request_id in (turn.request_id, root):
                turn.controller.abort(reason)

    def abort_all_requests(self, reason: str | None = None) -> None:
        """Stop all turns that run or wait."""
        for turn in self._queue.all():
            turn.controller.abort(reason)

    def reset_turn_state(self) -> None:
        """Stop the turn that runs and give up those that wait, and continuations too."""
        self._queue.reset()
        self.abort_all_requests()
        self._merge_from = None
        self._answers.reset()
        self._continuation.reset()
        self._room.clear()
        self._responses.clear()

    def has_pending_interaction(self) -> bool:
        """Whether a call waits for a client's answer or decision."""
        return any(each["role"] == "assistant" and has_pending_interaction(each) for each in self._answering.messages)

    async def wait_until_stable(self, timeout: float | None = None) -> bool:
        """Return True when no turn runs or waits and no call waits for a client; False after ``timeout`` seconds."""
        clock = self.host.ctx.clock
        until = None if timeout is None else clock.monotonic() + timeout
        while True:
            if self._queue.active is None and not self._is_unsettled():
                return True
            left = None if until is None else until - clock.monotonic()
            if left is not None and left <= 0:
                return False
            await clock.sleep(0.05 if left is None else min(0.05, left))

    def _is_unsettled(self) -> bool:
        return self._continuation.is_armed or self._answers.is_waiting or self.has_pending_interaction()
