"""Calls of tools that will never be answered: providers refuse a conversation that holds one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, cast

from edgeagents.agents.chat.ui import (
    Part,
    UIMessage,
    is_tool_part,
    normalize_tool_input,
    tool_calls,
)

__all__ = ["approved_calls", "interrupted_part", "repair_begun", "repair_interrupted"]

MAY_HAVE_RUN = "The turn ended while this tool ran. Whether it had an effect is not known."
"""What a model is told of a call that may have been made. It is the one answer that never does a thing twice."""

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


def approved_calls(messages: Sequence[UIMessage]) -> list[str]:
    """Return the ids of the calls that have leave and no answer, at the end of the conversation."""
    if not messages or messages[-1]["role"] != "assistant":
        return []
    return [part["toolCallId"] for part in tool_calls(messages[-1]) if _has_leave(part)]


def repair_begun(messages: Iterable[UIMessage], begun: Collection[str]) -> list[UIMessage]:
    """Return the messages that hold calls which may have been made in a turn that did not end, with these answered.

    Leave was given for once: such a call is not made again.
    """
    changed: list[UIMessage] = []
    for message in messages:
        if any(_has_leave(part) and part["toolCallId"] in begun for part in tool_calls(message)):
            parts = [
                {**part, "state": "output-error", "errorText": MAY_HAVE_RUN}
                if _has_leave(part) and part.get("toolCallId") in begun
                else part
                for part in message["parts"]
            ]
            changed.append({**message, "parts": parts})
    return changed


def _has_leave(part: Part) -> bool:
    approval: Any = part.get("approval")
    is_denied = isinstance(approval, dict) and cast("dict[str, Any]", approval).get("approved") is False
    return part.get("state") == "approval-responded" and not is_denied
