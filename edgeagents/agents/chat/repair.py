"""Calls of tools that will never be answered: providers refuse a conversation that holds one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgeagents.agents.chat.ui import Part, UIMessage, is_tool_part, normalize_tool_input

__all__ = ["interrupted_part", "repair_interrupted"]

_SETTLED = frozenset({"output-available", "output-error", "output-denied"})


def interrupted_part(part: Part) -> Part:
    """Return ``part`` as a call that failed, with words that tell a model why."""
    if part.get("state") == "approval-responded":
        text = "The tool call was approved but did not run before the next turn started."
    else:
        text = "The tool call was interrupted before a result was recorded."
    return {**part, "state": "output-error", "errorText": text}


def repair_interrupted(
    messages: Sequence[UIMessage],
    repair: Callable[[Part], Part],
    *,
    is_waited_for: Callable[[Part], bool],
    repairs_approved: bool,
) -> list[UIMessage]:
    """Return the messages that hold calls nobody will answer any more, with these repaired.

    ``is_waited_for`` tells a call that a client may still answer. One that was approved runs in the next continuation:
    with ``repairs_approved`` none will come, and it is repaired where a later message follows.
    """
    changed: list[UIMessage] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or not any("toolCallId" in part for part in message["parts"]):
            continue
        keeps_approved = not repairs_approved or index == len(messages) - 1
        parts = [_repaired(part, repair, is_waited_for, keeps_approved) for part in message["parts"]]
        if any(new is not old for new, old in zip(parts, message["parts"], strict=True)):
            changed.append({**message, "parts": parts})
    return changed


def _repaired(
    part: Part, repair: Callable[[Part], Part], is_waited_for: Callable[[Part], bool], keeps_approved: bool
) -> Part:
    if not is_tool_part(part) or not part.get("toolCallId"):
        return part
    given: Any = part.get("input")
    is_settled = part.get("state") in _SETTLED or "output" in part
    if not is_settled:
        if part.get("state") == "approval-responded":
            if keeps_approved:
                return part
            if (part.get("approval") or {}).get("approved") is False:
                return {**part, "input": normalize_tool_input(given), "state": "output-denied"}
        if is_waited_for(part):
            return part
        return repair({**part, "input": normalize_tool_input(given)})
    return part if isinstance(given, dict) or "input" not in part else {**part, "input": normalize_tool_input(given)}
