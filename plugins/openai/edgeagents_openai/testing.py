"""OpenAI's two protocols as a server speaks them, for tests of whatever asks such servers.

``ChatVendor`` and ``ResponsesVendor`` are given to ``edgeagents.testing.vendor.VendorServer``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from edgeagents.models import Message, ToolChoice, ToolDefinition, Usage
from edgeagents.models.messages import Content, FileContent, TextContent, ToolCallContent, ToolResultContent
from edgeagents.testing.vendor import Answer, Asked, Calls, Received, Refusal, Says, Thinks, Vendor, sse

__all__ = ["ChatVendor", "ResponsesVendor"]

_ERROR = {"message": "The server had a fault.", "type": "server_error", "code": "server_error", "param": None}
_CODES = {400: "invalid_request_error", 401: "invalid_api_key", 429: "rate_limit_exceeded"}


class _OpenAIVendor(Vendor):
    def refusal(self, refusal: Refusal) -> dict[str, Any]:
        code = _CODES.get(refusal.status, "server_error")
        return {"error": {"message": refusal.message, "type": code, "code": code, "param": None}}


class ChatVendor(_OpenAIVendor):
    """Chat Completions. Reasoning comes as servers of open models send it."""

    REASONS: ClassVar[Mapping[str, str]] = {
        "stop": "stop",
        "length": "length",
        "content-filter": "content_filter",
        "tool-calls": "tool_calls",
    }

    def stream(self, answer: Answer) -> Iterator[bytes]:
        yield _chat({"role": "assistant", "content": ""})
        index = 0
        for block in answer.blocks:
            if isinstance(block, Calls):
                head: dict[str, Any] = {"id": block.tool_call_id, "type": "function"}
                for number, piece in enumerate(block.pieces):
                    function = {"arguments": piece, **({} if number else {"name": block.tool_name})}
                    yield _chat({"tool_calls": [{"index": index, **({} if number else head), "function": function}]})
                index += 1
            else:
                field = "content" if isinstance(block, Says) else "reasoning_content"
                for piece in block.pieces:
                    yield _chat({field: piece})
        if answer.ending == "error":
            yield sse({"error": _ERROR})
        if answer.ending == "whole":
            yield _chat({}, self.REASONS[answer.reason])
            yield sse({**_chunk(), "choices": [], "usage": _chat_usage(answer.usage)})
            yield sse("[DONE]")

    def read(self, received: Received) -> Asked:
        body = received.body
        if not received.path.endswith("/chat/completions"):
            raise ValueError(f"{received.path} is not the path of Chat Completions.")
        names: dict[str, str] = {}
        messages = [_read_chat_message(each, names) for each in body["messages"]]
        tools = [each["function"] for each in body.get("tools") or ()]
        stop = body.get("stop") or ()
        return Asked(
            model=body["model"],
            system="\n\n".join(message.text for message in messages if message.role == "system"),
            messages=_joined([message for message in messages if message.role != "system"]),
            tools=tuple(ToolDefinition(t["name"], t.get("description", ""), t["parameters"]) for t in tools),
            tool_choice=_read_choice(body.get("tool_choice"), "function"),
            temperature=body.get("temperature"),
            max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            stop_sequences=(stop,) if isinstance(stop, str) else tuple(stop),
            key=_key(received),
        )


class ResponsesVendor(_OpenAIVendor):
    """The Responses API."""

    def stream(self, answer: Answer) -> Iterator[bytes]:
        for index, block in enumerate(answer.blocks):
            at = {"output_index": index}
            match block:
                case Says():
                    for piece in block.pieces:
                        yield _event("output_text.delta", item_id=f"msg_{index}", content_index=0, delta=piece, **at)
                    if answer.ending == "whole":
                        text = {"type": "output_text", "text": "".join(block.pieces), "annotations": list[Any]()}
                        item = {"type": "message", "id": f"msg_{index}", "role": "assistant", "status": "completed"}
                        yield _event("output_item.done", item={**item, "content": [text]}, **at)
                case Thinks():
                    place = {"item_id": f"rs_{index}", "summary_index": 0, **at}
                    for piece in block.pieces:
                        yield _event("reasoning_summary_text.delta", delta=piece, **place)
                    part = {"type": "summary_text", "text": "".join(block.pieces)}
                    yield _event("reasoning_summary_part.done", part=part, **place)
                case Calls():
                    item = {"type": "function_call", "id": f"fc_{index}", "call_id": block.tool_call_id}
                    item |= {"name": block.tool_name, "arguments": ""}
                    yield _event("output_item.added", item=item, **at)
                    for piece in block.pieces:
                        yield _event("function_call_arguments.delta", item_id=item["id"], delta=piece, **at)
                    if answer.ending == "whole":
                        done = {**item, "arguments": "".join(block.pieces), "status": "completed"}
                        yield _event("output_item.done", item=done, **at)
        if answer.ending == "error":
            yield _event_of({"type": "error", "param": None, **{k: _ERROR[k] for k in ("message", "code")}})
        if answer.ending == "whole":
            incomplete = {"length": "max_output_tokens", "content-filter": "content_filter"}.get(answer.reason)
            yield _end_event(answer.usage, incomplete)

    def read(self, received: Received) -> Asked:
        body = received.body
        if not received.path.endswith("/responses"):
            raise ValueError(f"{received.path} is not the path of the Responses API.")
        messages = [_read_item(each) for each in body["input"]]
        tools = body.get("tools") or ()
        return Asked(
            model=body["model"],
            system="\n\n".join(message.text for message in messages if message.role == "system"),
            messages=_joined([message for message in messages if message.role != "system"]),
            tools=tuple(ToolDefinition(t["name"], t.get("description", ""), t["parameters"]) for t in tools),
            tool_choice=_read_choice(body.get("tool_choice"), None),
            temperature=body.get("temperature"),
            max_output_tokens=body.get("max_output_tokens"),
            key=_key(received),
        )


def _key(received: Received) -> str:
    return received.headers.get("authorization", "").removeprefix("Bearer ")


def _joined(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Join messages of one role: each result, and in the Responses API each call, is one of its own on the wire."""
    found: list[Message] = []
    for message in messages:
        if found and found[-1].role == message.role and message.role in ("tool", "assistant"):
            found[-1] = Message(message.role, (*found[-1].content, *message.content))
        else:
            found.append(message)
    return tuple(found)


def _read_choice(choice: Any, key: str | None) -> ToolChoice | None:
    if choice in (None, "auto", "none", "required"):
        return choice
    if choice["type"] != "function":
        raise ValueError(f"{choice!r} is no choice of a function.")
    return {"type": "tool", "tool_name": (choice[key] if key else choice)["name"]}


# Chat Completions


def _chunk() -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _chat(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    return sse({**_chunk(), "choices": [choice]})


def _chat_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _read_chat_message(message: Mapping[str, Any], names: dict[str, str]) -> Message:
    role, content = message["role"], message.get("content")
    said: list[Content] = []
    if role == "tool":
        name = names[message["tool_call_id"]]
        return Message("tool", (ToolResultContent(message["tool_call_id"], name, _text(content)),))
    if isinstance(content, str):
        said += [TextContent(content)] if content else []
    for part in content if isinstance(content, list) else ():
        match part["type"]:
            case "text":
                said.append(TextContent(part["text"]))
            case "image_url":
                said.append(_file(part["image_url"]["url"]))
            case "file":
                said.append(_file(part["file"]["file_data"]))
            case kind:
                raise ValueError(f"{kind!r} is no kind of content.")
    for call in message.get("tool_calls") or ():
        function = call["function"]
        names[call["id"]] = function["name"]
        said.append(ToolCallContent(call["id"], function["name"], json.loads(function["arguments"])))
    return Message("system" if role == "developer" else role, tuple(said))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _file(url: str) -> FileContent:
    return FileContent(url, url.removeprefix("data:").split(";", 1)[0])


# Responses


def _event(kind: str, **fields: Any) -> bytes:
    return _event_of({"type": f"response.{kind}", **fields})


def _event_of(data: dict[str, Any]) -> bytes:
    return sse({"sequence_number": 0, **data}, data["type"])


def _end_event(usage: Usage, incomplete: str | None) -> bytes:
    kind = "completed" if incomplete is None else "incomplete"
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": kind,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None if incomplete is None else {"reason": incomplete},
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }
    return _event(kind, response=response)


def _read_item(item: Mapping[str, Any]) -> Message:
    match item.get("type", "message"):
        case "function_call":
            call = ToolCallContent(item["call_id"], item["name"], json.loads(item["arguments"]))
            return Message("assistant", (call,))
        case "function_call_output":
            return Message("tool", (ToolResultContent(item["call_id"], "", item["output"]),))
        case _:
            content = item["content"]
            if isinstance(content, str):
                return Message(item["role"], (TextContent(content),))
            return Message(item["role"], tuple(_read_part(part, item["role"]) for part in content))


def _read_part(part: Mapping[str, Any], role: str) -> Content:
    match part["type"]:
        case "output_text" if role == "assistant":
            return TextContent(part["text"])
        case "input_text" if role != "assistant":
            return TextContent(part["text"])
        case "input_image":
            return _file(part["image_url"])
        case "input_file":
            return _file(part["file_data"])
        case kind:
            raise ValueError(f"{kind!r} is no content of a message of the role {role!r}.")
