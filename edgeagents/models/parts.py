"""Parts: everything that can happen while a model answers, a small frozen value each.

A provider yields parts, ``stream_text`` adds those of the steps and of the tools, and an encoding or a durable log
writes them down. ``part_to_json`` and ``part_from_json`` are the log's form; what a browser reads is made in
``encoding``.

The order of a whole stream: ``Start``, then for each step ``StartStep``, what the model says, what its tools
answer, ``FinishStep``; at the end exactly one of ``Finish``, ``AbortPart`` and ``ErrorPart``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeAlias

__all__ = [
    "AbortPart",
    "ErrorPart",
    "FilePart",
    "Finish",
    "FinishReason",
    "FinishStep",
    "Json",
    "Part",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningStart",
    "SourcePart",
    "Start",
    "StartStep",
    "TextDelta",
    "TextEnd",
    "TextStart",
    "ToolApprovalRequest",
    "ToolCall",
    "ToolError",
    "ToolInputDelta",
    "ToolInputStart",
    "ToolResult",
    "Usage",
    "part_from_json",
    "part_to_json",
]

Json: TypeAlias = Any
"""A value that JSON can hold."""

FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "error", "other"]

ProviderMetadata: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were used, as far as the provider says. ``a + b`` is the use of both."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_input_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(_sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(Usage)))


def _sum(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b


@dataclass(frozen=True, slots=True)
class Start:
    """The stream begins."""


@dataclass(frozen=True, slots=True)
class StartStep:
    """One call of the model begins."""


@dataclass(frozen=True, slots=True)
class TextStart:
    """A block of text begins; its deltas and its end carry the same ``id``."""

    id: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of a block."""

    id: str
    text: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class TextEnd:
    """A block of text is complete."""

    id: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ReasoningStart:
    """A block of the model's reasoning begins."""

    id: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the model's reasoning."""

    id: str
    text: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ReasoningEnd:
    """A block of reasoning is complete."""

    id: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ToolInputStart:
    """The model begins to write the input of a tool call."""

    tool_call_id: str
    tool_name: str
    provider_executed: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolInputDelta:
    """More of the JSON text that will be a tool call's input."""

    tool_call_id: str
    delta: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model calls a tool. ``error`` says why the call cannot be made, when it cannot.

    ``input`` is the parsed input, or the text that the model wrote when that is not JSON.
    """

    tool_call_id: str
    tool_name: str
    input: Json
    error: str | None = None
    provider_executed: bool | None = None
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ToolApprovalRequest:
    """A call waits until somebody allows or denies it. It comes after its ``ToolCall``, and ends the turn."""

    approval_id: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool answered."""

    tool_call_id: str
    tool_name: str
    input: Json
    output: Json
    provider_executed: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolError:
    """A tool failed, or could not be called. The model is told ``error``; a browser sees a masked text."""

    tool_call_id: str
    tool_name: str
    input: Json
    error: str
    provider_executed: bool | None = None


@dataclass(frozen=True, slots=True)
class SourcePart:
    """Something that the model used: a web page (``url``) or a document (``media_type``, ``title``)."""

    id: str
    source_type: Literal["url", "document"] = "url"
    url: str | None = None
    title: str | None = None
    media_type: str | None = None
    filename: str | None = None
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that the model made. ``url`` is usually a data URL."""

    url: str
    media_type: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class FinishStep:
    """One call of the model is complete, and so are the tools that it called."""

    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    raw_finish_reason: str | None = None
    response_id: str | None = None
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The stream is complete. ``total_usage`` is that of all steps."""

    finish_reason: FinishReason
    total_usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ErrorPart:
    """The stream ends with an error.

    ``message`` is for the program and its log; a browser sees a masked text, unless it ``is_public``.
    """

    message: str
    status: int | None = None
    retryable: bool = False
    retry_after: float | None = None
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class AbortPart:
    """The stream was stopped on purpose."""

    reason: str | None = None


Part: TypeAlias = (
    Start
    | StartStep
    | TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | ToolInputStart
    | ToolInputDelta
    | ToolCall
    | ToolApprovalRequest
    | ToolResult
    | ToolError
    | SourcePart
    | FilePart
    | FinishStep
    | Finish
    | ErrorPart
    | AbortPart
)

_TYPES: dict[str, type[Part]] = {
    "start": Start,
    "start-step": StartStep,
    "text-start": TextStart,
    "text-delta": TextDelta,
    "text-end": TextEnd,
    "reasoning-start": ReasoningStart,
    "reasoning-delta": ReasoningDelta,
    "reasoning-end": ReasoningEnd,
    "tool-input-start": ToolInputStart,
    "tool-input-delta": ToolInputDelta,
    "tool-call": ToolCall,
    "tool-approval-request": ToolApprovalRequest,
    "tool-result": ToolResult,
    "tool-error": ToolError,
    "source": SourcePart,
    "file": FilePart,
    "finish-step": FinishStep,
    "finish": Finish,
    "error": ErrorPart,
    "abort": AbortPart,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_FIELDS = {kind: tuple((f.name, f.default) for f in fields(kind)) for kind in _NAMES}


def part_to_json(part: Part) -> dict[str, Json]:
    """Return ``part`` as a JSON object with its ``type``. Fields at their default are left out."""
    kind = type(part)
    data: dict[str, Json] = {"type": _NAMES[kind]}
    for name, default in _FIELDS[kind]:
        value = getattr(part, name)
        # An output of None is an answer; a missing one is not.
        if value is not default or name == "output":
            data[name] = _plain(value)
    return data


def part_from_json(data: Mapping[str, Json]) -> Part:
    """Return the part that ``part_to_json`` wrote."""
    values = dict(data)
    kind = _TYPES[values.pop("type")]
    for name in ("usage", "total_usage"):
        if name in values:
            values[name] = Usage(**values[name])
    return kind(**values)


def _plain(value: object) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: v for f in fields(value) if (v := getattr(value, f.name)) is not None}
    return value
