"""Pruning: a conversation without what a model need not read again, such as old calls of tools and old thoughts.

The arguments are those of the AI SDK's ``pruneMessages`` in snake_case. A call and its result stay or go together, for
providers refuse one without the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from edgeagents.models.messages import (
    Content,
    Message,
    MessageLike,
    ReasoningContent,
    ToolCallContent,
    ToolResultContent,
    read_message,
)

__all__ = ["prune_messages"]

ToolCallRule: TypeAlias = Mapping[str, Any]
"""``{"type": "before-last-2-messages", "tools": ["search"]}``; without ``tools`` it is about all of them."""

_BEFORE = re.compile(r"before-last-(?:message|([1-9]\d*)-messages)")


def prune_messages(
    messages: Iterable[MessageLike],
    *,
    reasoning: Literal["all", "before-last-message", "none"] = "none",
    tool_calls: str | Sequence[ToolCallRule] = (),
    empty_messages: Literal["keep", "remove"] = "remove",
) -> tuple[Message, ...]:
    """Return ``messages`` without old thoughts and old calls of tools: what ``stream_text`` takes as ``messages``.

    ``reasoning`` says whose thoughts go: those of ``"all"`` messages, of those ``"before-last-message"``, or of
    ``"none"``. ``tool_calls`` says it of calls and their results, and may be ``"before-last-3-messages"`` too: what
    belongs to a call or a result in the messages that are kept stays. A list of rules applies to some tools only:
    ``[{"type": "all", "tools": ["search"]}]``. Messages in which nothing is left go, unless they are to be kept.
    """
    found = [read_message(message, f"messages[{i}]") for i, message in enumerate(messages)]
    if reasoning not in ("all", "before-last-message", "none"):
        raise ValueError(f"reasoning is 'all', 'before-last-message' or 'none', not {reasoning!r}.")
    if reasoning != "none":
        last = len(found) - 1 if reasoning == "before-last-message" else len(found)
        found = [_without_thoughts(message) if i < last else message for i, message in enumerate(found)]
    for rule in _rules(tool_calls):
        found = _without_calls(found, rule)
    if empty_messages == "remove":
        found = [message for message in found if message.content]
    return tuple(found)


def _rules(tool_calls: str | Sequence[ToolCallRule]) -> Sequence[ToolCallRule]:
    if isinstance(tool_calls, str):
        return () if tool_calls == "none" else ({"type": tool_calls},)
    return tool_calls


def _kept_at_the_end(kind: object) -> int:
    if kind == "all":
        return 0
    if isinstance(kind, str) and (match := _BEFORE.fullmatch(kind)) is not None:
        return int(match[1] or 1)
    raise ValueError(
        f"tool_calls is 'all', 'none', 'before-last-message', 'before-last-<number>-messages', not {kind!r}."
    )


def _without_thoughts(message: Message) -> Message:
    if message.role != "assistant":
        return message
    return replace(message, content=tuple(part for part in message.content if not isinstance(part, ReasoningContent)))


def _without_calls(messages: list[Message], rule: ToolCallRule) -> list[Message]:
    first_kept = max(len(messages) - _kept_at_the_end(rule.get("type")), 0)
    tools: Sequence[str] | None = rule.get("tools")
    kept_ids = {
        part.tool_call_id
        for message in messages[first_kept:]
        for part in message.content
        if isinstance(part, ToolCallContent | ToolResultContent)
    }

    def stays(part: Content) -> bool:
        if not isinstance(part, ToolCallContent | ToolResultContent):
            return True
        return part.tool_call_id in kept_ids or (tools is not None and part.tool_name not in tools)

    return [
        message if i >= first_kept else replace(message, content=_kept(message.content, [*map(stays, message.content)]))
        for i, message in enumerate(messages)
    ]


def _kept(content: tuple[Content, ...], stays: list[bool]) -> tuple[Content, ...]:
    """Return the parts that stay. A thought goes with what it led to, when nothing of that is left."""
    led_to: list[bool] = []
    for at in reversed(range(len(content))):
        if isinstance(content[at], ReasoningContent):
            if led_to and not any(led_to):
                stays[at] = False
            if at and not isinstance(content[at - 1], ReasoningContent):
                led_to = []
        else:
            led_to.append(stays[at])
    return tuple(part for part, is_kept in zip(content, stays, strict=True) if is_kept)
