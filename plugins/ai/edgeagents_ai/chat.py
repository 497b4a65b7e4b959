"""Chat models: ``{"response", "usage"}``, or a stream of server-sent events; and OpenAI's form of the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from edgeagents.models import Part, TextDelta, ToolCall
from edgeagents_ai.asking import Answer, answer_of, parts_of, usage_of, wanted_schema
from edgeagents_ai.errors import InferenceUpstreamError

if TYPE_CHECKING:
    from edgeagents.models import ResolvedModel
    from edgeagents.objects import Clock

__all__ = ["event", "run_chat", "run_completion"]

DONE = b"data: [DONE]\n\n"

_REASONS = {"stop": "stop", "length": "length", "tool-calls": "tool_calls", "content-filter": "content_filter"}


def event(data: Any, name: str | None = None) -> bytes:
    """Return a server-sent event."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{'' if name is None else f'event: {name}' + chr(10)}data: {text}\n\n".encode("utf-8", "surrogatepass")


async def run_chat(
    model: ResolvedModel, inputs: Mapping[str, Any], env: Mapping[str, Any]
) -> dict[str, Any] | AsyncIterator[bytes]:
    """Answer as Workers AI's chat models do."""
    if inputs.get("stream"):
        return _chat_events(await parts_of(model, inputs, env))
    answer = await answer_of(model, inputs, env)
    result: dict[str, Any] = {"response": _response(answer, inputs), "usage": usage_of(answer.usage)}
    if answer.tool_calls and wanted_schema(inputs) is None:
        result["tool_calls"] = [{"name": call.tool_name, "arguments": call.input} for call in answer.tool_calls]
    return result


def _response(answer: Answer, inputs: Mapping[str, Any]) -> Any:
    if wanted_schema(inputs) is not None and answer.tool_calls:
        return answer.tool_calls[0].input
    if (inputs.get("response_format") or {}).get("type") not in ("json_object", "json_schema"):
        return answer.text
    try:
        return json.loads(answer.text)
    except ValueError:
        raise InferenceUpstreamError("JSON Mode couldn't be met", 5024) from None


async def _chat_events(parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    answer = Answer()
    async for part in parts:
        answer.take(part)
        if isinstance(part, TextDelta):
            yield event({"response": part.text})
        elif isinstance(part, ToolCall):
            yield event({"response": "", "tool_calls": [{"name": part.tool_name, "arguments": part.input}]})
    yield event({"response": "", "usage": usage_of(answer.usage)})
    yield DONE


async def run_completion(
    model: ResolvedModel, name: str, inputs: Mapping[str, Any], env: Mapping[str, Any], clock: Clock, answer_id: str
) -> dict[str, Any] | AsyncIterator[bytes]:
    """Answer in the form of OpenAI's chat completions."""
    base = {"id": f"chatcmpl-{answer_id}", "created": int(clock.now().timestamp()), "model": name}
    if inputs.get("stream"):
        return _chunks({**base, "object": "chat.completion.chunk"}, await parts_of(model, inputs, env))
    answer = await answer_of(model, inputs, env)
    schema = wanted_schema(inputs) is not None and answer.tool_calls
    content = json.dumps(answer.tool_calls[0].input, ensure_ascii=False) if schema else answer.text
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if answer.tool_calls and not schema:
        message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    reason = "stop" if schema else _REASONS.get(answer.finish_reason, "stop")
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {**base, "object": "chat.completion", "choices": [choice], "usage": usage_of(answer.usage)}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments = call.input if isinstance(call.input, str) else json.dumps(call.input, ensure_ascii=False)
    return {"id": call.tool_call_id, "type": "function", "function": {"name": call.tool_name, "arguments": arguments}}


async def _chunks(base: dict[str, Any], parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    answer = Answer()
    yield event(chunk({"role": "assistant", "content": ""}))
    async for part in parts:
        answer.take(part)
        if isinstance(part, TextDelta):
            yield event(chunk({"content": part.text}))
        elif isinstance(part, ToolCall):
            index = len(answer.tool_calls) - 1
            yield event(chunk({"tool_calls": [{"index": index, **_tool_call(part)}]}))
    yield event({**chunk({}, _REASONS.get(answer.finish_reason, "stop")), "usage": usage_of(answer.usage)})
    yield DONE
