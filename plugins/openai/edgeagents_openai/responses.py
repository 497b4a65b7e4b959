"""The Responses API: OpenAI's own protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from edgeagents.models import (
    FinishReason,
    FinishStep,
    Message,
    ModelRequest,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    SourcePart,
    TextDelta,
    TextEnd,
    ToolChoice,
    ToolInputDelta,
    ToolInputStart,
    Usage,
    tool_call,
)
from edgeagents.models.messages import FileContent, TextContent, ToolCallContent, ToolResultContent, output_text
from edgeagents_openai.chat import CONTINUE, arguments
from edgeagents_openai.errors import broken_off, mapped_errors, stream_error

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["request_body", "stream"]

_INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content-filter"}


async def stream(client: AsyncOpenAI, request: ModelRequest) -> AsyncGenerator[Part, None]:
    """Ask and yield what the model says."""
    body = request_body(request)
    with mapped_errors(client.api_key):
        answer: Any = await client.responses.create(**body, extra_headers=dict(request.headers))
    reader = _Reader()
    try:
        with mapped_errors(client.api_key):
            async for event in answer:
                for part in reader.read(event):
                    yield part
    finally:
        await answer.close()
    if not reader.has_ended:
        raise broken_off()


def request_body(request: ModelRequest) -> dict[str, Any]:
    """Return the arguments of the call."""
    items = [item for message in request.messages for item in _items(message)]
    if request.prefix:
        items += [
            {"role": "assistant", "content": [{"type": "output_text", "text": request.prefix}]},
            {"role": "user", "content": [{"type": "input_text", "text": CONTINUE}]},
        ]
    body: dict[str, Any] = {
        "model": request.model,
        "input": items,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_output_tokens,
        "stream": True,
        # The agent keeps what was said; nobody else needs to.
        "store": False,
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": each.name,
                "description": each.description,
                "parameters": each.input_schema,
                # Strict schemas allow no defaults, which Python functions have.
                "strict": False,
            }
            for each in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    body = {name: value for name, value in body.items() if value is not None}
    return {**body, "extra_body": dict(request.provider_options)} if request.provider_options else body


def _tool_choice(choice: ToolChoice) -> Any:
    return choice if isinstance(choice, str) else {"type": "function", "name": choice["tool_name"]}


def _items(message: Message) -> list[dict[str, Any]]:
    """Return the input items for a message: calls and their results are items of their own."""
    kind = "output_text" if message.role == "assistant" else "input_text"
    said: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, TextContent):
            said.append({"type": kind, "text": part.text})
        elif isinstance(part, FileContent):
            said.append(_file(part))
        elif isinstance(part, ToolCallContent):
            others.append(
                {
                    "type": "function_call",
                    "call_id": part.tool_call_id,
                    "name": part.tool_name,
                    "arguments": arguments(part),
                }
            )
        elif isinstance(part, ToolResultContent):
            output = output_text(part.output)
            others.append({"type": "function_call_output", "call_id": part.tool_call_id, "output": output})
    return [{"role": message.role, "content": said}, *others] if said else others


def _file(part: FileContent) -> dict[str, Any]:
    if part.media_type.startswith("image/"):
        return {"type": "input_image", "image_url": part.url, "detail": "auto"}
    if part.url.startswith("data:"):
        return {"type": "input_file", "filename": part.filename or "file", "file_data": part.url}
    return {"type": "input_file", "file_url": part.url}


class _Reader:
    """Events in, parts out."""

    def __init__(self) -> None:
        self.has_ended = False
        self._calls: dict[str, str] = {}
        self._has_called = self._has_refused = False
        self._sources = 0

    def read(self, event: Any) -> Sequence[Part]:
        match getattr(event, "type", None):
            case "response.output_text.delta":
                return [TextDelta(event.item_id, event.delta)]
            case "response.refusal.delta":
                self._has_refused = True
                return [TextDelta(event.item_id, event.delta)]
            case "response.reasoning_summary_text.delta":
                return [ReasoningDelta(f"{event.item_id}:{event.summary_index}", event.delta)]
            case "response.reasoning_text.delta":
                return [ReasoningDelta(event.item_id, event.delta)]
            case "response.reasoning_summary_part.done":
                return [ReasoningEnd(f"{event.item_id}:{event.summary_index}")]
            case "response.output_item.added" if event.item.type == "function_call":
                self._calls[event.item.id] = event.item.call_id
                return [ToolInputStart(event.item.call_id, event.item.name)]
            case "response.function_call_arguments.delta" if event.item_id in self._calls:
                return [ToolInputDelta(self._calls[event.item_id], event.delta)]
            case "response.output_item.done":
                return self._item_done(event.item)
            case "response.output_text.annotation.added":
                return self._annotation(event.annotation)
            case "response.completed" | "response.incomplete":
                return [self._finish(event.response)]
            case "response.failed":
                error = event.response.error
                raise stream_error(getattr(error, "message", None), getattr(error, "code", None))
            case "error":
                raise stream_error(event.message, event.code)
            case _:
                return ()

    def _item_done(self, item: Any) -> Sequence[Part]:
        match item.type:
            case "function_call":
                self._has_called = True
                return [tool_call(item.call_id, item.name, item.arguments)]
            case "message":
                return [TextEnd(item.id)]
            case "reasoning":
                return [ReasoningEnd(item.id)]
            case _:
                return ()

    def _annotation(self, annotation: Any) -> Sequence[Part]:
        facts = annotation if isinstance(annotation, dict) else vars(annotation)
        if facts.get("type") != "url_citation":
            return ()
        self._sources += 1
        return [SourcePart(f"source-{self._sources}", url=facts.get("url"), title=facts.get("title"))]

    def _finish(self, response: Any) -> FinishStep:
        self.has_ended = True
        raw = getattr(response.incomplete_details, "reason", None)
        reason: FinishReason = "tool-calls" if self._has_called else "content-filter" if self._has_refused else "stop"
        if response.status == "incomplete" or raw is not None:
            reason = _INCOMPLETE.get(raw or "", "other")
        return FinishStep(reason, _usage(response.usage), raw or response.status, response.id)


def _usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=getattr(usage.output_tokens_details, "reasoning_tokens", None),
        cached_input_tokens=getattr(usage.input_tokens_details, "cached_tokens", None),
    )
