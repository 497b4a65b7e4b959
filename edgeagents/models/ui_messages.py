"""Messages of a browser's ``useChat`` as a model reads them.

There a tool's answer stands in the assistant's message, in the part that made the call; for a model it is a message
of its own. ``convert_to_model_messages`` takes them apart. A browser's names, camelCase ones, are known here only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from edgeagents.models.messages import (
    Content,
    FileContent,
    Message,
    ReasoningContent,
    Role,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    read_message,
)

__all__ = ["ConvertDataPart", "convert_to_model_messages"]

UIPart: TypeAlias = Mapping[str, Any]

ConvertDataPart: TypeAlias = Callable[[UIPart], str | TextContent | FileContent | None]
"""Says what a model reads of a ``data-...`` part; None when nothing."""

DENIED = "Tool call execution denied."


def convert_to_model_messages(
    ui_messages: Iterable[Mapping[str, Any]], *, convert_data_part: ConvertDataPart | None = None
) -> tuple[Message, ...]:
    """Return what a model is told of the messages of a browser's ``useChat``: the ``messages`` of ``stream_text``.

    A model is never shown a call without an answer, which providers refuse: calls that wait for a client or for a
    decision are left out. A call that was denied has that for an answer. One that was allowed and has not been made
    yet stands without an answer, and only at the end of the conversation, where it can still be made.

    Left out too: step marks, sources, calls that the provider answered by itself, and ``data-...`` parts unless
    ``convert_data_part`` makes something of them.

    What stands in the messages is believed: a call that they say was allowed is made by ``stream_text``. Give it a
    conversation that the server keeps, as an ``AIChatAgent`` does, and not one that a browser sent. Raises ValueError
    for a role that no browser has.
    """
    messages = list(ui_messages)
    found: list[Message] = []
    for index, message in enumerate(messages):
        role, parts = message.get("role"), message.get("parts")
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"messages[{index}] has the role {role!r}; a browser's roles are system, user, assistant.")
        if not isinstance(parts, list):
            # What an older client sends, or a program wrote by hand.
            found.append(read_message(message, f"messages[{index}]"))
            continue
        reader = _Reader(role, convert_data_part, is_last=index == len(messages) - 1)
        found.extend(reader.read(_objects(parts)))
    return tuple(found)


def _objects(value: Any) -> Iterator[UIPart]:
    for each in cast("list[Any]", value) if isinstance(value, list) else ():
        if isinstance(each, dict):
            yield cast("UIPart", each)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class _Reader:
    """Reads one message. Each step of an assistant that called tools becomes two messages."""

    def __init__(self, role: Role, convert_data_part: ConvertDataPart | None, *, is_last: bool) -> None:
        self._role: Role = role
        self._convert_data_part = convert_data_part
        self._is_last = is_last
        self._said: list[Content] = []
        self._answered: list[Content] = []

    def read(self, parts: Iterable[UIPart]) -> Iterator[Message]:
        for part in parts:
            kind = part.get("type")
            if not isinstance(kind, str):
                continue
            if kind == "step-start":
                if self._answered:
                    yield from self._flush()
            elif kind == "steering-message":
                # What a person said between two steps of the answer.
                yield from self._flush()
                yield from _Reader("user", self._convert_data_part, is_last=False).read(_objects(part.get("parts")))
            elif kind.startswith("tool-") or kind == "dynamic-tool":
                # Only an assistant calls tools; the parts of others come from clients, who may say anything.
                if self._role == "assistant":
                    self._add_call(part, part.get("toolName") or kind.removeprefix("tool-"))
            else:
                content = self._content(kind, part)
                if content is not None:
                    self._said.append(content)
        yield from self._flush()

    def _flush(self) -> Iterator[Message]:
        if self._said:
            yield Message(self._role, tuple(self._said))
        if self._answered:
            yield Message("tool", tuple(self._answered))
        self._said, self._answered = [], []

    def _content(self, kind: str, part: UIPart) -> Content | None:
        text = _text(part.get("text"))
        if kind == "text":
            return TextContent(text) if text else None
        if kind == "reasoning":
            metadata = part.get("providerMetadata")
            # Without words but with a signature: thoughts that are hidden, which the provider wants to see again.
            is_thought = self._role == "assistant" and (text or metadata)
            return ReasoningContent(text or "", metadata) if is_thought else None
        if kind == "file":
            url, media_type = part.get("url"), _text(part.get("mediaType")) or "text/plain"
            return FileContent(url, media_type, _text(part.get("filename"))) if isinstance(url, str) else None
        if kind.startswith("data-") and self._convert_data_part is not None:
            made = self._convert_data_part(part)
            return TextContent(made) if isinstance(made, str) else made
        return None

    def _add_call(self, part: UIPart, name: str) -> None:
        id, state = part.get("toolCallId"), part.get("state")
        if not isinstance(id, str) or part.get("providerExecuted"):
            return
        approval = cast("Mapping[str, Any]", part.get("approval") or {})
        call = ToolCallContent(id, name, part.get("input") if part.get("input") is not None else part.get("rawInput"))
        if state == "output-available":
            answer = ToolResultContent(id, name, part.get("output"))
        elif state == "output-error":
            answer = ToolResultContent(id, name, part.get("errorText") or "The tool failed.", is_error=True)
        elif state == "output-denied" or (state == "approval-responded" and approval.get("approved") is False):
            answer = ToolResultContent(id, name, approval.get("reason") or DENIED, is_error=True)
        elif state == "approval-responded" and self._is_last:
            self._said.append(call)
            return
        else:
            return
        self._said.append(call)
        self._answered.append(answer)
