from __future__ import annotations

import pytest

from edgeagents.models.messages import (
    FileContent,
    Message,
    TextContent,
    ToolResultContent,
    message_from_json,
    message_to_json,
    read_messages,
)


def test_a_prompt_is_one_message_of_the_user() -> None:
    assert read_messages("hi", None, "be brief") == (
        Message("system", (TextContent("be brief"),)),
        Message("user", (TextContent("hi"),)),
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "needs one of them"),
        ({"prompt": "a", "messages": []}, "either prompt"),
        ({"messages": []}, "messages is empty"),
        ({"messages": ["hi"]}, r"messages\[0\] is str"),
        ({"messages": [{"role": "bot", "content": "x"}]}, r"messages\[0\] has the role 'bot'"),
        ({"messages": [{"role": "user"}]}, "has no content"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, r"content\[0\] has the type 'smell'"),
        ({"messages": [{"role": "tool", "content": [{"type": "tool-result"}]}]}, "needs the fields tool_call_id"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(given: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_messages(**given)  # type: ignore[arg-type]


def test_bytes_of_an_image_become_a_data_url() -> None:
    (message,) = read_messages(messages=[{"role": "user", "content": [{"type": "image", "image": b"\x89PNG"}]}])
    assert message.content == (FileContent("data:image/png;base64,iVBORw==", "image/png"),)


def test_a_message_survives_json() -> None:
    message = Message("tool", (ToolResultContent("c", "add", {"n": 3}), ToolResultContent("d", "add", "no", True)))
    assert message_from_json(message_to_json(message)) == message
