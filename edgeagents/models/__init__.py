"""Models: streaming text from model providers, and tools that they may call.

| to | look in |
|---|---|
| ask a model | `stream_text.py`, `result.py`; about a chat: `ui_messages.py`, `prune_messages.py` |
| know what can happen in a stream | `parts.py`, `steps.py` |
| ask a model for a value, not for text | `generate_object.py`; schemas of one's own: `json_schema.py` |
| give a model tools | `tools.py`, `json_types.py` |
| see how steps, tools and interruptions go together | `turn.py` |
| answer a browser | `encoding.py` |
| write a provider | `provider.py`; `offline.py` is one |
| find a provider | `registry.py` |
"""

from __future__ import annotations

from edgeagents.models.generate_object import GenerateObjectResult, generate_object
from edgeagents.models.messages import Message
from edgeagents.models.offline import OfflineProvider
from edgeagents.models.parts import (
    AbortPart,
    ErrorPart,
    FilePart,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourcePart,
    Start,
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
    part_from_json,
    part_to_json,
)
from edgeagents.models.provider import (
    Continues,
    ModelHandle,
    ModelProvider,
    ModelRequest,
    NeedsSetup,
    ToolChoice,
    ToolDefinition,
)
from edgeagents.models.prune_messages import prune_messages
from edgeagents.models.registry import ModelLike, ModelRegistry, ResolvedModel
from edgeagents.models.result import FinishEvent, StreamTextResult, TextResult
from edgeagents.models.steps import StepResult, StopCondition, has_tool_call, step_count_is
from edgeagents.models.stream_text import stream_text
from edgeagents.models.tools import Tool, ToolContext, tool, tool_call
from edgeagents.models.ui_messages import convert_to_model_messages

__all__ = [
    "AbortPart",
    "Continues",
    "ErrorPart",
    "FilePart",
    "Finish",
    "FinishEvent",
    "FinishReason",
    "FinishStep",
    "GenerateObjectResult",
    "Message",
    "ModelHandle",
    "ModelLike",
    "ModelProvider",
    "ModelRegistry",
    "ModelRequest",
    "NeedsSetup",
    "OfflineProvider",
    "Part",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningStart",
    "ResolvedModel",
    "SourcePart",
    "Start",
    "StartStep",
    "StepResult",
    "StopCondition",
    "StreamTextResult",
    "TextDelta",
    "TextEnd",
    "TextResult",
    "TextStart",
    "Tool",
    "ToolApprovalRequest",
    "ToolCall",
    "ToolChoice",
    "ToolContext",
    "ToolDefinition",
    "ToolError",
    "ToolInputDelta",
    "ToolInputStart",
    "ToolResult",
    "Usage",
    "convert_to_model_messages",
    "generate_object",
    "has_tool_call",
    "part_from_json",
    "part_to_json",
    "prune_messages",
    "step_count_is",
    "stream_text",
    "tool",
    "tool_call",
]
