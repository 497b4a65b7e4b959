"""Steps: what a stream of parts comes to.

A ``Collector`` is given parts in order, while they are made or when a log is read again, and knows the steps so
far: their text, their calls, and the messages that the next step must be told. ``stop_when`` conditions look at
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from edgeagents.models.messages import (
    Content,
    Message,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
)
from edgeagents.models.parts import (
    AbortPart,
    ErrorPart,
    FilePart,
    Finish,
    FinishReason,
    FinishStep,
    Json,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourcePart,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
)

__all__ = ["Collector", "HasToolCall", "StepCountIs", "StepResult", "StopCondition", "has_tool_call", "step_count_is"]


@dataclass(slots=True)
class Block:
    """Text or reasoning that is still growing: words are many, so they are joined once."""

    kind: Literal["text", "reasoning"]
    pieces: list[str] = field(default_factory=list[str])
    provider_metadata: Mapping[str, Json] | None = None

    @property
    def content(self) -> Content:
        """What a message holds of it."""
        text = "".join(self.pieces)
        return TextContent(text) if self.kind == "text" else ReasoningContent(text, self.provider_metadata)


@dataclass(slots=True)
class StepResult:
    """One call of the model with what its tools answered. Still growing while it is the last one."""

    text: str = ""
    reasoning_text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    approval_requests: list[ToolApprovalRequest] = field(default_factory=list[ToolApprovalRequest])
    tool_results: list[ToolResult] = field(default_factory=list[ToolResult])
    tool_errors: list[ToolError] = field(default_factory=list[ToolError])
    sources: list[SourcePart] = field(default_factory=list[SourcePart])
    files: list[FilePart] = field(default_factory=list[FilePart])
    finish_reason: FinishReason = "other"
    usage: Usage = field(default_factory=Usage)
    said: list[Block | ToolCallContent] = field(default_factory=list["Block | ToolCallContent"], repr=False)

    @property
    def is_answered(self) -> bool:
        """Whether tools were called and all of them answered, so that the model may go on."""
        calls = {call.tool_call_id for call in self.tool_calls if not call.provider_executed}
        answers = {answer.tool_call_id for answer in (*self.tool_results, *self.tool_errors)}
        return bool(calls) and calls <= answers

    @property
    def messages(self) -> list[Message]:
        """What this step adds to the conversation."""
        own = [call for call in self.said if isinstance(call, ToolCallContent)]
        results = {r.tool_call_id: ToolResultContent(r.tool_call_id, r.tool_name, r.output) for r in self.tool_results}
        for error in self.tool_errors:
            content = ToolResultContent(error.tool_call_id, error.tool_name, error.error, is_error=True)
            results[error.tool_call_id] = content
        said = tuple(each.content if isinstance(each, Block) else each for each in self.said)
        found = [Message("assistant", said)] if said else []
        # In the order of the calls: answers come as they are ready, and some providers insist.
        answers = tuple(results[call.tool_call_id] for call in own if call.tool_call_id in results)
        return [*found, Message("tool", answers)] if answers else found

    def add_text(self, text: str) -> None:
        """Add what the model said."""
        self.text += text
        self._block("text").pieces.append(text)

    def add_reasoning(self, text: str) -> None:
        """Add what the model thought."""
        self.reasoning_text += text
        self._block("reasoning").pieces.append(text)

    def end_reasoning(self, provider_metadata: Mapping[str, Json] | None) -> None:
        """End a block of reasoning. What the provider adds to it is sent back with it."""
        if provider_metadata:
            self._block("reasoning").provider_metadata = provider_metadata

    def add_call(self, call: ToolCall) -> None:
        """Add a call. One that the provider answers by itself is no part of the conversation."""
        self.tool_calls.append(call)
        if not call.provider_executed:
            self.said.append(ToolCallContent(call.tool_call_id, call.tool_name, call.input))

    def _block(self, kind: Literal["text", "reasoning"]) -> Block:
        last = self.said[-1] if self.said else None
        if isinstance(last, Block) and last.kind == kind and last.provider_metadata is None:
            return last
        block = Block(kind)
        self.said.append(block)
        return block


@dataclass(frozen=True, slots=True)
class StepCountIs:
    """Stop when so many steps were made."""

    count: int

    def __call__(self, steps: Sequence[StepResult]) -> bool:
        return len(steps) >= self.count


@dataclass(frozen=True, slots=True)
class HasToolCall:
    """Stop when the last step called this tool."""

    tool_name: str

    def __call__(self, steps: Sequence[StepResult]) -> bool:
        return any(call.tool_name == self.tool_name for call in steps[-1].tool_calls)


StopCondition: TypeAlias = Callable[[Sequence[StepResult]], bool]


def step_count_is(count: int) -> StepCountIs:
    """Stop when ``count`` steps were made. One step is the default: tools run, and the model is not asked again."""
    if count < 1:
        raise ValueError(f"A stream has at least one step, not {count}.")
    return StepCountIs(count)


def has_tool_call(tool_name: str) -> HasToolCall:
    """Stop after a step that called ``tool_name``."""
    return HasToolCall(tool_name)


class Collector:
    """Knows what the parts so far come to.

    ``open_step`` is a step that has begun and not finished; ``end`` is the part that ended the stream. ``answers`` are
    those to calls of an earlier stream, which were allowed in the meantime: they come before the first step.
    """

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self.steps: list[StepResult] = []
        self.answers: list[ToolResultContent] = []
        self.open_step: StepResult | None = None
        self.end: Finish | ErrorPart | AbortPart | None = None
        self.has_started = False
        self.open_text: str | None = None
        self.open_reasoning: str | None = None
        self.open_inputs: dict[str, tuple[str, str]] = {}
        self.text_blocks = 0
        self.reasoning_blocks = 0
        for part in parts:
            self.add(part)

    def add(self, part: Part) -> None:
        """Take the next part into account."""
        self.has_started = True
        match part:
            case TextDelta():
                self._step().add_text(part.text)
            case ReasoningDelta():
                self._step().add_reasoning(part.text)
            case ToolInputDelta():
                name, text = self.open_inputs.get(part.tool_call_id, ("", ""))
                self.open_inputs[part.tool_call_id] = (name, text + part.delta)
            case TextStart():
                self.open_text = part.id
                self.text_blocks += 1
            case TextEnd():
                self.open_text = None
            case ReasoningStart():
                self.open_reasoning = part.id
                self.reasoning_blocks += 1
            case ReasoningEnd():
                self._step().end_reasoning(part.provider_metadata)
                self.open_reasoning = None
            case ToolInputStart():
                self.open_inputs[part.tool_call_id] = (part.tool_name, "")
            case ToolCall():
                self.open_inputs.pop(part.tool_call_id, None)
                self._step().add_call(part)
            case ToolApprovalRequest():
                self._step().approval_requests.append(part)
            case ToolResult() | ToolError() if self.open_step is None and not self.steps:
                output, failed = (part.error, True) if isinstance(part, ToolError) else (part.output, False)
                self.answers.append(ToolResultContent(part.tool_call_id, part.tool_name, output, failed))
            case ToolResult():
                self._step().tool_results.append(part)
            case ToolError():
                self._step().tool_errors.append(part)
            case SourcePart():
                self._step().sources.append(part)
            case FilePart():
                self._step().files.append(part)
            case StartStep():
                self.open_step = StepResult()
            case FinishStep():
                step = self._step()
                step.finish_reason, step.usage = part.finish_reason, part.usage
                self.steps.append(step)
                self.open_step = None
                self.open_text = self.open_reasoning = None
                self.open_inputs.clear()
            case Finish() | ErrorPart() | AbortPart():
                self.end = part
            case _:
                pass

    @property
    def last_step(self) -> StepResult:
        """The open step, or the last one, or an empty one."""
        return self.open_step or (self.steps[-1] if self.steps else StepResult())

    @property
    def messages(self) -> list[Message]:
        """What the stream adds to the conversation so far."""
        answers = [Message("tool", tuple(self.answers))] if self.answers else []
        return [*answers, *(message for step in self.steps for message in step.messages)]

    @property
    def total_usage(self) -> Usage:
        """The use of all finished steps."""
        return sum((step.usage for step in self.steps), Usage())

    def _step(self) -> StepResult:
        if self.open_step is None:
            self.open_step = StepResult()
        return self.open_step
