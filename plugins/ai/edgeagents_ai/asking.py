"""Asking: what a worker writes for Workers AI, or for OpenAI's interfaces, as a request to a model provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgeagents.errors import ModelError
from edgeagents.models import (
    FinishReason,
    FinishStep,
    Message,
    ModelRequest,
    Part,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolDefinition,
    Usage,
)
from edgeagents.models.asking import ask
from edgeagents.models.messages import (
    Content,
    FileContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
)
from edgeagents_ai.errors import InferenceUpstreamError

if TYPE_CHECKING:
    from edgeagents.models import ResolvedModel

__all__ = ["Answer", "answer_of", "conversation", "invalid", "parts_of", "request_of", "usage_of"]

_RETRIES = 2
_NOTHING_TO_SAY = (
    "Error: oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', "
    "required properties at '/' are 'messages'"
)
_SCHEMA_TOOL = "json"


def invalid(message: str) -> InferenceUpstreamError:
    """Return the error for inputs that a model does not take."""
    return InferenceUpstreamError(message, 5006)


def conversation(inputs: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the messages of ``inputs``: ``messages``, ``prompt``, or ``input`` with ``instructions``."""
    given = inputs.get("messages")
    if given is None:
        given = inputs.get("prompt") if inputs.get("prompt") is not None else inputs.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise invalid(_NOTHING_TO_SAY)
    messages: list[Message] = []
    instructions = inputs.get("instructions") or (inputs.get("system") if "messages" not in inputs else None)
    if isinstance(instructions, str):
        messages.append(Message("system", (TextContent(instructions),)))
    calls: dict[str, str] = {}
    messages += (_message(one, f"/messages/{index}", calls) for index, one in enumerate(given))
    return tuple(messages)


def _message(given: Any, where: str, calls: dict[str, str]) -> Message:
    """Return a message. ``calls`` are the names of the tools that were called so far, by the call's id."""
    if not isinstance(given, Mapping):
        raise invalid(f"Error: Type mismatch of '{where}', 'object' expected")
    kind = given.get("type")
    if kind == "function_call_output":
        return _result(str(given.get("call_id")), given.get("output"), calls)
    if kind == "function_call":
        return Message("assistant", (_call(given.get("call_id"), given, calls),))
    role, content = given.get("role"), given.get("content")
    match role:
        case "developer" | "system":
            return Message("system", _contents(content, where))
        case "user":
            return Message("user", _contents(content, where))
        case "assistant":
            made = [_call(one.get("id"), one.get("function") or one, calls) for one in given.get("tool_calls") or ()]
            return Message("assistant", (*_contents(content, where), *made))
        case "tool":
            return _result(str(given.get("tool_call_id") or given.get("name") or "call"), content, calls)
        case _:
            raise invalid(f"Error: '{where}/role' is {role!r}, not one of system, user, assistant, tool")


def _contents(content: Any, where: str) -> tuple[Content, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextContent(content),)
    if not isinstance(content, list):
        raise invalid(f"Error: Type mismatch of '{where}/content', 'string' or 'array' expected")
    return tuple(_content(part, f"{where}/content/{index}") for index, part in enumerate(content))


def _content(part: Any, where: str) -> Content:
    kind = part.get("type") if isinstance(part, Mapping) else None
    match kind:
        case "text" | "input_text" | "output_text":
            return TextContent(str(part.get("text", "")))
        case "image_url" | "input_image":
            url = part.get("image_url")
            url = url.get("url") if isinstance(url, Mapping) else url
            media = url[5:].split(";", 1)[0] if isinstance(url, str) and url.startswith("data:") else "image/png"
            return FileContent(str(url), media)
        case _:
            raise invalid(f"Error: '{where}/type' is {kind!r}, not one of text, image_url")


def _call(call_id: Any, given: Mapping[str, Any], calls: dict[str, str]) -> ToolCallContent:
    name, arguments = str(given.get("name")), given.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            pass  # The model sees what it wrote.
    made = ToolCallContent(str(call_id or name), name, arguments)
    calls[made.tool_call_id] = name
    return made


def _result(call_id: str, output: Any, calls: dict[str, str]) -> Message:
    return Message("tool", (ToolResultContent(call_id, calls.get(call_id, call_id), output),))


def request_of(model: ResolvedModel, inputs: Mapping[str, Any]) -> ModelRequest:
    """Return what the provider is asked. Raises ``InferenceUpstreamError`` for inputs that mean nothing."""
    tools, choice = _tools(inputs), inputs.get("tool_choice") or "auto"
    if isinstance(choice, Mapping):
        function = choice.get("function") or choice
        choice = {"type": "tool", "tool_name": str(function.get("name"))}
    elif choice in ("any", "required"):
        # Of one tool that must be called it is known which.
        choice = {"type": "tool", "tool_name": tools[0].name} if len(tools) == 1 else "required"
    schema = wanted_schema(inputs)
    if schema is not None:
        tools = (ToolDefinition(_SCHEMA_TOOL, "Answer by calling this.", schema),)
        choice = {"type": "tool", "tool_name": _SCHEMA_TOOL}
    limit = inputs.get("max_output_tokens") or inputs.get("max_completion_tokens") or inputs.get("max_tokens")
    stops = inputs.get("stop") or ()
    return ModelRequest(
        model=model.model,
        messages=conversation(inputs),
        tools=tools,
        tool_choice=choice,
        temperature=inputs.get("temperature"),
        top_p=inputs.get("top_p"),
        max_output_tokens=None if limit is None else int(limit),
        stop_sequences=(stops,) if isinstance(stops, str) else tuple(stops),
        seed=None if inputs.get("seed") is None else int(inputs["seed"]),
        # Pauses are there to be seen.
        provider_options={"pause_ms": 0} if model.is_free and not inputs.get("stream") else {},
        stands_in_for=model.stands_in_for,
    )


def _tools(inputs: Mapping[str, Any]) -> tuple[ToolDefinition, ...]:
    found: list[ToolDefinition] = []
    for given in inputs.get("tools") or inputs.get("functions") or ():
        function = given.get("function") or given
        if not function.get("name"):
            raise invalid("Error: required properties at '/tools' are 'name'")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        found.append(ToolDefinition(str(function["name"]), str(function.get("description") or ""), parameters))
    return tuple(found)


def wanted_schema(inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON Schema that the answer must be as, if one is given."""
    wanted = inputs.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return None
    schema = wanted.get("json_schema") or {}
    return schema.get("schema") or schema


@dataclass
class Answer:
    """What a model said."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)

    def take(self, part: Part) -> None:
        """Add what a part says."""
        match part:
            case TextDelta(text=text):
                self.text += text
            case ReasoningDelta(text=text):
                self.reasoning += text
            case ToolCall():
                self.tool_calls.append(part)
            case FinishStep():
                self.finish_reason, self.usage = part.finish_reason, part.usage
            case _:
                pass


async def parts_of(model: ResolvedModel, inputs: Mapping[str, Any], env: Mapping[str, Any]) -> AsyncIterator[Part]:
    """Return what the model says, once it has begun: what keeps it from that is raised here."""
    parts = ask(model, request_of(model, inputs), env=env, signal=None, max_retries=_RETRIES)
    try:
        first = await anext(parts, None)
    except ModelError as error:
        raise InferenceUpstreamError(str(error)) from error

    async def all_of_them() -> AsyncIterator[Part]:
        try:
            if first is not None:
                yield first
            async for part in parts:
                yield part
        except ModelError as error:
            raise InferenceUpstreamError(str(error)) from error
        finally:
            await parts.aclose()

    return all_of_them()


async def answer_of(model: ResolvedModel, inputs: Mapping[str, Any], env: Mapping[str, Any]) -> Answer:
    """Return all that the model says."""
    answer = Answer()
    async for part in await parts_of(model, inputs, env):
        answer.take(part)
    return answer


def usage_of(usage: Usage) -> dict[str, int]:
    """Return what was used, by the names of Workers AI."""
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    total = usage.total_tokens or prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
