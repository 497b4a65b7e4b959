"""Messages: what a model is told, read from the shapes that a program writes.

A program gives ``prompt="..."`` or a list of ``{"role": ..., "content": ...}``; here they become values that every
provider can turn into its own form. What a browser's ``useChat`` sends is
read in ``ui_messages``.

Nothing here knows a provider.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from edgeagents.models.parts import Json

__all__ = [
    "Content",
    "FileContent",
    "Message",
    "MessageLike",
    "ReasoningContent",
    "Role",
    "TextContent",
    "ToolCallContent",
    "ToolResultContent",
    "message_from_json",
    "message_to_json",
    "output_text",
    "read_message",
    "read_messages",
]

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class TextContent:
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningContent:
    """What the model thought before it answered.

    ``provider_metadata`` is what the provider wants to see again with it, such as a signature.
    """

    text: str
    provider_metadata: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class FileContent:
    """An image or another file. ``url`` may be a data URL."""

    url: str
    media_type: str
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallContent:
    """A tool that the model called."""

    tool_call_id: str
    tool_name: str
    input: Json


@dataclass(frozen=True, slots=True)
class ToolResultContent:
    """What a tool answered; ``is_error`` when ``output`` says why it failed."""

    tool_call_id: str
    tool_name: str
    output: Json
    is_error: bool = False


Content: TypeAlias = TextContent | ReasoningContent | FileContent | ToolCallContent | ToolResultContent


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: tuple[Content, ...]

    @property
    def text(self) -> str:
        """All text of this message."""
        return "".join(part.text for part in self.content if isinstance(part, TextContent))


MessageLike: TypeAlias = Message | Mapping[str, Any]

_CONTENT: dict[str, type[Content]] = {
    "text": TextContent,
    "reasoning": ReasoningContent,
    "file": FileContent,
    "tool-call": ToolCallContent,
    "tool-result": ToolResultContent,
}


def read_messages(
    prompt: str | Sequence[MessageLike] | None = None,
    messages: Iterable[MessageLike] | None = None,
    system: str | None = None,
) -> tuple[Message, ...]:
    """Return the conversation that these arguments of ``stream_text`` mean.

    Exactly one of ``prompt`` and ``messages`` must be given, and not empty. Raises ValueError otherwise, or when
    a message cannot be read.
    """
    if (prompt is None) == (messages is None):
        raise ValueError("stream_text takes either prompt=... or messages=..., and needs one of them.")
    if isinstance(prompt, str):
        found = [Message("user", (TextContent(prompt),))]
    else:
        given = prompt if prompt is not None else messages or ()
        found = [read_message(message, f"messages[{i}]") for i, message in enumerate(given)]
    if not found:
        raise ValueError("messages is empty: a model needs at least one message to answer.")
    if system:
        found.insert(0, Message("system", (TextContent(system),)))
    return tuple(found)


def read_message(message: MessageLike, where: str) -> Message:
    """Return the one message that ``message`` means. Raises ValueError, which calls it ``where``."""
    if isinstance(message, Message):
        return message
    if not isinstance(cast(object, message), Mapping):
        raise ValueError(f"{where} is {type(message).__name__}; a message is a dict with 'role' and 'content'.")
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise ValueError(f"{where} has the role {role!r}; a role is one of {', '.join(_ROLES)}.")
    if isinstance(content, str):
        return Message(role, (TextContent(content),))
    if not isinstance(content, (list, tuple)):
        raise ValueError(f"{where} has no content; it is a string or a list of parts.")
    parts = cast("Sequence[Any]", content)
    return Message(role, tuple(_read_content(part, f"{where}.content[{i}]") for i, part in enumerate(parts)))


def _read_content(part: Any, where: str) -> Content:
    if isinstance(part, (TextContent, ReasoningContent, FileContent, ToolCallContent, ToolResultContent)):
        return part
    if not isinstance(part, Mapping):
        raise ValueError(f"{where} is {type(part).__name__}; a part is a dict with a 'type'.")
    values = {str(key): value for key, value in cast("Mapping[Any, Any]", part).items()}
    kind = values.pop("type", None)
    if kind in ("image", "file"):
        return _read_file(values, kind, where)
    if kind not in _CONTENT:
        raise ValueError(f"{where} has the type {kind!r}; known are {', '.join(sorted({*_CONTENT, 'image'}))}.")
    names = cast("dict[str, object]", getattr(_CONTENT[kind], "__dataclass_fields__"))  # noqa: B009
    try:
        return _CONTENT[kind](**{name: value for name, value in values.items() if name in names})
    except TypeError:
        raise ValueError(f"{where} of type {kind!r} needs the fields {', '.join(names)}.") from None


def _read_file(values: Mapping[str, Any], kind: str, where: str) -> FileContent:
    data = values.get("url") or values.get("data") or values.get(kind)
    media_type = values.get("media_type") or ("image/png" if kind == "image" else None)
    if isinstance(data, (bytes, bytearray)):
        media_type = media_type or "application/octet-stream"
        data = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    if not isinstance(data, str):
        raise ValueError(f"{where} has no data; a file has 'url' or 'data', which is a URL or bytes.")
    if media_type is None:
        media_type = data[5:].split(";", 1)[0].split(",", 1)[0] if data.startswith("data:") else "text/plain"
    return FileContent(data, media_type, values.get("filename"))


def message_to_json(message: Message) -> dict[str, Json]:
    """Return ``message`` in the shape that ``read_messages`` reads."""
    names = {kind: name for name, kind in _CONTENT.items()}
    content: list[Json] = []
    for part in message.content:
        fields = {name: getattr(part, name) for name in type(part).__dataclass_fields__}
        content.append({"type": names[type(part)], **fields})
    return {"role": message.role, "content": content}


def message_from_json(data: Mapping[str, Json]) -> Message:
    """Return the message that ``message_to_json`` wrote."""
    return read_message(data, "message")


def output_text(output: Json) -> str:
    """Return what a tool answered as the text that a model reads."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
