"""Messages in the forms that older clients send, and that older transcripts hold, as messages of today.

Known are the AI SDK's version 4 (``content``, ``reasoning``, ``toolInvocations``, ``experimental_attachments``, the
role ``data``, and its own kinds of parts) and messages of model providers whose ``content`` is a list. Messages of
today pass, with the input of their calls made an object: providers refuse a conversation in which one is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from edgeagents.agents.chat.ui import Part, UIMessage, is_message, is_tool_part, normalize_tool_input
from edgeagents.agents.protocol import encode

__all__ = ["read_message", "read_messages"]

_STATES = {
    "partial-call": "input-streaming",
    "call": "input-available",
    "result": "output-available",
    "error": "output-error",
}


def read_messages(values: Iterable[Any]) -> list[UIMessage]:
    """Return the messages that ``values`` are. What is none in any known form is left out."""
    found = (read_message(value, index) for index, value in enumerate(values))
    return [message for message in found if message is not None]


def read_message(value: Any, index: int = 0) -> UIMessage | None:
    """Return the message that ``value`` is, or None. One of today's form is returned itself if nothing is amiss.

    ``index`` is its place among others: a message of an old form that has no id is named by it.
    """
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, Any]", value)
    parts = given.get("parts")
    message = _read_parts(given, cast("list[Any]", parts)) if isinstance(parts, list) else _read_content(given, index)
    return message if is_message(message) else None


def _read_parts(message: dict[str, Any], parts: list[Any]) -> dict[str, Any]:
    kept = [each for part in parts if (each := _read_part(part)) is not None]
    if message.get("role") == "data":
        message = {**message, "role": "system"}
    if len(kept) == len(parts) and all(new is old for new, old in zip(kept, parts, strict=True)):
        return message
    return {**message, "parts": kept}


def _read_part(part: Any) -> Part | None:
    if not isinstance(part, dict):
        return None
    found = cast("Part", part)
    kind = found.get("type")
    if not isinstance(kind, str):
        return None
    if kind == "tool-invocation" and isinstance(found.get("toolInvocation"), dict):
        return _call(found["toolInvocation"])
    if kind == "reasoning" and "text" not in found and isinstance(found.get("reasoning"), str):
        return {"type": "reasoning", "text": found["reasoning"]}
    if kind == "source" and isinstance(found.get("source"), dict):
        source = found["source"]
        title = {"title": source["title"]} if source.get("title") else {}
        return {"type": "source-url", "sourceId": source.get("id"), "url": source.get("url"), **title}
    if kind == "file" and "url" not in found and isinstance(found.get("data"), str):
        return _file(found)
    if is_tool_part(found):
        input = found.get("input")
        return found if isinstance(input, dict) else {**found, "input": normalize_tool_input(input)}
    return found


def _read_content(message: Mapping[str, Any], index: int) -> dict[str, Any]:
    role = message.get("role") or "user"
    more = {"metadata": message["metadata"]} if message.get("metadata") is not None else {}
    parts = [*_parts_of_content(message)] or [{"type": "text", "text": encode(message)}]
    id = message.get("id") or f"msg-{index}"
    return {"id": id, "role": "system" if role == "data" else role, **more, "parts": parts}


def _parts_of_content(message: Mapping[str, Any]) -> Iterator[Part]:
    if isinstance(message.get("reasoning"), str) and message["reasoning"]:
        yield {"type": "reasoning", "text": message["reasoning"]}
    calls = list(_objects(message.get("toolInvocations")))
    for call in calls:
        if "toolName" in call:
            yield _call(call)
    for attachment in _objects(message.get("experimental_attachments")):
        if isinstance(attachment.get("url"), str):
            yield _file({**attachment, "mediaType": attachment.get("contentType"), "filename": attachment.get("name")})
    content = message.get("content")
    if isinstance(content, list):
        for item in _objects(cast("Any", content)):
            if "text" in item:
                yield {"type": item.get("type") or "text", "text": item["text"] or ""}
    elif isinstance(content, str):
        # A message that was nothing but calls had an empty text beside them.
        if content or not calls:
            yield {"type": "text", "text": content}
    elif content is not None:
        yield {"type": "text", "text": encode(content)}


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for item in cast("list[Any]", value) if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield cast("dict[str, Any]", item)


def _call(call: Mapping[str, Any]) -> Part:
    state = _STATES.get(str(call.get("state")), "input-available")
    part: Part = {
        "type": f"tool-{call.get('toolName')}",
        "toolCallId": call.get("toolCallId"),
        "state": state,
        "input": normalize_tool_input(call.get("args")),
    }
    result = call.get("result")
    if state == "output-error":
        part["errorText"] = result if isinstance(result, str) else "The tool failed."
    elif state == "output-available":
        part["output"] = result
    return part


def _file(part: Mapping[str, Any]) -> Part:
    media_type = part.get("mediaType") or part.get("mimeType")
    url = part.get("url") or f"data:{media_type};base64,{part.get('data')}"
    name = {"filename": part["filename"]} if part.get("filename") else {}
    return {"type": "file", "url": url, "mediaType": media_type, **name}
