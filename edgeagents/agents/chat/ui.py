"""UI messages: the JSON objects that a browser's ``useChat`` shows and that a chat keeps.

A message is ``{"id", "role", "parts", "metadata"?}``, a part is an object with a ``type``. This file names them and
answers what all of chat asks of a part; how parts come to be is ``message_builder``'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard, cast

from edgeagents.agents.protocol import decode

__all__ = [
    "PENDING",
    "TERMINAL",
    "Chunk",
    "Part",
    "UIMessage",
    "is_id",
    "is_message",
    "is_settled",
    "is_tool_part",
    "last_assistant",
    "message_of_call",
    "normalize_tool_input",
    "tool_calls",
    "tool_name",
]

UIMessage: TypeAlias = dict[str, Any]
Part: TypeAlias = dict[str, Any]
Chunk: TypeAlias = dict[str, Any]
"""One step of a message that is being made, as the AI SDK's UI message stream has it."""

TERMINAL = frozenset({"output-available", "output-error", "output-denied"})
"""The states of a tool part that has its answer."""

PENDING = frozenset({"input-available", "approval-requested"})
"""The states of a tool part that waits for somebody."""

_ROLES = ("system", "user", "assistant")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def is_message(value: object) -> TypeGuard[UIMessage]:
    """Whether ``value`` can be kept as a message: an id, a role that a browser knows, and a list of parts."""
    if not isinstance(value, dict):
        return False
    found = cast("dict[str, Any]", value)
    id, parts = found.get("id"), found.get("parts")
    return is_id(id) and found.get("role") in _ROLES and isinstance(parts, list)


def is_id(value: object) -> TypeGuard[str]:
    """Whether ``value`` can be kept as an id that somebody chose: text, not empty, of characters that there are."""
    return isinstance(value, str) and value != "" and (value.isascii() or not _SURROGATE.search(value))


def is_tool_part(part: Mapping[str, Any]) -> bool:
    """Whether ``part`` is a call of a tool, be its name in the type or beside it."""
    kind = part.get("type")
    return isinstance(kind, str) and (kind.startswith("tool-") or kind == "dynamic-tool")


def tool_name(part: Mapping[str, Any]) -> str | None:
    """Return the name of the tool that ``part`` calls, or None when it is no call."""
    if not is_tool_part(part):
        return None
    name = part.get("toolName")
    if isinstance(name, str) and name:
        return name
    kind: str = part["type"]
    return None if kind == "dynamic-tool" else kind.removeprefix("tool-")


def is_settled(part: Mapping[str, Any]) -> bool:
    """Whether this tool part has its last answer. A preliminary output is followed by another."""
    return part.get("state") in TERMINAL and not part.get("preliminary")


def tool_calls(message: Mapping[str, Any]) -> list[Part]:
    """Return the parts of ``message`` that belong to a call of a tool."""
    return [part for part in message["parts"] if isinstance(part.get("toolCallId"), str)]


def last_assistant(messages: Iterable[UIMessage]) -> UIMessage | None:
    """Return the newest message of the assistant."""
    return next((each for each in reversed(list(messages)) if each["role"] == "assistant"), None)


def message_of_call(messages: Iterable[UIMessage], tool_call_id: str) -> UIMessage | None:
    """Return the assistant's message that makes this call; the newest, where a provider used the id twice."""
    for message in reversed(list(messages)):
        if message["role"] == "assistant" and any(p.get("toolCallId") == tool_call_id for p in message["parts"]):
            return message
    return None


def normalize_tool_input(value: Any) -> dict[str, Any]:
    """Return the input of a call as an object, as providers demand when they are shown it again.

    Text that holds a JSON object is read. Anything else that is no object becomes an empty one: a list, null, text.
    """
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return (decode(value) if isinstance(value, str) else None) or {}
