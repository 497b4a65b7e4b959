"""A turn: asking a model, running its tools, asking again, until it has answered.

``run_turn`` is one async generator of parts. It is given what an interrupted run of the same turn has kept, and
goes on from there: finished steps are not made again, tools are not run again, and text is continued by providers
that can. Whatever goes wrong is a part, never an exception.

Where the parts go is not known here: ``stream_text`` keeps them in memory, an agent in its storage.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from edgeagents.errors import ModelError
from edgeagents.http import AbortSignal
from edgeagents.models.asking import Aborted, ask, unless_aborted
from edgeagents.models.json_types import InvalidValue
from edgeagents.models.messages import Message, ToolCallContent, ToolResultContent
from edgeagents.models.parts import (
    AbortPart,
    ErrorPart,
    Finish,
    FinishStep,
    Json,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolResult,
)
from edgeagents.models.provider import ModelRequest, ToolChoice
from edgeagents.models.registry import ResolvedModel
from edgeagents.models.steps import Collector, StepCountIs, StepResult, StopCondition
from edgeagents.models.tools import Tool, ToolContext, json_output

__all__ = ["CallSettings", "RunTool", "Turn", "run_tool_in_thread", "run_turn"]

T = TypeVar("T")

UNKNOWN_EFFECT = "The server stopped while this tool ran. Whether it had an effect is not known."
"""What a model is told of a call that may have been made. It is the one answer that never does a thing twice."""

RunTool = Callable[[Callable[..., Any], Mapping[str, Any]], Awaitable[Any]]
"""Calls a tool's function with keyword arguments and returns what it returned."""

_log = logging.getLogger("edgeagents.models")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """How the model is asked, in every step."""

    tool_choice: ToolChoice = "auto"
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    max_retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    provider_options: Mapping[str, Mapping[str, Json]] = field(default_factory=dict[str, Mapping[str, Json]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is asked of whom, and when to stop."""

    model: ResolvedModel
    messages: tuple[Message, ...]
    tools: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    settings: CallSettings = field(default_factory=CallSettings)
    stop_when: tuple[StopCondition, ...] = (StepCountIs(1),)

    @property
    def allowed_calls(self) -> list[ToolCall]:
        """The calls at the end of the conversation that were allowed and have yet to be made by a tool."""
        *earlier, last = self.messages or (None,)
        answered = set[str]()
        if last is not None and last.role == "tool":
            answered = {each.tool_call_id for each in last.content if isinstance(each, ToolResultContent)}
            last = earlier[-1] if earlier else None
        if last is None or last.role != "assistant":
            return []
        calls = [each for each in last.content if isinstance(each, ToolCallContent)]
        open_calls = [call for call in calls if call.tool_call_id not in answered]
        return [
            ToolCall(call.tool_call_id, call.tool_name, call.input)
            for call in open_calls
            if call.tool_name not in self.tools or self.tools[call.tool_name].execute is not None
        ]


async def run_tool_in_thread(fn: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Await a coroutine function; run a plain function in a thread, so that it may block."""
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None)):  # noqa: B004
        return await fn(**arguments)
    result = await asyncio.to_thread(lambda: fn(**arguments))
    return await result if isinstance(result, Awaitable) else result


async def run_turn(
    turn: Turn,
    *,
    env: Mapping[str, Any],
    signal: AbortSignal | None = None,
    run_tool: RunTool = run_tool_in_thread,
    kept: Iterable[Part] = (),
) -> AsyncGenerator[Part, None]:
    """Yield the parts of ``turn`` that come after those in ``kept``. The last one ends the stream.

    A tool runs only after the consumer has come back from its ``ToolCall``, so a log that has kept the call by
    then knows of every tool that may have run.
    """
    collector = Collector(kept)
    run = _Run(turn, env, signal, run_tool, collector)
    parts = run.parts()
    try:
        while collector.end is None:
            try:
                part = await anext(parts)
            except Aborted:
                part = AbortPart(_reason(signal))
            except ModelError as error:
                part = ErrorPart(str(error), error.status, error.retryable, error.retry_after)
            except Exception as error:
                _log.exception("The model %s failed.", turn.model.name)
                part = ErrorPart(f"{type(error).__name__}: {error}")
            collector.add(part)
            yield part
    finally:
        await parts.aclose()


def _reason(signal: AbortSignal | None) -> str | None:
    return None if signal is None or signal.reason is None else str(signal.reason)


class _Run:
    """One run of a turn. ``collector`` is told of each part by whoever consumes them."""

    def __init__(
        self,
        turn: Turn,
        env: Mapping[str, Any],
        signal: AbortSignal | None,
        run_tool: RunTool,
        collector: Collector,
    ) -> None:
        self._turn = turn
        self._env = env
        self._signal = signal
        self._run_tool = run_tool
        self._collector = collector

    async def parts(self) -> AsyncGenerator[Part, None]:
        collector = self._collector
        is_new = not collector.has_started
        if is_new:
            yield Start()
        if not collector.steps and collector.open_step is None:
            async with aclosing(self._make_allowed_calls(is_new=is_new)) as parts:
                async for part in parts:
                    yield part
        if collector.open_step is not None:
            steps = self._finish_calls() if self._has_calls(collector) else self._continue_step(collector.open_step)
            async with aclosing(steps) as parts:
                async for part in parts:
                    yield part
        while not collector.steps or self._goes_on(collector.steps):
            if self._signal is not None and self._signal.aborted:
                raise Aborted
            yield StartStep()
            async with aclosing(self._step()) as parts:
                async for part in parts:
                    yield part
        yield Finish(collector.last_step.finish_reason, collector.total_usage)

    def _goes_on(self, steps: Sequence[StepResult]) -> bool:
        return steps[-1].is_answered and not any(stop(steps) for stop in self._turn.stop_when)

    # What an earlier turn has left open, since it needed leave.

    async def _make_allowed_calls(self, *, is_new: bool) -> AsyncGenerator[Part, None]:
        answered = {answer.tool_call_id for answer in self._collector.answers}
        pending: dict[asyncio.Task[Part], None] = {}
        try:
            for call in map(self._check, self._turn.allowed_calls):
                if call.tool_call_id in answered:
                    continue
                if call.error is not None or not is_new:
                    yield ToolError(call.tool_call_id, call.tool_name, call.input, call.error or UNKNOWN_EFFECT)
                else:
                    pending[asyncio.create_task(self._call_tool(call))] = None
            async with aclosing(self._as_completed(pending)) as parts:
                async for part in parts:
                    yield part
        finally:
            for task in pending:
                task.cancel()

    async def _as_completed(self, pending: dict[asyncio.Task[Part], None]) -> AsyncGenerator[Part, None]:
        while pending:
            done, _ = await unless_aborted(asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED), self._signal)
            for task in [task for task in pending if task in done]:
                del pending[task]
                yield task.result()

    # What a run that was interrupted has left open.

    @staticmethod
    def _has_calls(collector: Collector) -> bool:
        return bool(collector.last_step.tool_calls or collector.open_inputs)

    async def _finish_calls(self) -> AsyncGenerator[Part, None]:
        step = self._collector.last_step
        why = "The server stopped while this call was made. It was not made again."
        for call_id, (name, text) in list(self._collector.open_inputs.items()):
            yield ToolCall(call_id, name, text, why)
        answered = {each.tool_call_id for each in (*step.tool_results, *step.tool_errors, *step.approval_requests)}
        for call in list(step.tool_calls):
            tool = self._turn.tools.get(call.tool_name)
            if call.tool_call_id not in answered and not call.provider_executed and (tool is None or tool.execute):
                yield ToolError(call.tool_call_id, call.tool_name, call.input, call.error or UNKNOWN_EFFECT)
        yield FinishStep("tool-calls")

    async def _continue_step(self, step: StepResult) -> AsyncGenerator[Part, None]:
        if self._collector.open_reasoning is not None:
            yield ReasoningEnd(self._collector.open_reasoning)
        if step.text and not self._turn.model.can_continue:
            raise ModelError(
                f"The server stopped in the middle of this answer, and the model {self._turn.model.name!r} "
                "cannot go on in the middle of one."
            )
        async with aclosing(self._step(prefix=step.text)) as parts:
            async for part in parts:
                yield part

    # One step: the model speaks, then its tools answer.

    async def _step(self, *, prefix: str = "") -> AsyncGenerator[Part, None]:
        finish: FinishStep | None = None
        pending: dict[asyncio.Task[Part], None] = {}
        spoken = self._speak(self._request(prefix))
        try:
            async for part in spoken:
                if isinstance(part, FinishStep):
                    finish = part
                    break
                if isinstance(part, ToolCall) and not part.provider_executed:
                    part = self._check(part)
                    yield part
                    if part.error is not None:
                        yield ToolError(part.tool_call_id, part.tool_name, part.input, part.error)
                    elif self._turn.tools[part.tool_name].execute is not None:
                        instead = await self._ask_leave(part)
                        if instead is not None:
                            yield instead
                        else:
                            pending[asyncio.create_task(self._call_tool(part))] = None
                else:
                    yield part
            if finish is None:
                raise ModelError(f"The answer of {self._turn.model.name!r} broke off before its end.", retryable=True)
            await spoken.aclose()
            async with aclosing(self._as_completed(pending)) as answers:
                async for part in answers:
                    yield part
            yield finish
        finally:
            for task in pending:
                task.cancel()
            await spoken.aclose()

    def _request(self, prefix: str) -> ModelRequest:
        turn, settings = self._turn, self._turn.settings
        return ModelRequest(
            model=turn.model.model,
            messages=self._messages(),
            tools=tuple(tool.definition for tool in turn.tools.values()),
            tool_choice=settings.tool_choice,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_output_tokens=settings.max_output_tokens,
            stop_sequences=settings.stop_sequences,
            seed=settings.seed,
            headers=settings.headers,
            provider_options=settings.provider_options.get(turn.model.provider.name.split(".", 1)[0], {}),
            prefix=prefix,
            stands_in_for=turn.model.stands_in_for,
        )

    def _messages(self) -> tuple[Message, ...]:
        before, added = self._turn.messages, self._collector.messages
        if self._collector.answers and before[-1].role == "tool":
            # The calls of one message have their answers in one message.
            before, added = before[:-1], [Message("tool", before[-1].content + added[0].content), *added[1:]]
        return (*before, *added)

    async def _speak(self, request: ModelRequest) -> AsyncGenerator[Part, None]:
        """Yield what the provider does, with block ids that are unique in the whole stream."""
        collector = self._collector
        texts: dict[str, str] = {}
        reasonings: dict[str, str] = {}
        # The block that an interrupted run left open is carried on by the first one of this call.
        open_text = collector.open_text
        asked = ask(
            self._turn.model, request, env=self._env, signal=self._signal, max_retries=self._turn.settings.max_retries
        )
        async with aclosing(asked) as parts:
            async for part in parts:
                match part:
                    case TextDelta() if part.text:
                        if part.id not in texts:
                            if open_text is None:
                                texts[part.id] = f"txt-{collector.text_blocks}"
                                yield TextStart(texts[part.id])
                            else:
                                texts[part.id], open_text = open_text, None
                        yield TextDelta(texts[part.id], part.text, part.provider_metadata)
                    case ReasoningDelta() if part.text:
                        if part.id not in reasonings:
                            reasonings[part.id] = f"rsn-{collector.reasoning_blocks}"
                            yield ReasoningStart(reasonings[part.id])
                        yield ReasoningDelta(reasonings[part.id], part.text, part.provider_metadata)
                    case TextEnd():
                        if part.id in texts:
                            yield TextEnd(texts.pop(part.id), part.provider_metadata)
                    case ReasoningEnd():
                        if part.id not in reasonings and part.provider_metadata:
                            # Thoughts that are not shown: all there is of them is for the provider to read again.
                            reasonings[part.id] = f"rsn-{collector.reasoning_blocks}"
                            yield ReasoningStart(reasonings[part.id])
                        if part.id in reasonings:
                            yield ReasoningEnd(reasonings.pop(part.id), part.provider_metadata)
                    case TextStart() | ReasoningStart() | TextDelta() | ReasoningDelta():
                        # A block is begun by its first words, so an empty one is never seen.
                        pass
                    case FinishStep():
                        for text_id in (*texts.values(), *filter(None, [open_text])):
                            yield TextEnd(text_id)
                        for reasoning_id in reasonings.values():
                            yield ReasoningEnd(reasoning_id)
                        yield part
                        return
                    case _:
                        yield part

    def _check(self, call: ToolCall) -> ToolCall:
        if call.error is not None:
            return call
        tool = self._turn.tools.get(call.tool_name)
        if tool is None:
            known = ", ".join(self._turn.tools) or "none"
            return replace(call, error=f"There is no tool {call.tool_name!r}. Available: {known}.")
        try:
            tool.read(call.input)
        except InvalidValue as error:
            return replace(call, error=f"The input of {call.tool_name!r} is not as its schema asks: {error}.")
        return call

    def _arguments(self, tool: Tool, call: ToolCall) -> dict[str, Any]:
        return tool.arguments(call, ToolContext(call.tool_call_id, self._messages(), self._signal))

    async def _ask_leave(self, call: ToolCall) -> Part | None:
        """Return what comes in the place of an answer when the call may not be made without leave."""
        tool = self._turn.tools[call.tool_name]
        needed = tool.needs_approval
        try:
            if callable(needed):
                needed = await unless_aborted(self._run_tool(needed, self._arguments(tool, call)), self._signal)
        except Aborted:
            raise
        except Exception as error:
            _log.warning("Whether the tool %s needs approval is not known.", call.tool_name, exc_info=True)
            return ToolError(call.tool_call_id, call.tool_name, call.input, f"{type(error).__name__}: {error}")
        return ToolApprovalRequest(f"approval-{call.tool_call_id}", call.tool_call_id) if needed else None

    async def _call_tool(self, call: ToolCall) -> Part:
        tool = self._turn.tools[call.tool_name]
        assert tool.execute is not None
        try:
            arguments = self._arguments(tool, call)
            output = json_output(await self._run_tool(tool.execute, arguments))
        except Exception as error:
            _log.warning("The tool %s failed.", call.tool_name, exc_info=True)
            return ToolError(call.tool_call_id, call.tool_name, call.input, f"{type(error).__name__}: {error}")
        return ToolResult(call.tool_call_id, call.tool_name, call.input, output)
