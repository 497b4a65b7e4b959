"""The Messages API as a server speaks it, for tests of whatever asks such servers.

``MessagesVendor`` is given to ``edgeagents.testing.vendor.VendorServer``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from edgeagents.models import Message, ToolChoice, ToolDefinition
from edgeagents.models.messages import (
    Content,
    FileContent,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
)
from edgeagents.testing.vendor import (
    Answer,
    Asked,
    Calls,
    Received,
    Refusal,
    Says,
    Thinks,
    Vendor,
    sse,
)

__all__ = ["MessagesVendor"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class MessagesVendor(Vendor):
    """Messages, streamed. A thought is signed with ``signature``."""

    root = ""
    signature = "sig-1"

    REASONS: ClassVar[Mapping[str, str]] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "content-filter": "refusal",
        "tool-calls": "tool_use",
    }

    def stream(self, answer: Answer) -> Iterator[bytes]:
        used = answer.usage
        cached = used.cached_input_tokens or 0
        counted = {
            "input_tokens": (used.input_tokens or 0) - cached,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
        }
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": list[Any](),
        }
        message |= {
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**counted, "output_tokens": 1},
        }
        yield _event("message_start", message=message)
        yield _event("ping")
        for index, block in enumerate(answer.blocks):
            yield from self._block(index, block, is_whole=answer.ending == "whole")
        if answer.ending == "error":
            yield _event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        if answer.ending == "whole":
            delta = {"stop_reason": self.REASONS[answer.reason], "stop_sequence": None}
            details = {"thinking_tokens": used.reasoning_tokens}
            usage = {
                **counted,
                "output_tokens": used.output_tokens,
                "output_tokens_details": details,
            }
            yield _event("message_delta", delta=delta, usage=usage)
            yield _event("message_stop")

    def _block(self, index: int, block: Says | Thinks | Calls, *, is_whole: bool) -> Iterator[bytes]:
        match block:
            case Says():
                start: dict[str, Any] = {"type": "text", "text": ""}
                deltas = [{"type": "text_delta", "text": piece} for piece in block.pieces]
            case Thinks():
                start = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in block.pieces]
                deltas.append({"type": "signature_delta", "signature": self.signature})
            case Calls():
                start = {
                    "type": "tool_use",
                    "id": block.tool_call_id,
                    "name": block.tool_name,
                    "input": {},
                }
                deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *block.pieces)]
        yield _event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        if is_whole:
            yield _event("content_block_stop", index=index)

    def refusal(self, refusal: Refusal) -> dict[str, Any]:
        kind = _TYPES.get(refusal.status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": refusal.message},
            "request_id": "req_1",
        }

    def read(self, received: Received) -> Asked:
        body = received.body
        if received.path != "/v1/messages":
            raise ValueError(f"{received.path} is not the path of the Messages API.")
        if body["stream"] is not True or received.headers["anthropic-version"] not in (
            "2023-06-01",
            "2026-10-21",
        ):
            raise ValueError("This is no streaming request of a version that is known.")
        headers = received.headers
        tools = body.get("tools") or ()
        return Asked(
            model=body["model"],
            system=_text(body.get("system", "")),
            messages=tuple(_read_message(each) for each in body["messages"]),
            tools=tuple(ToolDefinition(t["name"], t.get("description", ""), t["input_schema"]) for t in tools),
            tool_choice=_read_choice(body.get("tool_choice")),
            temperature=body.get("temperature"),
            max_output_tokens=body["max_tokens"],
            stop_sequences=tuple(body.get("stop_sequences") or ()),
            key=headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer "),
        )


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n\n".join(block["text"] for block in content)


def _read_choice(choice: Mapping[str, Any] | None) -> ToolChoice | None:
    if choice is None:
        return None
    match choice["type"]:
        case "any":
            return "required"
        case "auto" | "none" as kind:
            return kind
        case "tool":
            return {"type": "tool", "tool_name": choice["name"]}
        case kind:
            raise ValueError(f"{kind!r} is no choice of a tool.")


def _read_message(message: Mapping[str, Any]) -> Message:
    role, content = message["role"], message["content"]
    if role not in ("user", "assistant"):
        raise ValueError(f"{role!r} is no role.")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    found = tuple(_read_block(block) for block in blocks)
    answers = role == "user" and any(isinstance(each, ToolResultContent) for each in found)
    return Message("tool" if answers else role, found)


def _read_block(block: Mapping[str, Any]) -> Content:
    match block["type"]:
        case "text" if block["text"].strip():
            return TextContent(block["text"])
        case "thinking":
            return ReasoningContent(block["thinking"], {"anthropic": {"signature": block["signature"]}})
        case "redacted_thinking":
            return ReasoningContent("", {"anthropic": {"redactedData": block["data"]}})
        case "image" | "document":
            return _read_source(block["source"])
        case "tool_use" if isinstance(block["input"], dict):
            return ToolCallContent(block["id"], block["name"], block["input"])
        case "tool_result":
            text = _text(block.get("content", ""))
            return ToolResultContent(block["tool_use_id"], "", text, block.get("is_error", False))
        case kind:
            raise ValueError(f"{kind!r} is no block that a server would take: {block!r}.")


def _read_source(source: Mapping[str, Any]) -> FileContent:
    match source["type"]:
        case "base64":
            return FileContent(
                f"data:{source['media_type']};base64,{source['data']}",
                source["media_type"],
            )
        case "text":
            return FileContent(f"data:text/plain,{source['data']}", "text/plain")
        case "url":
            return FileContent(source["url"], "")
        case kind:
            raise ValueError(f"{kind!r} is no source.")
