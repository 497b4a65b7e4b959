"""What is sent: a ``ModelRequest`` as the Messages API has it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from edgeagents.errors import ModelError
from edgeagents.models import Message, ModelRequest, ToolChoice
from edgeagents.models.messages import (
    Content,
    FileContent,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    output_text,
)
from edgeagents_anthropic.models import (
    allows_prefill,
    allows_sampling,
    default_max_tokens,
    generation,
)

__all__ = [
    "CONTINUE",
    "FIRST_VERSION",
    "first_version_needed",
    "is_prefilled",
    "request_body",
]

CONTINUE = (
    "Your last message was cut off in the middle. Continue it from exactly where it stops, in mid-word if need be. "
    "Repeat nothing, add no remark."
)

FIRST_VERSION = "2023-06-01"
"""The version of the protocol that all servers know, and the last one with a temperature."""


def first_version_needed(request: ModelRequest) -> bool:
    """Return whether the request must be made in the protocol's first version."""
    return generation(request.model) is None or bool(_sampling(request))


def request_body(request: ModelRequest) -> dict[str, Any]:
    """Return the body of the request."""
    messages = [each for message in request.messages if (each := _message(message)) is not None]
    if request.prefix and is_prefilled(request):
        # The protocol refuses a last message that ends in white space; the reader leaves it out of what follows.
        messages.append({"role": "assistant", "content": request.prefix.rstrip()})
    elif request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
        messages.append({"role": "user", "content": CONTINUE})
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "max_tokens": request.max_output_tokens or default_max_tokens(request.model),
        **_sampling(request),
    }
    system = "\n\n".join(message.text for message in request.messages if message.role == "system")
    if system:
        body["system"] = system
    if request.stop_sequences:
        body["stop_sequences"] = list(request.stop_sequences)
    if request.tools:
        body["tools"] = [
            {
                "name": each.name,
                "description": each.description,
                "input_schema": each.input_schema,
            }
            for each in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    return {**body, **request.provider_options}


def is_prefilled(request: ModelRequest) -> bool:
    """Return whether the model goes on after its own words, without being told to."""
    thinking = request.provider_options.get("thinking")
    thinks = isinstance(thinking, Mapping) and thinking.get("type") != "disabled"
    return bool(request.prefix.strip()) and allows_prefill(request.model) and not thinks


def _sampling(request: ModelRequest) -> dict[str, float]:
    if not allows_sampling(request.model):
        return {}
    asked = {"temperature": request.temperature, "top_p": request.top_p}
    return {name: value for name, value in asked.items() if value is not None}


def _tool_choice(choice: ToolChoice) -> dict[str, str]:
    if isinstance(choice, str):
        return {"type": "any" if choice == "required" else choice}
    return {"type": "tool", "name": choice["tool_name"]}


def _message(message: Message) -> dict[str, Any] | None:
    """Return a message of the wire, or None when nothing of it goes there: ``system`` has a place of its own."""
    if message.role == "system":
        return None
    blocks = [block for part in message.content if (block := _block(part)) is not None]
    role = "assistant" if message.role == "assistant" else "user"
    return {"role": role, "content": blocks} if blocks else None


def _block(part: Content) -> dict[str, Any] | None:
    match part:
        case TextContent():
            # Blocks of white space are refused.
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case ReasoningContent():
            return _thinking(part)
        case FileContent():
            return _file(part)
        case ToolCallContent():
            # A call whose input was no JSON has it as text; the server checks that an input is an object.
            given = part.input if isinstance(part.input, dict) else {"input": part.input}
            return {
                "type": "tool_use",
                "id": part.tool_call_id,
                "name": part.tool_name,
                "input": given,
            }
        case ToolResultContent():
            result = {
                "type": "tool_result",
                "tool_use_id": part.tool_call_id,
                "content": output_text(part.output),
            }
            return {**result, "is_error": True} if part.is_error else result


def _thinking(part: ReasoningContent) -> dict[str, Any] | None:
    """Return a thought as it came. One without the server's signature is not taken back."""
    marks = (part.provider_metadata or {}).get("anthropic") or {}
    if marks.get("redactedData"):
        return {"type": "redacted_thinking", "data": marks["redactedData"]}
    if marks.get("signature"):
        return {
            "type": "thinking",
            "thinking": part.text,
            "signature": marks["signature"],
        }
    return None


def _file(part: FileContent) -> dict[str, Any]:
    kind = "image" if part.media_type.startswith("image/") else "document"
    title = {"title": part.filename} if part.filename and kind == "document" else {}
    if not part.url.startswith("data:"):
        return {"type": kind, "source": {"type": "url", "url": part.url}, **title}
    data, is_base64 = _data_of(part.url)
    if kind == "image" or part.media_type == "application/pdf":
        text = data if is_base64 else base64.b64encode(unquote_to_bytes(data)).decode()
        return {
            "type": kind,
            "source": {"type": "base64", "media_type": part.media_type, "data": text},
            **title,
        }
    if part.media_type.startswith("text/"):
        raw = base64.b64decode(data) if is_base64 else unquote_to_bytes(data)
        source = {
            "type": "text",
            "media_type": "text/plain",
            "data": raw.decode("utf-8", "replace"),
        }
        return {"type": kind, "source": source, **title}
    raise ModelError(
        f"Anthropic's models read images, PDFs and text, not {part.media_type!r}. Convert the file, or leave it out."
    )


def _data_of(url: str) -> Sequence[Any]:
    head, _, data = url.partition(",")
    return data, head.endswith(";base64")
