from __future__ import annotations

from typing import Any

import pytest

from edgeagents.agents.chat.tool_state import (
    apply_tool_approval,
    apply_tool_output,
    apply_tool_result,
    has_pending_interaction,
    is_batch_incomplete,
    part_awaits_client,
)
from edgeagents.agents.chat.ui import message_of_call, tool_name


def part(state: str, id: str = "c", **more: Any) -> dict[str, Any]:
    return {"type": "tool-add", "toolCallId": id, "toolName": "add", "state": state, **more}


def message(*parts: dict[str, Any], id: str = "a1") -> dict[str, Any]:
    return {"id": id, "role": "assistant", "parts": list(parts)}


WAITING = ["input-available", "approval-requested", "approval-responded"]
OVER = ["output-available", "output-error", "output-denied"]


@pytest.mark.parametrize("state", WAITING)
def test_a_call_that_waits_takes_a_client_s_answer(state: str) -> None:
    given = message({"type": "step-start"}, part(state, input={}))
    found = apply_tool_result(given, "c", {"lat": 1})
    expected = part("output-available", input={}, output={"lat": 1}, preliminary=False)
    assert found == message({"type": "step-start"}, expected)
    assert given["parts"][1]["state"] == state


@pytest.mark.parametrize(("said", "kept"), [("broken", "broken"), (None, "Tool execution denied by user")])
def test_a_client_s_failure_has_a_text(said: str | None, kept: str) -> None:
    found = apply_tool_result(message(part("input-available")), "c", None, failed=True, error_text=said)
    assert found == message(part("output-error", errorText=kept))


@pytest.mark.parametrize("state", [*OVER, "input-streaming"])
def test_the_first_answer_stays(state: str) -> None:
    assert apply_tool_result(message(part(state, output=1)), "c", 2) is None


def test_an_answer_to_nobody_s_call_changes_nothing() -> None:
    assert apply_tool_result(message(part("input-available")), "other", 2) is None


@pytest.mark.parametrize(
    ("approved", "state"),
    [(True, "approval-responded"), (False, "output-denied")],
)
def test_a_decision_settles_a_question(approved: bool, state: str) -> None:
    given = message(part("approval-requested", input={"id": 1}, approval={"id": "ap1", "descriptor": "d"}))
    approval = {"id": "ap1", "descriptor": "d", "approved": approved}
    assert apply_tool_approval(given, "c", approved) == message(part(state, input={"id": 1}, approval=approval))


def test_a_decision_on_a_question_without_a_name_is_named_by_the_call() -> None:
    found = apply_tool_approval(message(part("approval-requested")), "c", True)
    assert found == message(part("approval-responded", approval={"id": "c", "approved": True}))


def test_a_call_that_asked_for_no_leave_is_given_none() -> None:
    assert apply_tool_approval(message(part("input-available")), "c", True) is None


@pytest.mark.parametrize("state", WAITING)
def test_what_the_server_s_tool_answered_is_not_a_client_s_to_say(state: str) -> None:
    assert apply_tool_result(message(part(state)), "c", 1, is_own_tool=lambda name: name == "add") is None


@pytest.mark.parametrize(("state", "is_taken"), [(state, state == "approval-requested") for state in WAITING])
def test_a_call_of_the_server_s_tool_is_denied_in_words_while_it_asks(state: str, is_taken: bool) -> None:
    found = apply_tool_result(
        message(part(state)), "c", None, failed=True, error_text="no", is_own_tool=lambda name: name == "add"
    )
    assert found == (message(part("output-error", errorText="no")) if is_taken else None)


@pytest.mark.parametrize("state", [*OVER, "approval-responded", "input-streaming"])
def test_a_second_decision_changes_nothing(state: str) -> None:
    assert apply_tool_approval(message(part(state)), "c", False) is None


OUTPUT = {"type": "tool-output-available", "toolCallId": "c", "output": 3}


@pytest.mark.parametrize("state", [*WAITING, "input-streaming"])
def test_an_output_of_a_later_stream_reaches_the_call(state: str) -> None:
    assert apply_tool_output(message(part(state)), OUTPUT) == message(part("output-available", output=3))


def test_a_failure_of_a_later_stream_reaches_the_call() -> None:
    chunk = {"type": "tool-output-error", "toolCallId": "c", "errorText": "no"}
    assert apply_tool_output(message(part("approval-responded")), chunk) == message(
        part("output-error", errorText="no")
    )


@pytest.mark.parametrize("state", OVER)
def test_a_later_stream_does_not_change_an_answer(state: str) -> None:
    assert apply_tool_output(message(part(state, output=1)), OUTPUT) is None


def test_a_preliminary_output_is_followed_by_the_last_one() -> None:
    first = apply_tool_output(message(part("approval-responded")), {**OUTPUT, "output": 1, "preliminary": True})
    assert first == message(part("output-available", output=1, preliminary=True))
    assert apply_tool_output(first, OUTPUT) == message(part("output-available", output=3))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("input-streaming", False),
        ("input-available", True),
        ("approval-requested", True),
        ("approval-responded", False),
        ("output-available", False),
        ("output-error", False),
        ("output-denied", False),
    ],
)
def test_a_call_without_answer_or_decision_is_pending(state: str, expected: bool) -> None:
    assert has_pending_interaction(message({"type": "text", "text": "x"}, part(state))) is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (part("approval-requested"), True),
        (part("input-available"), False),
        (part("input-available") | {"type": "tool-where", "toolName": "where"}, True),
        ({"type": "dynamic-tool", "toolName": "where", "toolCallId": "c", "state": "input-available"}, True),
        (part("output-available") | {"type": "tool-where", "toolName": "where"}, False),
        ({"type": "text", "text": "x"}, False),
    ],
)
def test_only_a_client_settles_its_own_tools_and_questions(given: dict[str, Any], expected: bool) -> None:
    assert part_awaits_client(given, {"where"}) is expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], False),
        (["input-available"], False),
        (["output-available"], False),
        (["output-available", "input-available"], True),
        (["approval-responded", "approval-requested"], True),
        (["output-denied", "output-error"], False),
        (["input-streaming", "output-available"], False),
    ],
)
def test_calls_of_which_some_are_answered_are_not_gone_on_with(states: list[str], expected: bool) -> None:
    parts = [part(state, id=str(index)) for index, state in enumerate(states)]
    earlier = message(part("output-available"), part("input-available", id="d"), id="a0")
    user = {"id": "u1", "role": "user", "parts": []}
    assert is_batch_incomplete([earlier, user, message(*parts), user]) is expected


def test_without_an_assistant_s_message_no_batch_is_incomplete() -> None:
    assert not is_batch_incomplete([])


def test_the_newest_message_of_a_call_is_found() -> None:
    older, newer = message(part("output-available"), id="a1"), message(part("input-available"), id="a2")
    assert message_of_call([older, newer], "c") is newer
    assert message_of_call([older, newer], "d") is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"type": "tool-add"}, "add"),
        ({"type": "dynamic-tool", "toolName": "add"}, "add"),
        ({"type": "dynamic-tool"}, None),
        ({"type": "text"}, None),
        ({}, None),
    ],
)
def test_a_tool_s_name_is_in_the_type_or_beside_it(given: dict[str, Any], name: str | None) -> None:
    assert tool_name(given) == name
