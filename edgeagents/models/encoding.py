"""Encodings: a stream of parts as a browser reads it.

Two forms, those of the AI SDK: the text stream (the text and nothing else) and the UI message stream (Server-Sent
Events with a JSON chunk each, read by ``useChat``). The camelCase names here are the wire's.

Parts come with their position in the stream. It goes out as the event's ``id``, so that a reader can come back for
the rest; clients of the AI SDK ignore it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from edgeagents.errors import ModelError
from edgeagents.models.parts import (
    AbortPart,
    ErrorPart,
    FilePart,
    Finish,
    FinishStep,
    Json,
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
)

__all__ = [
    "MASKED_ERROR",
    "TEXT_STREAM_HEADERS",
    "UI_MESSAGE_STREAM_HEADERS",
    "NumberedParts",
    "UIOptions",
    "encode_text",
    "encode_ui",
    "ui_chunk",
]

NumberedParts: TypeAlias = AsyncIterator[tuple[int, Part]]

TEXT_STREAM_HEADERS = {"content-type": "text/plain; charset=utf-8"}

UI_MESSAGE_STREAM_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "x-vercel-ai-ui-message-stream": "v1",
    "x-accel-buffering": "no",
}

MASKED_ERROR = "An error occurred."


def _mask(part: ErrorPart | ToolError | ToolCall) -> str:
    return part.message if isinstance(part, ErrorPart) and part.is_public else MASKED_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class UIOptions:
    """What of a stream a browser is shown.

    ``on_error`` gives the text for an error; without it the text says nothing about what went wrong.
    ``message_metadata`` is asked at ``Start`` and ``Finish`` and may return what the message carries along.
    """

    message_id: str | None = None
    send_reasoning: bool = True
    send_sources: bool = False
    send_start: bool = True
    send_finish: bool = True
    on_error: Callable[[ErrorPart | ToolError | ToolCall], str] = _mask
    message_metadata: Callable[[Part], Json] | None = None


async def encode_text(parts: NumberedParts, *, skip_bytes: int = 0) -> AsyncGenerator[bytes, None]:
    """Yield the text, from the byte ``skip_bytes`` on.

    A stream that ends with an error raises ``ModelError``, so that the connection is cut: a text stream has no
    other way to say that it is not whole.
    """
    async for _, part in parts:
        if isinstance(part, TextDelta):
            data = part.text.encode("utf-8", "replace")
            if skip_bytes:
                data, skip_bytes = data[skip_bytes:], max(skip_bytes - len(data), 0)
            if data:
                yield data
        elif isinstance(part, ErrorPart):
            raise ModelError(part.message, status=part.status, retryable=part.retryable, retry_after=part.retry_after)


async def encode_ui(parts: NumberedParts, options: UIOptions) -> AsyncGenerator[bytes, None]:
    """Yield the events of a UI message stream, the one that ends it included."""
    async for position, part in parts:
        chunk = ui_chunk(part, options)
        if chunk is not None:
            text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
            yield f"id: {position}\ndata: {text}\n\n".encode("utf-8", "replace")
    yield b"data: [DONE]\n\n"


def ui_chunk(part: Part, options: UIOptions) -> dict[str, Json] | None:
    """Return the chunk for ``part``, or None when a browser is not shown it."""
    match part:
        case TextDelta():
            return _chunk("text-delta", part, id=part.id, delta=part.text)
        case TextStart():
            return _chunk("text-start", part, id=part.id)
        case TextEnd():
            return _chunk("text-end", part, id=part.id)
        case ReasoningStart() if options.send_reasoning:
            return _chunk("reasoning-start", part, id=part.id)
        case ReasoningDelta() if options.send_reasoning:
            return _chunk("reasoning-delta", part, id=part.id, delta=part.text)
        case ReasoningEnd() if options.send_reasoning:
            return _chunk("reasoning-end", part, id=part.id)
        case ToolInputStart():
            return _tool_chunk("tool-input-start", part, toolName=part.tool_name)
        case ToolInputDelta():
            return {"type": "tool-input-delta", "toolCallId": part.tool_call_id, "inputTextDelta": part.delta}
        case ToolCall(error=None):
            return _tool_chunk("tool-input-available", part, toolName=part.tool_name, input=part.input)
        case ToolCall():
            text = options.on_error(part)
            return _tool_chunk("tool-input-error", part, toolName=part.tool_name, input=part.input, errorText=text)
        case ToolApprovalRequest():
            return {"type": "tool-approval-request", "approvalId": part.approval_id, "toolCallId": part.tool_call_id}
        case ToolResult():
            return _tool_chunk("tool-output-available", part, output=part.output)
        case ToolError():
            return _tool_chunk("tool-output-error", part, errorText=options.on_error(part))
        case SourcePart(source_type="url") if options.send_sources:
            return _chunk("source-url", part, sourceId=part.id, url=part.url, **_present(title=part.title))
        case SourcePart() if options.send_sources:
            more = _present(filename=part.filename)
            title = part.title or part.filename or part.id
            return _chunk(
                "source-document",
                part,
                sourceId=part.id,
                mediaType=part.media_type or "text/plain",
                title=title,
                **more,
            )
        case FilePart():
            return _chunk("file", part, url=part.url, mediaType=part.media_type)
        case StartStep():
            return {"type": "start-step"}
        case FinishStep():
            return {"type": "finish-step"}
        case Start() if options.send_start:
            return {"type": "start", **_present(messageId=options.message_id), **_metadata(part, options)}
        case Finish() if options.send_finish:
            return {"type": "finish", "finishReason": part.finish_reason, **_metadata(part, options)}
        case ErrorPart():
            return {"type": "error", "errorText": options.on_error(part)}
        case AbortPart():
            return {"type": "abort", **_present(reason=part.reason)}
        case _:
            return None


def _chunk(kind: str, part: Any, **fields: Json) -> dict[str, Json]:
    return {"type": kind, **fields, **_present(providerMetadata=part.provider_metadata)}


def _tool_chunk(kind: str, part: Any, **fields: Json) -> dict[str, Json]:
    metadata = getattr(part, "provider_metadata", None)
    executed = _present(providerExecuted=part.provider_executed, providerMetadata=metadata)
    return {"type": kind, "toolCallId": part.tool_call_id, **fields, **executed}


def _present(**fields: Json) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}


def _metadata(part: Part, options: UIOptions) -> dict[str, Json]:
    found = None if options.message_metadata is None else options.message_metadata(part)
    return _present(messageMetadata=found)
