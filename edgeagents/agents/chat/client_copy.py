"""What counts of the conversation that a client sends.

A client sends its copy of the whole conversation with every request. What it says is its own; what the assistant said
and did is the server's, who has it in its rows. So nothing that a client sends makes one of the server's tools run,
or tells a model another outcome than there was:

* **The user's messages** are taken as they come, also changed ones. There are no calls of tools in them.
* **An assistant's message that the server has** is as the server has it. Of the client's copy come answers that calls
  wait for: a decision on one that asks for leave, the result of a tool that the client runs. What is called, and with
  what, is never the client's to say. A client that sets messages, and asks for nothing, may change what was said.
* **An assistant's message that the server does not have**, such as one of a conversation that began elsewhere, is
  kept without its calls. It is something that was said.
* **System messages** are the program's. A client's are left out.

A decision or a result that comes in a frame of its own is held to the same rules, in ``tool_state``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from edgeagents.agents.chat.reconcile import Sanitize, match_rows
from edgeagents.agents.chat.tool_state import IsOwnTool, decided, takes_result
from edgeagents.agents.chat.ui import Part, UIMessage, is_tool_part, tool_name

__all__ = ["admit"]


def admit(
    incoming: Sequence[UIMessage],
    rows: Sequence[UIMessage],
    sanitize: Sanitize = lambda message: message,
    *,
    is_own_tool: IsOwnTool = lambda name: False,
    may_edit: bool = False,
) -> list[UIMessage]:
    """Return what counts of ``incoming``, which a client sent, where the server has ``rows``.

    ``is_own_tool`` says whether the server runs a tool itself: no client answers for one. With ``may_edit`` what an
    assistant said may be changed, though not what it did.
    """
    known = {row["id"]: row for row in rows}
    admitted: list[UIMessage] = []
    for message in match_rows(incoming, rows, sanitize):
        row = known.get(message["id"])
        kept = _new(message) if row is None else _known(message, row, is_own_tool, may_edit)
        if kept is not None:
            admitted.append(kept)
    return admitted


def _new(message: UIMessage) -> UIMessage | None:
    if message["role"] == "system":
        return None
    said = _without_calls(message)
    if message["role"] == "assistant" and all(part["type"] == "step-start" for part in said["parts"]):
        return None
    return said


def _known(message: UIMessage, row: UIMessage, is_own_tool: IsOwnTool, may_edit: bool) -> UIMessage:
    if message["role"] != row["role"] or row["role"] == "system":
        return row
    if row["role"] == "user":
        return _without_calls(message)
    told = {part["toolCallId"]: part for part in message["parts"] if isinstance(part.get("toolCallId"), str)}
    parts: list[Part] = row["parts"]
    answered = [_answered(part, told[id], is_own_tool) if (id := _call_id(part)) in told else part for part in parts]
    if may_edit:
        return {**message, "parts": _edited(message["parts"], answered)}
    if all(new is old for new, old in zip(answered, parts, strict=True)):
        return row
    return {**row, "parts": answered}


def _edited(parts: Sequence[Part], answered: Sequence[Part]) -> list[Part]:
    """Return the client's ``parts`` with the calls that the server has, each once, in the place of the client's."""
    calls = [part for part in answered if _is_call(part)]
    edited: list[Part] = []
    for part in parts:
        if not _is_call(part):
            edited.append(part)
            continue
        call = next((each for each in calls if _call_id(each) == part.get("toolCallId")), None)
        if call is not None:
            calls.remove(call)
            edited.append(call)
    return edited


def _answered(part: Part, told: Part, is_own_tool: IsOwnTool) -> Part:
    """Return the server's ``part`` with the answer that the client's copy of it has, if it waits for such a one."""
    if not _is_call(part) or tool_name(part) != tool_name(told):
        return part
    state = told.get("state")
    if part.get("state") == "approval-requested" and state in ("approval-responded", "output-denied"):
        asked, said = _object(part.get("approval")), _object(told.get("approval"))
        approved = said.get("approved")
        if isinstance(approved, bool) and said.get("id") == asked.get("id"):
            return decided(part, approved and state == "approval-responded")
    elif state == "output-available" and takes_result(part, is_own_tool, failed=False):
        return {**part, "state": state, "output": told.get("output")}
    elif state == "output-error" and takes_result(part, is_own_tool, failed=True):
        text = told.get("errorText")
        return {**part, "state": state, "errorText": text if isinstance(text, str) else "The tool failed."}
    return part


def _without_calls(message: UIMessage) -> UIMessage:
    parts: list[Part] = message["parts"]
    said = [part for part in parts if not _is_call(part)]
    return message if len(said) == len(parts) else {**message, "parts": said}


def _is_call(part: Mapping[str, Any]) -> bool:
    return is_tool_part(part) or "toolCallId" in part


def _call_id(part: Mapping[str, Any]) -> str | None:
    id = part.get("toolCallId")
    return id if isinstance(id, str) else None


def _object(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
