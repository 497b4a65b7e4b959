"""Generation: a model's turn that belongs to the agent, and not to the request that asked for it.

The model is called in a task of the agent, and every part of its answer is written to a durable stream. A response is
a cursor on that stream: a client that leaves takes its reader away and nothing else, and the same agent gives it the
rest when it comes back. What was asked is kept beside the answer, so a turn that the server's end has cut goes on when
the agent wakes again: finished steps stand, tools are not run again, and the model continues its text if it can. If it
cannot, the stream ends with an error that says so. It is never left hanging.

Secrets are not kept: neither request headers nor keys, which the provider reads from ``env`` again.

Wiring, in an agent's constructor: ``generation = Generation(ctx, env, streams, ctx.models, find_tool=...)`` with
``find_tool(name)`` returning the agent's attribute of that name or None; then, while the agent wakes and after
``streams.start()``: ``await generation.start()``. ``agent.stream_text`` and ``agent.resume_stream`` are its methods.
How tools are found again stands in ``turn_tools``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack, cast, overload

from edgeagents.agents.spending import Spending
from edgeagents.agents.streams import DurableStreams, StreamStatus, StreamWriter, event_cursor
from edgeagents.agents.turn_tools import TurnTools
from edgeagents.errors import (
    BadRequest,
    BudgetExceeded,
    EdgeAgentsError,
    ModelError,
    NoObjectGeneratedError,
    StreamError,
)
from edgeagents.http import AbortController, AbortSignal, HeadersInit, Request, Response
from edgeagents.models.encoding import (
    MASKED_ERROR,
    TEXT_STREAM_HEADERS,
    UI_MESSAGE_STREAM_HEADERS,
    UIOptions,
    encode_text,
    encode_ui,
)
from edgeagents.models.generate_object import GenerateObjectResult, ObjectSettings, generate_object
from edgeagents.models.messages import MessageLike, message_from_json, message_to_json
from edgeagents.models.parts import (
    AbortPart,
    ErrorPart,
    Finish,
    FinishStep,
    Json,
    Part,
    Start,
    StartStep,
    ToolCall,
    Usage,
    part_from_json,
    part_to_json,
)
from edgeagents.models.provider import ToolChoice
from edgeagents.models.registry import ModelLike, ModelRegistry
from edgeagents.models.result import Callbacks, FinishEvent, TextResult, merge_headers
from edgeagents.models.steps import Collector, HasToolCall, StepCountIs, StepResult, StopCondition
from edgeagents.models.stream_text import make_turn
from edgeagents.models.tools import ToolSet, read_tools
from edgeagents.models.turn import CallSettings, Turn, run_turn
from edgeagents.objects.clock import Clock
from edgeagents.objects.ids import nanoid

if TYPE_CHECKING:
    from edgeagents.agents.capability import Capability
    from edgeagents.agents.streams import _HasDatabase

__all__ = ["TURN_TAG", "DurableTextStream", "Generation", "GenerationContext", "TurnResponse"]

T = TypeVar("T")

TURN_TAG = "turn"
STREAM_ID_HEADER = "x-stream-id"

_UI_OPTIONS = {field.name for field in fields(UIOptions)}

KEPT_TURNS = 100
MOST_ATTEMPTS = 3


class GenerationContext(Protocol):
    """What generation needs of an object's ``ctx``."""

    @property
    def storage(self) -> _HasDatabase: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def rng(self) -> random.Random: ...
    @property
    def logger(self) -> logging.Logger: ...
    @property
    def is_on_loop(self) -> bool: ...
    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]: ...
    def invoke(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...
    async def flushed(self) -> None: ...


class DurableTextStream(TextResult):
    """A turn of an agent, read from the agent's storage. It runs whether or not somebody reads."""

    def __init__(self, generation: Generation, stream_id: str, own_tools: frozenset[str] = frozenset()) -> None:
        self._generation = generation
        self.stream_id = stream_id
        self.own_tools = own_tools
        """The tools that the server runs in it. Known to who asked for the turn, not to who found it again."""

    async def numbered_parts(self, start: int = 0) -> AsyncGenerator[tuple[int, Part], None]:
        position, part = start, None
        chunks = self._generation.streams.read(self.stream_id, from_=start)
        try:
            async for position, chunk in chunks:
                part = part_from_json(chunk)
                yield position, part
        except StreamError as error:
            # The log of a turn that failed ends with the part that says why, and readers have had it.
            if not isinstance(part, (Finish, ErrorPart, AbortPart)) and not self._is_settled():
                yield position + 1, ErrorPart(str(error))
        finally:
            await chunks.aclose()

    def _is_settled(self) -> bool:
        status = self._generation.streams.status(self.stream_id)
        return status is not None and status.state in ("completed", "errored")

    def abort(self, reason: str | None = None) -> bool:
        """Stop the turn; return whether it was running. What was said so far is kept."""
        return self._generation.stop(self.stream_id, reason)

    def to_text_stream_response(self, *, headers: HeadersInit = None, status: int = 200) -> Response:
        usual = super().to_text_stream_response(headers=headers, status=status)
        usual.headers.setdefault(STREAM_ID_HEADER, self.stream_id)
        return TurnResponse(usual, self, None)

    def to_ui_message_stream_response(self, **options: Any) -> Response:
        usual = super().to_ui_message_stream_response(**options)
        usual.headers.setdefault(STREAM_ID_HEADER, self.stream_id)
        shown = {name: options[name] for name in _UI_OPTIONS & options.keys() if options[name] is not None}
        return TurnResponse(usual, self, UIOptions(**shown))


class TurnResponse(Response):
    """A response that shows a turn, and still knows which one and how: as text when ``options`` are None."""

    __slots__ = ("is_mapped", "options", "turn")

    def __init__(self, response: Response, turn: DurableTextStream, options: UIOptions | None) -> None:
        super().__init__(response.body, status=response.status, headers=response.headers)
        self.turn, self.options = turn, options
        self.is_mapped = False

    def map_body(self, fn: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]) -> None:
        """Pass the body through ``fn``. The turn alone does not tell what is shown any more."""
        self.is_mapped = True
        super().map_body(fn)


class Generation:
    """The turns of one agent."""

    def __init__(
        self,
        ctx: GenerationContext,
        env: Mapping[str, Any],
        streams: DurableStreams,
        models: ModelRegistry,
        *,
        find_tool: Callable[[str], Any] = lambda name: None,
        find_part: Callable[[str], Capability | None] = lambda name: None,
        spending: Spending | None = None,
    ) -> None:
        self.streams = streams
        self._spending = spending
        self._ctx, self._env, self._models = ctx, env, models
        self._tools = TurnTools(ctx.logger, find_tool, find_part)
        self._running: dict[str, AbortController] = {}
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Go on with the turns that the end of the server has cut. Call it while the agent wakes."""
        for status in self.streams.list(state="interrupted", tag=TURN_TAG, limit=KEPT_TURNS):
            self._resume(status)

    def stream_text(
        self,
        *,
        model: ModelLike,
        prompt: str | Sequence[MessageLike] | None = None,
        messages: Iterable[MessageLike] | None = None,
        system: str | None = None,
        tools: ToolSet | None = None,
        tool_choice: ToolChoice = "auto",
        stop_when: StopCondition | Sequence[StopCondition] | None = None,
        max_steps: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_output_tokens: int | None = None,
        stop_sequences: Sequence[str] = (),
        seed: int | None = None,
        max_retries: int = 2,
        abort_signal: AbortSignal | None = None,
        headers: Mapping[str, str] | None = None,
        provider_options: Mapping[str, Mapping[str, Json]] | None = None,
        on_chunk: Callable[[Part], Any] | None = None,
        on_step_finish: Callable[[StepResult], Any] | None = None,
        on_finish: Callable[[FinishEvent], Any] | None = None,
        on_error: Callable[[ErrorPart], Any] | None = None,
        on_abort: Callable[[Sequence[StepResult]], Any] | None = None,
        stream_id: str | None = None,
    ) -> DurableTextStream:
        """Ask ``model`` in a turn of this agent, which begins at once, and return its answer.

        The arguments are those of ``edgeagents.models.stream_text``. ``stream_id`` names the stream that the answer
        is kept in; by default it gets a random one. After a restart callbacks are not called any more, and a tool is
        found again when it is a method of the agent. Raises ``StreamClosedError`` when the stream has ended,
        ``StreamError`` when a turn is writing it, and ``BudgetExceeded`` when the agent may not ask any more.
        """
        turn = make_turn(
            model=model,
            prompt=prompt,
            messages=messages,
            system=system,
            tools=tools,
            tool_choice=tool_choice,
            stop_when=stop_when,
            max_steps=max_steps,
            temperature=temperature,
            top_p=top_p,
            max_output_tokens=max_output_tokens,
            stop_sequences=stop_sequences,
            seed=seed,
            max_retries=max_retries,
            headers=headers,
            provider_options=provider_options,
            models=self._models,
            env=self._env,
        )
        callbacks = Callbacks(
            on_chunk=on_chunk, on_step_finish=on_step_finish, on_finish=on_finish, on_error=on_error, on_abort=on_abort
        )
        stream_id = nanoid(self._ctx.rng) if stream_id is None else stream_id
        if stream_id in self._running:
            raise StreamError(f"A turn is writing the stream {stream_id!r} already.", stream_id)
        if self._spending is not None:
            self._spending.begin_turn(turn.model.name, is_free=turn.model.is_free)
        self._forget_old_turns()
        writer = self.streams.open(stream_id, tag=TURN_TAG, metadata={"request": self._describe(turn), "attempts": 0})
        if writer.cursor:
            raise StreamError(f"The stream {stream_id!r} holds something else; give the turn another.", stream_id)
        self._begin(turn, writer, callbacks, (), abort_signal)
        own_tools = frozenset(name for name, each in turn.tools.items() if each.execute is not None)
        return DurableTextStream(self, stream_id, own_tools)

    @overload
    async def generate_object(
        self, *, model: ModelLike, schema: type[T], **settings: Unpack[ObjectSettings]
    ) -> GenerateObjectResult[T]: ...

    @overload
    async def generate_object(
        self, *, model: ModelLike, schema: Any, **settings: Unpack[ObjectSettings]
    ) -> GenerateObjectResult[Any]: ...

    async def generate_object(
        self, *, model: ModelLike, schema: Any, **settings: Unpack[ObjectSettings]
    ) -> GenerateObjectResult[Any]:
        """Ask ``model`` for a value and return it, when it is as ``schema`` asks.

        The arguments are those of ``edgeagents.models.generate_object``. Nothing is kept of it: what the end of the
        server cuts is to be asked for again.
        """
        spending = self._spending
        if spending is None or spending.is_idle:
            return await generate_object(model=model, schema=schema, models=self._models, env=self._env, **settings)
        resolved = self._models.resolve(model, self._env)
        spending.begin_turn(resolved.name, is_free=resolved.is_free)
        try:
            result = await generate_object(model=model, schema=schema, models=self._models, env=self._env, **settings)
        except NoObjectGeneratedError as error:
            if isinstance(error.usage, Usage):
                spending.add(resolved.name, error.usage)
            raise
        spending.add(resolved.name, result.usage)
        return result

    def get_stream(self, stream_id: str | None = None) -> DurableTextStream | None:
        """Return the turn with this stream, by default the latest one; None when there is none."""
        if stream_id is None:
            latest = self.streams.list(tag=TURN_TAG, limit=1)
            return DurableTextStream(self, latest[0].id) if latest else None
        status = self.streams.status(stream_id)
        return None if status is None or status.tag != TURN_TAG else DurableTextStream(self, stream_id)

    def stop(self, stream_id: str, reason: str | None = None) -> bool:
        """Stop the turn that writes this stream; return whether there was one."""
        controller = self._running.get(stream_id)
        if controller is None:
            return False
        controller.abort(reason)
        return True

    def resume_stream(
        self,
        request: Request,
        stream_id: str | None = None,
        *,
        headers: HeadersInit = None,
        options: UIOptions | None = None,
    ) -> Response:
        """Answer with the rest of a turn, by default of the latest one.

        A request that accepts ``text/event-stream`` or has a ``Last-Event-ID`` gets the UI message stream, after
        that event or from ``?cursor=`` (an event's number); when it has all of it, 204, at which an ``EventSource``
        stops. Any other gets the text, from the byte ``?cursor=``. An unknown stream is 404, none at all 204, a
        cursor that cannot be one 400.
        """
        stream = self.get_stream(stream_id)
        if stream is None:
            if stream_id is None:
                return Response(status=204)
            return Response(f"There is no stream {stream_id!r}.", status=404)
        try:
            return self._rest(request, stream, headers, options or UIOptions())
        except BadRequest as error:
            return Response(str(error), status=400)

    def _rest(self, request: Request, stream: DurableTextStream, headers: HeadersInit, options: UIOptions) -> Response:
        status = self.streams.status(stream.stream_id)
        assert status is not None
        last_event = request.headers.get("last-event-id")
        if last_event or "text/event-stream" in request.headers.get("accept", ""):
            start = event_cursor(request, end=status.cursor)
            if start and start == status.cursor and status.state in ("completed", "errored"):
                return Response(status=204)
            body, usual = encode_ui(stream.response_parts(start), options), UI_MESSAGE_STREAM_HEADERS
        else:
            cursor = request.query.get("cursor") or "0"
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                raise BadRequest(f"cursor must be the number of bytes that you have, not {cursor[:40]!r}.")
            body, usual = encode_text(stream.response_parts(), skip_bytes=int(cursor)), TEXT_STREAM_HEADERS
        merged = merge_headers(usual, headers)
        merged.setdefault(STREAM_ID_HEADER, stream.stream_id)
        return Response(body, headers=merged)

    # Running

    def _begin(
        self,
        turn: Turn,
        writer: StreamWriter,
        callbacks: Callbacks,
        kept: Sequence[Part],
        abort_signal: AbortSignal | None = None,
        origins: Mapping[str, Json] | None = None,
    ) -> None:
        controller = self._running[writer.id] = AbortController()
        remove: Callable[[], None] = lambda: None  # noqa: E731
        if abort_signal is not None:
            remove = abort_signal.add_listener(lambda: controller.abort(abort_signal.reason))

        def begin() -> None:
            run = self._run(turn, writer, callbacks, kept, controller.signal, origins or {})
            task = self._ctx.spawn(run, name=f"turn {writer.id}")
            task.add_done_callback(lambda _: over())

        def over() -> None:
            remove()
            if self._running.get(writer.id) is controller:
                del self._running[writer.id]

        if self._ctx.is_on_loop:
            begin()
        else:
            # A sync handler asks, in a thread.
            self._loop.call_soon_threadsafe(begin)

    async def _run(
        self,
        turn: Turn,
        writer: StreamWriter,
        callbacks: Callbacks,
        kept: Sequence[Part],
        signal: AbortSignal,
        origins: Mapping[str, Json],
    ) -> None:
        if any(isinstance(origin, dict) for origin in origins.values()):
            turn = replace(turn, tools={**turn.tools, **await self._tools.of_parts(origins)})
        collector = Collector(kept)
        parts = run_turn(turn, env=self._env, signal=signal, run_tool=self._run_tool, kept=kept)
        try:
            async for part in parts:
                if isinstance(part, StartStep) and (reason := self._why_frozen()) is not None:
                    part = ErrorPart(reason, BudgetExceeded.status, is_public=True)
                writer.append(part_to_json(part))
                collector.add(part)
                if isinstance(part, FinishStep) and self._spending is not None:
                    self._spending.add(turn.model.name, part.usage)
                if isinstance(part, ToolCall) or (isinstance(part, Start) and turn.allowed_calls):
                    # A tool runs next. If the server dies in it, the log must know that it may have run.
                    await self._ctx.flushed()
                await callbacks.tell(part, collector)
                if collector.end is not None:
                    break
        except (EdgeAgentsError, TypeError, ValueError) as error:
            # A part that cannot be kept: too large, or no JSON. A stream that was deleted takes no last word either.
            self._ctx.logger.exception("The turn %s ended: its answer cannot be kept.", writer.id)
            if collector.end is None and self.streams.status(writer.id) is not None:
                writer.append(part_to_json(ErrorPart(f"{type(error).__name__}: {error}")))
                writer.error(MASKED_ERROR)
            return
        finally:
            await parts.aclose()
        # What was asked is of use to go on with, and there is nothing left to go on with.
        self.streams.set_metadata(writer.id, None)
        if isinstance(collector.end, ErrorPart):
            writer.error(MASKED_ERROR)
        else:
            writer.close()

    def _why_frozen(self) -> str | None:
        return None if self._spending is None else self._spending.why_frozen()

    async def _run_tool(self, fn: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        # As a turn of the object, so that it respects critical sections as a handler does.
        result, error = await self._ctx.spawn(_captured(self._ctx.invoke(fn, **arguments)), name="tool")
        if error is not None:
            raise error
        return result

    def _forget_old_turns(self) -> None:
        for stream_id in self.streams.older(TURN_TAG, than=KEPT_TURNS - 1):
            status = self.streams.status(stream_id)
            if status is not None and status.state in ("completed", "errored"):
                self.streams.delete(stream_id)

    # Going on after a restart

    def _resume(self, status: StreamStatus) -> None:
        writer = self.streams.open(status.id)
        kept = [part_from_json(chunk) for chunk in self.streams.kept(status.id)]
        if kept and isinstance(kept[-1], (Finish, AbortPart)):
            writer.close()
            return
        if kept and isinstance(kept[-1], ErrorPart):
            writer.error(MASKED_ERROR)
            return
        try:
            metadata = cast("dict[str, Json]", status.metadata or {})
            turn = self._turn_again(metadata, status, kept)
        except (EdgeAgentsError, LookupError, TypeError, ValueError) as error:
            self._ctx.logger.warning("The turn %s cannot go on: %s", status.id, error)
            text = str(error) if isinstance(error, EdgeAgentsError) else "What was asked cannot be read any more."
            writer.append(part_to_json(ErrorPart(text)))
            writer.error(MASKED_ERROR)
            return
        self._ctx.logger.info("The turn %s goes on after %d parts.", status.id, status.cursor)
        self._begin(turn, writer, Callbacks(), kept, origins=metadata["request"]["tools"])

    def _turn_again(self, metadata: dict[str, Json], status: StreamStatus, kept: Sequence[Part]) -> Turn:
        # A turn that got nowhere since it was resumed the last time may be what ends the server.
        attempts = metadata.get("attempts", 0) + 1 if metadata.get("cursor", 0) == status.cursor else 1
        if attempts > MOST_ATTEMPTS:
            raise ModelError(f"The server stopped {attempts} times at the same place of this answer.")
        request = metadata.get("request")
        if request is None:
            raise ModelError("The server stopped in this answer, and what was asked could not be kept.")
        turn = self._read_description(request)
        self.streams.set_metadata(status.id, {**metadata, "attempts": attempts, "cursor": status.cursor})
        return turn

    def _describe(self, turn: Turn) -> Json:
        """Return what is needed to ask again, as JSON, or None when it cannot be asked again."""
        if not turn.model.is_reopenable:
            return None
        settings = turn.settings
        description = {
            "model": turn.model.name,
            "stands_in_for": turn.model.stands_in_for,
            "messages": [message_to_json(message) for message in turn.messages],
            "tools": {name: self._tools.origin(name, each) for name, each in turn.tools.items()},
            "tool_choice": settings.tool_choice,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_output_tokens": settings.max_output_tokens,
            "stop_sequences": list(settings.stop_sequences),
            "seed": settings.seed,
            "max_retries": settings.max_retries,
            "provider_options": settings.provider_options,
            "max_steps": min((s.count for s in turn.stop_when if isinstance(s, StepCountIs)), default=None),
            "stop_after": [s.tool_name for s in turn.stop_when if isinstance(s, HasToolCall)],
        }
        try:
            json.dumps(description, allow_nan=False)
        except (TypeError, ValueError):
            return None
        return description

    def _read_description(self, request: Mapping[str, Json]) -> Turn:
        model = self._models.resolve(request["model"], self._env)
        stop_after: tuple[StopCondition, ...] = tuple(map(HasToolCall, request["stop_after"]))
        settings = CallSettings(
            tool_choice=request["tool_choice"],
            temperature=request["temperature"],
            top_p=request["top_p"],
            max_output_tokens=request["max_output_tokens"],
            stop_sequences=tuple(request["stop_sequences"]),
            seed=request["seed"],
            max_retries=request.get("max_retries", 2),
            provider_options=request["provider_options"],
        )
        # A condition that was a function is gone: without a number of steps the turn ends with the step it is in.
        count = request["max_steps"] or (None if stop_after else 1)
        return Turn(
            model=replace(model, stands_in_for=request["stands_in_for"] or model.stands_in_for),
            messages=tuple(message_from_json(message) for message in request["messages"]),
            tools=read_tools(self._tools.at_hand(request["tools"])),
            settings=settings,
            stop_when=stop_after if count is None else (StepCountIs(count), *stop_after),
        )


async def _captured(awaitable: Awaitable[Any]) -> tuple[Any, Exception | None]:
    """Return what ``awaitable`` returned or raised, so that the task around it has no error to log."""
    try:
        return await awaitable, None
    except Exception as error:
        return None, error
