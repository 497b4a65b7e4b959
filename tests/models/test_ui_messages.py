from __future__ import annotations

from typing import Any

import pytest

from edgeagents import convert_to_model_messages
from edgeagents.models import Message
from edgeagents.models.messages import (
    Content,
    FileContent,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
)


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": list(parts)}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


def call(state: str, id: str = "c", **more: Any) -> dict[str, Any]:
    return {"type": "tool-add", "toolCallId": id, "state": state, "input": {"a": 2}, **more}


def told(role: Any, *content: Content) -> Message:
    return Message(role, content)


CALL = ToolCallContent("c", "add", {"a": 2})


def answered(output: Any, *, is_error: bool = False) -> tuple[Message, ...]:
    return told("assistant", CALL), told("tool", ToolResultContent("c", "add", output, is_error))


def test_a_tool_s_answer_becomes_a_message_of_its_own() -> None:
    found = convert_to_model_messages(
        [
            user(text("2+2?")),
            assistant(
                {"type": "step-start"},
                call("output-available", output=4),
                call("input-available", id="d"),
                {"type": "step-start"},
                text("Four."),
                {"type": "data-mood", "data": 1},
            ),
        ]
    )
    assert found == (told("user", TextContent("2+2?")), *answered(4), told("assistant", TextContent("Four.")))


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (text("x"), TextContent("x")),
        ({"type": "reasoning", "text": "hm"}, ReasoningContent("hm")),
        (
            {"type": "reasoning", "text": "hm", "providerMetadata": {"p": {"signature": "s"}}},
            ReasoningContent("hm", {"p": {"signature": "s"}}),
        ),
        (
            {"type": "reasoning", "text": "", "providerMetadata": {"p": {"data": "d"}}},
            ReasoningContent("", {"p": {"data": "d"}}),
        ),
        (
            {"type": "file", "url": "data:image/png;base64,AA", "mediaType": "image/png", "filename": "x.png"},
            FileContent("data:image/png;base64,AA", "image/png", "x.png"),
        ),
    ],
)
def test_a_part_becomes_content(part: dict[str, Any], content: Content) -> None:
    assert convert_to_model_messages([assistant(part)]) == (told("assistant", content),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "step-start"},
        text(""),
        {"type": "reasoning", "text": ""},
        {"type": "source-url", "sourceId": "s", "url": "u"},
        {"type": "source-document", "sourceId": "s", "mediaType": "text/plain", "title": "T"},
        {"type": "data-x", "data": 1},
        {"type": "custom", "kind": "x"},
        {"type": "reasoning-file", "url": "u", "mediaType": "image/png"},
        {"type": "file", "mediaType": "image/png"},
        {"no": "type"},
        call("input-streaming"),
        call("input-available"),
        call("approval-requested", approval={"id": "p"}),
        call("output-available", output=4, providerExecuted=True),
    ],
)
def test_what_a_model_has_no_use_for_is_left_out(part: dict[str, Any]) -> None:
    assert convert_to_model_messages([assistant(part)]) == ()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (call("output-available", output={"n": 4}), answered({"n": 4})),
        (call("output-available", output=None), answered(None)),
        (call("output-error", errorText="no"), answered("no", is_error=True)),
        (call("output-error"), answered("The tool failed.", is_error=True)),
        (call("output-denied"), answered("Tool call execution denied.", is_error=True)),
        (
            call("output-denied", approval={"id": "p", "approved": False, "reason": "Not today."}),
            answered("Not today.", is_error=True),
        ),
        (
            call("approval-responded", approval={"id": "p", "approved": False}),
            answered("Tool call execution denied.", is_error=True),
        ),
        (
            {**call("output-available", output=4), "type": "dynamic-tool", "toolName": "add"},
            answered(4),
        ),
    ],
)
def test_every_state_that_is_an_answer_answers(part: dict[str, Any], expected: tuple[Message, ...]) -> None:
    assert convert_to_model_messages([assistant(part)]) == expected


def test_an_input_that_could_not_be_read_is_shown_as_it_was() -> None:
    part = {**call("output-error", errorText="no JSON", rawInput="{"), "input": None}
    found = convert_to_model_messages([assistant(part)])
    assert found[0] == told("assistant", ToolCallContent("c", "add", "{"))


def test_a_call_that_was_allowed_waits_at_the_end_to_be_made() -> None:
    allowed = call("approval-responded", approval={"id": "p", "approved": True})
    assert convert_to_model_messages([user(text("x")), assistant(allowed)])[1:] == (told("assistant", CALL),)


def test_a_call_that_was_allowed_and_never_made_is_left_out() -> None:
    allowed = call("approval-responded", approval={"id": "p", "approved": True})
    assert convert_to_model_messages([assistant(allowed), user(text("x"))]) == (told("user", TextContent("x")),)


def test_a_call_that_was_allowed_stands_among_others_that_have_their_answers() -> None:
    allowed = call("approval-responded", id="d", approval={"id": "p", "approved": True})
    found = convert_to_model_messages([assistant(call("output-available", output=4), allowed)])
    assert found == (
        told("assistant", CALL, ToolCallContent("d", "add", {"a": 2})),
        told("tool", ToolResultContent("c", "add", 4)),
    )


def test_calls_of_one_step_are_answered_in_one_message() -> None:
    parts = [call("output-available", output=1), text("and"), call("output-error", id="d", errorText="no")]
    found = convert_to_model_messages([assistant(*parts)])
    assert [len(message.content) for message in found] == [3, 2]


def test_what_a_person_said_between_two_steps_stands_between_them() -> None:
    found = convert_to_model_messages(
        [
            assistant(
                call("output-available", output=4),
                {"type": "steering-message", "id": "m", "parts": [text("Shorter, please.")]},
                {"type": "step-start"},
                text("4"),
            )
        ]
    )
    assert found == (*answered(4), told("user", TextContent("Shorter, please.")), told("assistant", TextContent("4")))


def test_the_program_says_what_a_model_reads_of_data() -> None:
    def convert(part: Any) -> str | None:
        return f"[{part['data']}]" if part["type"] == "data-link" else None

    parts = [text("See"), {"type": "data-link", "data": "x"}, {"type": "data-mood", "data": 1}]
    found = convert_to_model_messages([user(*parts)], convert_data_part=convert)
    assert found == (told("user", TextContent("See"), TextContent("[x]")),)


def test_messages_without_parts_are_read_by_their_content() -> None:
    found = convert_to_model_messages([{"role": "system", "content": "Be brief."}, user(text("x"))])
    assert found == (told("system", TextContent("Be brief.")), told("user", TextContent("x")))


@pytest.mark.parametrize(
    ("message", "named"),
    [({"role": "robot", "parts": []}, "robot"), ({"role": "user"}, r"messages\[0\] has no content")],
)
def test_what_is_no_message_of_a_browser_is_refused_by_name(message: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        convert_to_model_messages([message])


@pytest.mark.parametrize("role", ["user", "system"])
def test_only_an_assistant_thinks_and_calls_tools(role: str) -> None:
    thought = {"type": "reasoning", "text": "hm", "providerMetadata": {"p": {"signature": "s"}}}
    message = {"role": role, "parts": [text("hi"), thought, call("output-available", output=5)]}
    assert convert_to_model_messages([message]) == (told(role, TextContent("hi")),)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "text", "text": {"not": "text"}},
        {"type": "reasoning", "text": 1},
        {"type": "steering-message", "parts": {"type": "text"}},
        {"type": "steering-message", "parts": ["hi", 1]},
        "no part",
        None,
    ],
)
def test_what_is_no_part_is_left_out(odd: Any) -> None:
    """A client's message is kept as it comes: one that cannot be read would end every later turn."""
    parts = {"role": "assistant", "parts": [odd, text("hi")]}
    assert convert_to_model_messages([parts]) == (told("assistant", TextContent("hi")),)


def test_a_file_s_odd_names_are_not_passed_on() -> None:
    part = {"type": "file", "url": "data:,x", "mediaType": ["image/png"], "filename": 1}
    assert convert_to_model_messages([user(part)]) == (told("user", FileContent("data:,x", "text/plain", None)),)
