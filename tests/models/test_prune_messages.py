"""A conversation without what need not be read again, as the AI SDK's ``pruneMessages`` prunes it."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagents.models import Message, prune_messages
from edgeagents.models.messages import ToolCallContent, ToolResultContent

pytestmark = pytest.mark.cloudflare("Models", "`pruneMessages` as `prune_messages`", "same")


def call(id: str, tool: str = "search") -> dict[str, Any]:
    return {"type": "tool-call", "tool_call_id": id, "tool_name": tool, "input": {}}


def result(id: str, tool: str = "search") -> dict[str, Any]:
    return {"type": "tool-result", "tool_call_id": id, "tool_name": tool, "output": "found"}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "text": text}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


CONVERSATION = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": [thought("a"), call("c1"), thought("b"), text("So."), call("c2", "clock")]},
    {"role": "tool", "content": [result("c1"), result("c2", "clock")]},
    {"role": "assistant", "content": [thought("c"), text("Done."), call("c3")]},
    {"role": "tool", "content": [result("c3")]},
]


def short(messages: tuple[Message, ...]) -> list[list[str]]:
    def name(part: Any) -> str:
        if isinstance(part, ToolCallContent | ToolResultContent):
            return f"{'call' if isinstance(part, ToolCallContent) else 'result'} {part.tool_call_id}"
        return part.text

    return [[name(part) for part in message.content] for message in messages]


WHOLE = [
    ["one"],
    ["a", "call c1", "b", "So.", "call c2"],
    ["result c1", "result c2"],
    ["c", "Done.", "call c3"],
    ["result c3"],
]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, WHOLE),
        ({"reasoning": "all"}, [["one"], ["call c1", "So.", "call c2"], WHOLE[2], ["Done.", "call c3"], WHOLE[4]]),
        ({"tool_calls": "none"}, WHOLE),
        ({"tool_calls": "all"}, [["one"], ["b", "So."], ["c", "Done."]]),
        ({"tool_calls": "before-last-message"}, [["one"], ["b", "So."], ["c", "Done.", "call c3"], ["result c3"]]),
        ({"tool_calls": "before-last-3-messages"}, WHOLE),
        (
            {"tool_calls": [{"type": "all", "tools": ["clock"]}]},
            [["one"], ["a", "call c1", "b", "So."], ["result c1"], WHOLE[3], WHOLE[4]],
        ),
        ({"tool_calls": "all", "empty_messages": "keep"}, [["one"], ["b", "So."], [], ["c", "Done."], []]),
    ],
    ids=str,
)
def test_what_is_left(options: dict[str, Any], left: list[list[str]]) -> None:
    assert short(prune_messages(CONVERSATION, **options)) == left


def test_the_last_messages_thoughts_can_be_kept() -> None:
    messages = prune_messages(CONVERSATION[:4], reasoning="before-last-message")
    assert short(messages)[1] == ["call c1", "So.", "call c2"]
    assert short(messages)[3] == ["c", "Done.", "call c3"]


@pytest.mark.parametrize(
    "wrong", [{"tool_calls": "before-last-0-messages"}, {"tool_calls": "some"}, {"reasoning": "x"}]
)
def test_a_word_that_says_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not '"):
        prune_messages(CONVERSATION, **wrong)
