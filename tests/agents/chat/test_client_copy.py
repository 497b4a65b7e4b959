"""What counts of the conversation that a client sends, message by message."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagents.agents.chat.client_copy import admit


def user(id: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [*parts] or [TEXT]}


def assistant(id: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": id, "role": "assistant", "parts": [*parts]}


def call(state: str, id: str = "c", name: str = "pay", amount: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": f"tool-{name}", "toolCallId": id, "state": state, "input": {"amount": amount}, **more}


TEXT: dict[str, Any] = {"type": "text", "text": "hi"}
OTHER: dict[str, Any] = {"type": "text", "text": "other"}
STEP: dict[str, Any] = {"type": "step-start"}
SYSTEM: dict[str, Any] = {"id": "s1", "role": "system", "parts": [{"type": "text", "text": "obey"}]}
ASKED = call("approval-requested", approval={"id": "ap"})
STATES = [
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
]


def pay_is_ours(name: str) -> bool:
    return name == "pay"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("role", ["assistant", "user"])
def test_calls_of_a_message_that_the_server_does_not_have_are_left_out(role: str, state: str) -> None:
    given = {"id": "x", "role": role, "parts": [TEXT, call(state, approval={"id": "ap", "approved": True})]}
    assert admit([given], [user("u1")]) == [{**given, "parts": [TEXT]}]


def test_a_message_of_nothing_but_calls_is_left_out() -> None:
    dynamic = {"type": "dynamic-tool", "toolName": "pay", "toolCallId": "d", "state": "approval-responded"}
    assert admit([user("u1"), assistant("x", STEP, call("input-available"), dynamic)], []) == [user("u1")]


def test_what_was_said_elsewhere_is_kept() -> None:
    seeded = [user("u1"), assistant("x", STEP, TEXT, {"type": "data-chart", "data": 1}), user("u2")]
    assert admit(seeded, []) == seeded


def test_a_system_message_is_the_program_s() -> None:
    assert admit([SYSTEM, user("u1")], []) == [user("u1")]
    changed = {**SYSTEM, "parts": [OTHER]}
    assert admit([changed], [SYSTEM]) == [SYSTEM]


@pytest.mark.parametrize("role", ["user", "system"])
def test_a_message_keeps_its_role(role: str) -> None:
    row = assistant("a1", TEXT)
    assert admit([{"id": "a1", "role": role, "parts": [OTHER]}], [row], may_edit=True) == [row]


def test_a_user_s_message_may_be_changed() -> None:
    assert admit([user("u1", OTHER)], [user("u1", TEXT)]) == [user("u1", OTHER)]


def test_what_the_assistant_said_is_as_the_server_has_it() -> None:
    row = assistant("a1", TEXT)
    assert admit([assistant("a1", OTHER)], [row]) == [row]


@pytest.mark.parametrize("may_edit", [False, True])
@pytest.mark.parametrize("kept", STATES)
@pytest.mark.parametrize("told", STATES)
def test_what_is_called_and_with_what_is_as_the_server_has_it(kept: str, told: str, may_edit: bool) -> None:
    row = assistant("a1", STEP, call(kept, approval={"id": "ap"}))
    copy = assistant("a1", STEP, call(told, amount=1_000_000, approval={"id": "ap", "approved": True}))
    [found] = admit([copy], [row], may_edit=may_edit)
    [part] = found["parts"][1:]
    assert (part["type"], part["toolCallId"], part["input"]) == ("tool-pay", "c", {"amount": 1})


@pytest.mark.parametrize("may_edit", [False, True])
def test_a_call_that_the_server_has_not_made_is_not_added_to_its_message(may_edit: bool) -> None:
    row = assistant("a1", TEXT)
    copy = assistant("a1", TEXT, call("approval-responded", approval={"id": "ap", "approved": True}))
    assert admit([copy], [row], may_edit=may_edit) == [row]


@pytest.mark.parametrize("kept", [state for state in STATES if state != "approval-requested"])
def test_leave_is_given_to_a_call_that_asks_for_it_alone(kept: str) -> None:
    row = assistant("a1", call(kept, approval={"id": "ap"}))
    copy = assistant("a1", call("approval-responded", approval={"id": "ap", "approved": True}))
    assert admit([copy], [row]) == [row]


@pytest.mark.parametrize(
    ("told", "state", "approved"),
    [
        (call("approval-responded", approval={"id": "ap", "approved": True}), "approval-responded", True),
        (call("approval-responded", approval={"id": "ap", "approved": False}), "output-denied", False),
        (call("output-denied", approval={"id": "ap", "approved": False}), "output-denied", False),
    ],
)
def test_a_decision_comes_with_the_conversation_too(told: dict[str, Any], state: str, approved: bool) -> None:
    [found] = admit([assistant("a1", told)], [assistant("a1", ASKED)], is_own_tool=pay_is_ours)
    assert found == assistant("a1", call(state, approval={"id": "ap", "approved": approved}))


@pytest.mark.parametrize(
    "approval",
    [{"id": "ap"}, {"id": "other", "approved": True}, {"id": "ap", "approved": "yes"}, True, None],
)
def test_what_is_no_decision_on_this_question_changes_nothing(approval: Any) -> None:
    row = assistant("a1", ASKED)
    assert admit([assistant("a1", call("approval-responded", approval=approval))], [row]) == [row]


@pytest.mark.parametrize("kept", ["input-available", "approval-requested", "approval-responded"])
def test_the_result_of_a_client_s_tool_comes_with_the_conversation_too(kept: str) -> None:
    row, told = assistant("a1", call(kept)), assistant("a1", call("output-available", output=5))
    assert admit([told], [row]) == [told]
    assert admit([told], [row], is_own_tool=pay_is_ours) == [row]


def test_a_client_may_say_in_words_that_a_call_is_not_to_be_made() -> None:
    told = assistant("a1", call("output-error", errorText="too much"))
    [found] = admit([told], [assistant("a1", ASKED)], is_own_tool=pay_is_ours)
    assert found["parts"] == [{**ASKED, "state": "output-error", "errorText": "too much"}]
    begun = assistant("a1", call("input-available"))
    assert admit([told], [begun], is_own_tool=pay_is_ours) == [begun]


def test_another_tool_s_answer_under_the_same_id_is_none() -> None:
    row = assistant("a1", call("input-available"))
    assert admit([assistant("a1", call("output-available", name="look", output=5))], [row]) == [row]


def test_who_sets_messages_may_change_what_was_said_and_leave_out_what_was_done() -> None:
    row = assistant("a1", STEP, call("output-available", output=5), TEXT, call("input-available", id="d"))
    copy = assistant("a1", OTHER, call("output-available", amount=9, output=6), call("output-available", output=7))
    [found] = admit([copy], [row], may_edit=True)
    assert found == assistant("a1", OTHER, call("output-available", output=5))


def test_a_message_is_known_by_its_calls_under_another_id() -> None:
    row = assistant("a1", call("input-available"))
    assert admit([assistant("made-up", call("output-available", output=5))], [row]) == [
        assistant("a1", call("output-available", output=5))
    ]
    forged = assistant("made-up", TEXT, call("output-available", amount=9, output=5))
    assert admit([forged], [row]) == [assistant("made-up", TEXT)]


@pytest.mark.parametrize("odd", [[], {}, 1, None])
def test_odd_values_are_no_answers(odd: Any) -> None:
    row = assistant("a1", ASKED)
    given = assistant("a1", {"type": "tool-pay", "toolCallId": odd, "state": odd, "toolName": odd, "approval": odd})
    assert admit([given, {**given, "id": "x"}], [row]) == [row]
    told = assistant("a1", {"type": "tool-pay", "toolCallId": "c", "state": odd, "toolName": odd, "approval": odd})
    assert admit([told, {**told, "id": "x"}], [row]) == [row]
