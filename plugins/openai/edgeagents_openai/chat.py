"""Chat Completions: the protocol that OpenAI's older models and most other servers speak."""

from __future__ import annotations

import json
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
    TextDelta,
    TextEnd,
    ToolChoice,
    ToolInputDelta,
    ToolInputStart,
    Usage,
    tool_call,
)
from edgeagents.models.messages import FileContent, TextContent, ToolCallContent, ToolResultContent, output_text
from edgeagents_openai.errors import broken_off, mapped_errors

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["CONTINUE", "ChatReader", "arguments", "request_body", "stream"]

CONTINUE = (
    "Your last message was cut off in the middle. Continue it from exactly where it stops, in mid-word if need be. "
    "Repeat nothing, add no remark."
)

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}


async def stream(client: AsyncOpenAI, request: ModelRequest, *, is_openai: bool) -> AsyncGenerator[Part, None]:
    """Ask and yield what the model says."""
    body = request_body(request, is_openai=is_openai)
    with mapped_errors(client.api_key):
        answer: Any = await client.chat.completions.create(**body, extra_headers=dict(request.headers))
    reader = ChatReader()
    try:
        with mapped_errors(client.api_key):
            async for chunk in answer:
                for part in reader.read(chunk):
                    yield part
    finally:
        await answer.close()
    for part in reader.end():
        yield part


def request_body(request: ModelRequest, *, is_openai: bool) -> dict[str, Any]:
    """Return the arguments of the call."""
    messages = [each for message in request.messages for each in _messages(message)]
    if request.prefix:
        messages += [{"role": "assistant", "content": request.prefix}, {"role": "user", "content": CONTINUE}]
    # Other servers know the limit by its older name only.
    limit = "max_completion_tokens" if is_openai else "max_tokens"
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "temperature": request.temperature,
        "top_p": request.top_p,
        limit: request.max_output_tokens,
        "stop": list(request.stop_sequences) or None,
        "seed": request.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": each.name, "description": each.description, "parameters": each.input_schema},
            }
            for each in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    body = {name: value for name, value in body.items() if value is not None}
    return {**body, "extra_body": dict(request.provider_options)} if request.provider_options else body


def _tool_choice(choice: ToolChoice) -> Any:
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice["tool_name"]}}


def _messages(message: Message) -> list[dict[str, Any]]:
    results = [part for part in message.content if isinstance(part, ToolResultContent)]
    if results:
        return [{"role": "tool", "tool_call_id": r.tool_call_id, "content": output_text(r.output)} for r in results]
    if message.role != "assistant":
        return [{"role": message.role, "content": _content(message)}]
    calls = [
        {
            "id": part.tool_call_id,
            "type": "function",
            "function": {"name": part.tool_name, "arguments": arguments(part)},
        }
        for part in message.content
        if isinstance(part, ToolCallContent)
    ]
    said: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    return [{**said, "tool_calls": calls} if calls else said]


def arguments(call: ToolCallContent) -> str:
    """Return the input of a call as the text of a JSON object."""
    # A call whose input was no JSON has it as text; the servers check that arguments are an object.
    return json.dumps(call.input if isinstance(call.input, dict) else {"input": call.input}, ensure_ascii=False)


def _content(message: Message) -> str | list[dict[str, Any]]:
    if all(isinstance(part, TextContent) for part in message.content):
        return message.text
    found: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, TextContent):
            found.append({"type": "text", "text": part.text})
        elif isinstance(part, FileContent) and part.media_type.startswith("image/"):
            found.append({"type": "image_url", "image_url": {"url": part.url}})
        elif isinstance(part, FileContent):
            found.append({"type": "file", "file": {"filename": part.filename or "file", "file_data": part.url}})
    return found


class _Call:
    def __init__(self, call_id: str, name: str) -> None:
        self.id, self.name, self.arguments = call_id, name, ""


class ChatReader:
    """Chunks in, parts out. ``end`` tells the calls and the finish, and raises when the last chunk never came."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._reason: str | None = None
        self._has_refused = False
        self._usage = Usage()
        self._response_id: str | None = None
        self._is_reasoning = False

    def read(self, chunk: Any) -> Sequence[Part]:
        """Return what ``chunk`` tells."""
        self._response_id = self._response_id or getattr(chunk, "id", None)
        if getattr(chunk, "usage", None) is not None:
            self._usage = _usage(chunk.usage)
        if not getattr(chunk, "choices", None):
            return ()
        choice = chunk.choices[0]
        self._reason = choice.finish_reason or self._reason
        delta = choice.delta
        if delta is None:
            return ()
        found: list[Part] = []
        # Not OpenAI's own: servers of open models send what the model thinks under one of these names.
        reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        if isinstance(reasoning, str) and reasoning:
            self._is_reasoning = True
            found.append(ReasoningDelta("reasoning", reasoning))
        text = delta.content or getattr(delta, "refusal", None)
        if getattr(delta, "refusal", None):
            self._has_refused = True
        if (text or delta.tool_calls) and self._is_reasoning:
            self._is_reasoning = False
            found.append(ReasoningEnd("reasoning"))
        if text:
            found.append(TextDelta("text", text))
        for position, call in enumerate(delta.tool_calls or ()):
            found += self._read_call(call, position)
        return found

    def _read_call(self, call: Any, position: int) -> list[Part]:
        index = call.index if call.index is not None else position
        function = call.function
        found: list[Part] = []
        if index not in self._calls:
            name = (function.name if function else None) or ""
            self._calls[index] = _Call(call.id or f"call_{index}", name)
            found.append(ToolInputStart(self._calls[index].id, name))
        if function is not None and function.arguments:
            self._calls[index].arguments += function.arguments
            found.append(ToolInputDelta(self._calls[index].id, function.arguments))
        return found

    def end(self) -> Sequence[Part]:
        """Return what the whole stream tells. Raises ``ModelError`` when it was not whole."""
        if self._reason is None:
            raise broken_off()
        calls: list[Part] = [tool_call(call.id, call.name, call.arguments) for call in self._calls.values()]
        reason = _REASONS.get(self._reason, "other")
        if self._has_refused and reason == "stop":
            reason = "content-filter"
        # Some servers say "stop" though they call tools.
        if calls and reason == "stop":
            reason = "tool-calls"
        finish = FinishStep(reason, self._usage, self._reason, self._response_id)
        return [TextEnd("text"), *calls, finish]


def _usage(usage: Any) -> Usage:
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", None),
        cached_input_tokens=getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None),
    )
