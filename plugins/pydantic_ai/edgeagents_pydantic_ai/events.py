"""The events of an agent's run as parts.

A run is a chain of responses, each followed by what the agent's tools answered: a step each. ``EventReader`` tells the
parts of a step and then its ``FinishStep``; it begins no blocks and no steps, which its two users do in their own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai.messages import (
    FilePart as AgentFilePart,
)
from pydantic_ai.messages import (
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallEvent,
    ToolCallPart,
    ToolCallPartDelta,
    ToolResultEvent,
)
from pydantic_ai.run import AgentRunResultEvent
from pydantic_ai.tools import DeferredToolRequests

from edgeagents.models import (
    FilePart,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    TextDelta,
    TextEnd,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    tool_call,
)
from edgeagents.models.tools import json_output
from edgeagents_pydantic_ai.errors import broken_off
from edgeagents_pydantic_ai.history import MARK

__all__ = ["EventReader"]

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_call": "tool-calls",
    "error": "error",
}


class EventReader:
    """Events in, parts out.

    ``responses`` returns those of the run so far. ``marks`` says of a tool's name whether it is marked as run by the
    provider. ``resumed`` are calls that were told before.
    """

    def __init__(
        self,
        responses: Callable[[], Sequence[ModelResponse]],
        *,
        marks: Callable[[str], bool | None] = lambda name: None,
        resumed: frozenset[str] = frozenset(),
    ) -> None:
        self._responses = responses
        self._marks = marks
        self._told = set(resumed)
        self._inputs: dict[str, Any] = {}
        self._ids: dict[int, str] = {}
        self._steps = 0
        self._has_spoken = False
        self._awaits_leave = False

    def read(self, event: object) -> list[Part]:
        """Return what ``event`` tells. The last one, the run's result, ends the last step."""
        match event:
            case PartStartEvent():
                found = self._end_step() if event.index == 0 and self._has_spoken else []
                self._has_spoken = True
                return [*found, *self._start(event.index, event.part)]
            case PartDeltaEvent():
                return self._delta(event.index, event.delta)
            case PartEndEvent():
                return self._end(event.index, event.part)
            case ToolCallEvent():
                return self._call(event.part, is_valid=event.args_valid is not False)
            case ToolResultEvent():
                return self._result(event.part)
            case AgentRunResultEvent():
                output: Any = event.result.output
                waiting = output.approvals if isinstance(output, DeferredToolRequests) else ()
                asked: list[Part] = [ToolApprovalRequest(call.tool_call_id, call.tool_call_id) for call in waiting]
                return [*asked, *self._end_step()]
            case _:
                return []

    def _key(self, index: int) -> str:
        return f"{self._steps}.{index}"

    def _start(self, index: int, part: object) -> list[Part]:
        match part:
            case TextPart() if part.content:
                return [TextDelta(self._key(index), part.content)]
            case ThinkingPart() if part.content:
                return [ReasoningDelta(self._key(index), part.content)]
            case ToolCallPart() | NativeToolCallPart():
                self._ids[index] = part.tool_call_id
                is_native = isinstance(part, NativeToolCallPart)
                executed = True if is_native else self._marks(part.tool_name)
                begun: list[Part] = [ToolInputStart(part.tool_call_id, part.tool_name, executed)]
                text = part.args if isinstance(part.args, str) else part.args_as_json_str() if part.args else ""
                return [*begun, ToolInputDelta(part.tool_call_id, text)] if text else begun
            case NativeToolReturnPart():
                given = self._inputs.get(part.tool_call_id)
                output = _output(part)
                return [ToolResult(part.tool_call_id, part.tool_name, given, output, provider_executed=True)]
            case AgentFilePart():
                return [FilePart(part.content.data_uri, part.content.media_type)]
            case _:
                return []

    def _delta(self, index: int, delta: object) -> list[Part]:
        match delta:
            case TextPartDelta() if delta.content_delta:
                return [TextDelta(self._key(index), delta.content_delta)]
            case ThinkingPartDelta() if delta.content_delta:
                return [ReasoningDelta(self._key(index), delta.content_delta)]
            case ToolCallPartDelta() if isinstance(delta.args_delta, str) and delta.args_delta:
                call_id = delta.tool_call_id or self._ids.get(index, "")
                return [ToolInputDelta(call_id, delta.args_delta)]
            case _:
                return []

    def _end(self, index: int, part: object) -> list[Part]:
        match part:
            case TextPart():
                return [TextEnd(self._key(index))]
            case ThinkingPart():
                names = ("id", "signature", "provider_name", "provider_details")
                marks = {name: value for name in names if (value := getattr(part, name)) is not None}
                return [ReasoningEnd(self._key(index), {MARK: marks} if part.signature or part.id else None)]
            case NativeToolCallPart():
                return self._call(part, is_valid=True, executed=True)
            case _:
                return []

    def _call(
        self, part: ToolCallPart | NativeToolCallPart, *, is_valid: bool, executed: bool | None = None
    ) -> list[Part]:
        if part.tool_call_id in self._told:
            return []
        self._told.add(part.tool_call_id)
        text = part.args if isinstance(part.args, str) else part.args_as_json_str()
        executed = executed or self._marks(part.tool_name)
        call = tool_call(part.tool_call_id, part.tool_name, text, provider_executed=executed)
        if not is_valid:
            # The agent tells the model by itself, and asks it again.
            error = call.error or "The input is not as its schema asks."
            call = ToolCall(call.tool_call_id, call.tool_name, call.input, error, True)
        self._inputs[part.tool_call_id] = call.input
        return [call]

    def _result(self, part: Any) -> list[Part]:
        executed = self._marks(part.tool_name)
        given = self._inputs.get(part.tool_call_id)
        if part.outcome != "success":
            text = part.model_response_str(wrap_if_error=False)
            return [ToolError(part.tool_call_id, part.tool_name, given, text, executed)]
        return [ToolResult(part.tool_call_id, part.tool_name, given, _output(part), executed)]

    def _end_step(self) -> list[Part]:
        responses = self._responses()
        response = responses[self._steps] if self._steps < len(responses) else None
        self._steps += 1
        self._ids.clear()
        if response is None:
            return [FinishStep("other")]
        if _broke_off(response):
            raise broken_off()
        reason = _REASONS.get(response.finish_reason or "", "other")
        if reason in ("stop", "other") and response.tool_calls:
            reason = "tool-calls"
        elif response.finish_reason is None and response.state == "complete":
            # Models without a server do not say.
            reason = "stop"
        return [FinishStep(reason, _usage(response), response.finish_reason, response.provider_response_id)]


def _broke_off(response: ModelResponse) -> bool:
    """Return whether a server's response just ended. An agent takes it for a whole one, and makes up a reason."""
    if response.provider_url is None or response.finish_reason == "content_filter":
        return False
    said_why = "finish_reason" in (response.provider_details or {})
    return response.finish_reason is None or (not said_why and response.usage.unmeasured_requests > 0)


def _output(part: Any) -> Any:
    try:
        return json_output(part.content)
    except (TypeError, ValueError):
        return part.model_response_str(wrap_if_error=False)


def _usage(response: ModelResponse) -> Usage:
    used = response.usage
    return Usage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        total_tokens=used.total_tokens,
        reasoning_tokens=used.details.get("reasoning_tokens", used.details.get("thinking_tokens")),
        cached_input_tokens=used.cache_read_tokens,
    )
