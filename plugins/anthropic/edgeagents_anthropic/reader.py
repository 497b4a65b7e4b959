"""What is read: the events of a message as parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeagents.models import (
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    SourcePart,
    TextDelta,
    TextEnd,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    tool_call,
)

__all__ = ["Reader"]

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool-calls",
    "refusal": "content-filter",
}


class _Block:
    def __init__(self, block: Any) -> None:
        self.block = block
        self.input = ""
        self.signature = ""


class Reader:
    """Events in, parts out. ``said_already`` is white space that the first text is not to begin with again."""

    def __init__(self, said_already: str = "") -> None:
        self.has_ended = False
        self._said_already = said_already
        self._blocks: dict[int, _Block] = {}
        self._calls: dict[str, ToolCall] = {}
        self._usage: dict[str, int] = {}
        self._reasoning_tokens: int | None = None
        self._response_id: str | None = None
        self._reason: str | None = None
        self._stop_sequence: str | None = None
        self._sources: set[str] = set()

    def read(self, event: Any) -> Sequence[Part]:
        match getattr(event, "type", None):
            case "message_start":
                self._response_id = event.message.id
                self._count(event.message.usage)
            case "content_block_start":
                return self._begin(event.index, event.content_block)
            case "content_block_delta":
                return self._add(event.index, event.delta)
            case "content_block_stop":
                return self._end(event.index)
            case "message_delta":
                self._reason = event.delta.stop_reason or self._reason
                self._stop_sequence = event.delta.stop_sequence
                self._count(event.usage)
            case "message_stop":
                self.has_ended = True
                return [self._finish()]
            case _:
                pass
        return ()

    def _begin(self, index: int, block: Any) -> Sequence[Part]:
        self._blocks[index] = _Block(block)
        match block.type:
            case "text" if block.text:
                return self._text(index, block.text)
            case "thinking" if block.thinking:
                return [ReasoningDelta(str(index), block.thinking)]
            case "tool_use":
                return [ToolInputStart(block.id, block.name)]
            case "server_tool_use":
                return [ToolInputStart(block.id, block.name, provider_executed=True)]
            case _:
                return ()

    def _add(self, index: int, delta: Any) -> Sequence[Part]:
        open_block = self._blocks[index]
        match delta.type:
            case "text_delta":
                return self._text(index, delta.text)
            case "thinking_delta":
                return [ReasoningDelta(str(index), delta.thinking)]
            case "signature_delta":
                open_block.signature += delta.signature
            case "input_json_delta" if delta.partial_json:
                open_block.input += delta.partial_json
                return [ToolInputDelta(open_block.block.id, delta.partial_json)]
            case "citations_delta":
                return self._source(delta.citation)
            case _:
                pass
        return ()

    def _end(self, index: int) -> Sequence[Part]:
        done = self._blocks.pop(index)
        block = done.block
        match block.type:
            case "text":
                return [TextEnd(str(index))]
            case "thinking":
                signature = done.signature or getattr(block, "signature", "")
                return [
                    ReasoningEnd(
                        str(index),
                        {"anthropic": {"signature": signature}} if signature else None,
                    )
                ]
            case "redacted_thinking":
                return [ReasoningEnd(str(index), {"anthropic": {"redactedData": block.data}})]
            case "tool_use":
                return [tool_call(block.id, block.name, done.input)]
            case "server_tool_use":
                call = tool_call(block.id, block.name, done.input, provider_executed=True)
                # Kept for its result, which names the call only.
                self._calls[block.id] = call
                return [call]
            case kind if kind.endswith("_tool_result"):
                return self._result(block)
            case _:
                return ()

    def _result(self, block: Any) -> Sequence[Part]:
        call = self._calls.get(block.tool_use_id)
        name, given = (call.tool_name, call.input) if call is not None else ("", None)
        content = block.model_dump(mode="json").get("content")
        return [ToolResult(block.tool_use_id, name, given, content, provider_executed=True)]

    def _text(self, index: int, text: str) -> Sequence[Part]:
        if self._said_already:
            # The model was shown its words without the white space at their end, and may say it again.
            expected, self._said_already = self._said_already, ""
            shared = len(text) - len(text.lstrip())
            text = text[min(shared, len(expected)) :]
        return [TextDelta(str(index), text)]

    def _source(self, citation: Any) -> Sequence[Part]:
        url = getattr(citation, "url", None)
        title = getattr(citation, "title", None) or getattr(citation, "document_title", None)
        key = url or title or f"document {getattr(citation, 'document_index', 0)}"
        if key in self._sources:
            return ()
        self._sources.add(key)
        source_id = f"source-{len(self._sources)}"
        if url is not None:
            return [SourcePart(source_id, url=url, title=title)]
        return [SourcePart(source_id, "document", title=title or key, media_type="text/plain")]

    def _count(self, usage: Any) -> None:
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ):
            value = getattr(usage, name, None)
            if value is not None:
                self._usage[name] = value
        details = getattr(usage, "output_tokens_details", None)
        self._reasoning_tokens = getattr(details, "thinking_tokens", self._reasoning_tokens)

    def _finish(self) -> FinishStep:
        counted = self._usage
        read, made = (
            counted.get("cache_read_input_tokens"),
            counted.get("cache_creation_input_tokens"),
        )
        # The vendor counts what the cache holds apart from the rest.
        asked = counted.get("input_tokens", 0) + (read or 0) + (made or 0)
        said = counted.get("output_tokens", 0)
        usage = Usage(asked, said, asked + said, self._reasoning_tokens, read)
        marks = {"cacheCreationInputTokens": made, "stopSequence": self._stop_sequence}
        marks = {name: value for name, value in marks.items() if value is not None}
        reason = _REASONS.get(self._reason or "", "other")
        return FinishStep(
            reason,
            usage,
            self._reason,
            self._response_id,
            {"anthropic": marks} if marks else None,
        )
