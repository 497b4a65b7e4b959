"""What becomes of a tool call after the stream that made it: a client's answer, a person's decision, a late output.

Functions from a message to its new form. They return None when nothing changes: the call is not there, it is not
waiting, or it has its answer already (the first one stays). Callers then write nothing and tell nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias, cast

from edgeagents.agents.chat.ui import (
    PENDING,
    TERMINAL,
    Chunk,
    Part,
    UIMessage,
    is_settled,
    is_tool_part,
    last_assistant,
    tool_name,
)

__all__ = [
    "IsOwnTool",
    "apply_tool_approval",
    "apply_tool_output",
    "apply_tool_result",
    "decided",
    "has_pending_interaction",
    "is_batch_incomplete",
    "part_awaits_client",
    "takes_result",
]

_ANSWERABLE = frozenset({"input-available", "approval-requested", "approval-responded"})
_ASKING = frozenset({"approval-requested"})

IsOwnTool: TypeAlias = Callable[[str], bool]
"""Says whether the server runs the tool of this name itself."""


def takes_result(part: Part, is_own_tool: IsOwnTool, *, failed: bool) -> bool:
    """Whether a client may answer this call.

    It may when it is a tool of the client's. Of a tool that the server runs it may only say, in words, that a call
    which waits for leave is not to be made.
    """
    state = part.get("state")
    if state == "approval-requested" and failed:
        return True
    return state in _ANSWERABLE and not is_own_tool(tool_name(part) or "")


def decided(part: Part, approved: bool) -> Part:
    """Return ``part`` with a person's decision. A call that is refused has its answer with that."""
    approval = part.get("approval")
    known = cast("dict[str, Any]", approval) if isinstance(approval, dict) else {}
    id = known.get("id")
    state = "approval-responded" if approved else "output-denied"
    approval = {**known, "id": id if isinstance(id, str) else part["toolCallId"], "approved": approved}
    return {**part, "state": state, "approval": approval}


def apply_tool_result(
    message: UIMessage,
    tool_call_id: str,
    output: Any,
    *,
    failed: bool = False,
    error_text: str | None = None,
    is_own_tool: IsOwnTool = lambda name: False,
) -> UIMessage | None:
    """Return ``message`` with what a client's tool answered, or None. With ``failed`` there is no output.

    The result of a tool that the server runs is not a client's to say: see ``takes_result``.
    """

    def settle(part: Part) -> Part:
        if not takes_result(part, is_own_tool, failed=failed):
            return part
        if failed:
            text = "Tool execution denied by user" if error_text is None else error_text
            return {**part, "state": "output-error", "errorText": text}
        return {**part, "state": "output-available", "output": output, "preliminary": False}

    return _change(message, tool_call_id, _ANSWERABLE, settle)


def apply_tool_approval(message: UIMessage, tool_call_id: str, approved: bool) -> UIMessage | None:
    """Return ``message`` with a person's decision, or None. Only a call that asked for leave is decided on."""
    return _change(message, tool_call_id, _ASKING, lambda part: decided(part, approved))


def apply_tool_output(message: UIMessage, chunk: Chunk) -> UIMessage | None:
    """Return ``message`` with the output that a later turn's stream has for a call of it, or None.

    ``chunk`` is a ``tool-output-available`` or ``tool-output-error``. So does an approved tool answer: it was called
    in one message and is run in the stream of the next.
    """

    def settle(part: Part) -> Part:
        if is_settled(part):
            return part
        if chunk["type"] == "tool-output-error":
            return {**part, "state": "output-error", "errorText": chunk.get("errorText")}
        settled = {**part, "state": "output-available", "output": chunk.get("output")}
        settled.pop("preliminary", None)
        return {**settled, "preliminary": chunk["preliminary"]} if "preliminary" in chunk else settled

    states = _ANSWERABLE | TERMINAL | {"input-streaming"}
    return _change(message, chunk["toolCallId"], states, settle)


def _change(
    message: UIMessage, tool_call_id: str, states: Collection[str], change: Callable[[Part], Part]
) -> UIMessage | None:
    parts: list[Part] = message["parts"]
    # All parts with this id: transcripts that were kept long ago hold some calls twice.
    changed = [change(p) if p.get("toolCallId") == tool_call_id and p.get("state") in states else p for p in parts]
    if all(new is old for new, old in zip(changed, parts, strict=True)):
        return None
    return {**message, "parts": changed}


def has_pending_interaction(message: Mapping[str, Any]) -> bool:
    """Whether a call of ``message`` waits for an answer or a decision."""
    return any(is_tool_part(part) and part.get("state") in PENDING for part in message["parts"])


def part_awaits_client(part: Mapping[str, Any], client_tools: Collection[str]) -> bool:
    """Whether only a client can settle this part: with a decision, or as a tool of its own.

    A call of the server's own tool that was never answered is not waited for: who ran it is gone.
    """
    state = part.get("state")
    return state == "approval-requested" or (state == "input-available" and tool_name(part) in client_tools)


def is_batch_incomplete(messages: Iterable[UIMessage]) -> bool:
    """Whether the newest assistant message made several calls and has the answers to some only.

    It must not be continued yet: the model would be shown calls without an answer.
    """
    message = last_assistant(messages)
    states = [] if message is None else [part.get("state") for part in message["parts"] if is_tool_part(part)]
    settled = any(state in TERMINAL or state == "approval-responded" for state in states)
    return settled and any(state in PENDING for state in states)
