"""A conversation as an agent of Pydantic AI is given it: history, prompt, and what was decided about its calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic_ai import BinaryContent, DocumentUrl, ImageUrl, UserContent
from pydantic_ai.messages import (
    AudioUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.tools import DeferredToolResults

from edgeagents.models import Message, convert_to_model_messages
from edgeagents.models.messages import (
    Content,
    FileContent,
    MessageLike,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    read_messages,
)

__all__ = ["MARK", "Conversation", "conversation_of", "read_conversation"]

MARK = "pydantic_ai"
"""The name under which a part's ``provider_metadata`` holds what an agent wants to see again."""

_URLS = {"image": ImageUrl, "audio": AudioUrl, "video": VideoUrl}


@dataclass(frozen=True, slots=True)
class Conversation:
    """What an agent is run with. ``decided`` allows the calls that the history leaves without an answer."""

    prompt: list[UserContent] | None
    history: list[ModelMessage]
    system: str = ""
    decided: DeferredToolResults | None = None
    resumed: frozenset[str] = field(default_factory=frozenset[str])


def read_conversation(messages: str | Iterable[MessageLike]) -> Conversation:
    """Return the conversation of a prompt, of messages for ``stream_text``, or of a browser's ``useChat``."""
    if isinstance(messages, str):
        return conversation_of(read_messages(messages))
    given = list(messages)
    if any(isinstance(each, Mapping) and "parts" in each for each in given):
        return conversation_of(convert_to_model_messages(cast("list[Mapping[str, Any]]", given)))
    return conversation_of(read_messages(messages=given))


def conversation_of(messages: Sequence[Message]) -> Conversation:
    """Return the conversation. Its last message, when a person wrote it, is the prompt."""
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    prompt: list[UserContent] | None = None
    if rest and rest[-1].role == "user":
        prompt = _user_content(rest.pop())
    waiting = frozenset(_unanswered(rest)) if prompt is None else frozenset[str]()
    decided = DeferredToolResults(approvals=dict.fromkeys(waiting, True)) if waiting else None
    history = [each for message in rest for each in _history(message)]
    return Conversation(prompt, history, system, decided, waiting)


def _unanswered(messages: Sequence[Message]) -> list[str]:
    answered: set[str] = set()
    for message in reversed(messages):
        answered |= {part.tool_call_id for part in message.content if isinstance(part, ToolResultContent)}
        if message.role == "assistant":
            calls = [part.tool_call_id for part in message.content if isinstance(part, ToolCallContent)]
            return [call for call in calls if call not in answered]
    return []


def _history(message: Message) -> list[ModelMessage]:
    if message.role == "user":
        return [ModelRequest(parts=[UserPromptPart(content=_user_content(message))])]
    if message.role == "tool":
        returns = [_return(part) for part in message.content if isinstance(part, ToolResultContent)]
        return [ModelRequest(parts=cast("list[ModelRequestPart]", returns))]
    if message.role == "system":
        return [ModelRequest(parts=[SystemPromptPart(content=message.text)])]
    found: list[ModelMessage] = []
    for part in message.content:
        marks = _marks(part)
        if "messages" in marks:
            # What the agent did by itself before it made the calls that follow.
            found += ModelMessagesTypeAdapter.validate_python(marks["messages"])
            # Its last response is the one that makes the calls, so all before this part is in there.
            return found
    parts = [each for part in message.content if (each := _response_part(part)) is not None]
    return [ModelResponse(parts=parts)] if parts else []


def _response_part(part: Content) -> ModelResponsePart | None:
    match part:
        case TextContent():
            return TextPart(content=part.text)
        case ReasoningContent():
            marks = _marks(part)
            # Thoughts of another model would be told to this one as something that it said.
            return ThinkingPart(content=part.text, **marks) if marks else None
        case ToolCallContent():
            given = part.input if isinstance(part.input, (dict, str)) else {"input": part.input}
            return ToolCallPart(tool_name=part.tool_name, args=given, tool_call_id=part.tool_call_id)
        case _:
            return None


def _return(part: ToolResultContent) -> ToolReturnPart[Any]:
    return ToolReturnPart(
        tool_name=part.tool_name,
        content=part.output,
        tool_call_id=part.tool_call_id,
        outcome="failed" if part.is_error else "success",
    )


def _marks(part: Content) -> dict[str, Any]:
    if not isinstance(part, ReasoningContent):
        return {}
    return dict((part.provider_metadata or {}).get(MARK) or {})


def _user_content(message: Message) -> list[UserContent]:
    found: list[UserContent] = []
    for part in message.content:
        if isinstance(part, TextContent):
            found.append(part.text)
        elif isinstance(part, FileContent) and part.url.startswith("data:"):
            found.append(BinaryContent.from_data_uri(part.url))
        elif isinstance(part, FileContent):
            kind = _URLS.get(part.media_type.split("/", 1)[0], DocumentUrl)
            found.append(kind(url=part.url, media_type=part.media_type))
    return found
