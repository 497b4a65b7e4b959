from __future__ import annotations

from typing import Any

import pytest

from edgeagents.agents.chat.reconcile import merge_partial, plan, reconcile, stale_ids, trailing_user_ids
from edgeagents.agents.chat.sanitize import sanitize


def user(id: str, text: str = "hello") -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def said(id: str, text: str = "hi") -> dict[str, Any]:
    return {"id": id, "role": "assistant", "parts": [{"type": "text", "text": text, "state": "done"}]}


def called(
    id: str, state: str, *, call: str = "c", name: str = "add", input: Any = None, **more: Any
) -> dict[str, Any]:
    part = {"type": f"tool-{name}", "toolCallId": call, "state": state, "input": input or {"a": 1, "b": 2}, **more}
    return {"id": id, "role": "assistant", "parts": [{"type": "step-start"}, part]}


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [message["id"] for message in messages]


def test_messages_that_are_known_by_their_ids_stay_as_they_come() -> None:
    incoming = [user("u1"), said("a1", "changed"), user("u2")]
    assert reconcile(incoming, [user("u1"), said("a1")]) == incoming


def test_nothing_is_done_to_a_first_request() -> None:
    assert reconcile([user("u1")], []) == [user("u1")]


def test_an_assistant_s_message_is_known_by_what_it_says() -> None:
    assert ids(reconcile([user("u1"), said("made-up"), user("u2")], [user("u1"), said("a1")])) == ["u1", "a1", "u2"]


def test_a_user_s_message_is_known_by_its_id_alone() -> None:
    assert ids(reconcile([user("other")], [user("u1")])) == ["other"]


def test_equal_messages_are_matched_turn_by_turn() -> None:
    stored = [user("u1"), said("a1"), user("u2"), said("a2")]
    incoming = [user("u1"), said("x"), user("u2"), said("y"), user("u3"), said("z")]
    assert ids(reconcile(incoming, stored)) == ["u1", "a1", "u2", "a2", "u3", "z"]


def test_a_message_that_came_under_its_own_id_is_not_matched_again() -> None:
    assert ids(reconcile([said("x"), said("a1")], [said("a1")])) == ["x", "a1"]


def test_the_form_in_which_messages_are_kept_is_what_is_compared() -> None:
    thought = {"type": "reasoning", "text": "", "providerMetadata": {"openai": {"itemId": "1"}}}
    incoming = said("x")
    incoming["parts"].insert(0, thought)
    assert ids(reconcile([incoming], [said("a1")], sanitize)) == ["a1"]


def test_a_message_is_known_by_the_calls_that_it_makes() -> None:
    [found] = reconcile([called("x", "output-available", output=3)], [called("a1", "input-available")])
    assert found == called("a1", "output-available", output=3)


@pytest.mark.parametrize(
    "stored",
    [
        called("a1", "input-available", call="other"),
        called("a1", "input-available", name="subtract"),
        called("a1", "input-available", input={"a": 2}),
        said("a1"),
    ],
)
def test_another_call_under_the_same_id_is_not_the_same_call(stored: dict[str, Any]) -> None:
    assert ids(reconcile([called("x", "input-available")], [stored])) == ["x"]


def test_the_order_of_an_input_s_names_does_not_matter() -> None:
    incoming = called("x", "input-available", input={"b": 2, "a": 1})
    assert ids(reconcile([incoming], [called("a1", "input-available")])) == ["a1"]


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (called("a1", "input-available"), called("a1", "output-available", output=3)),
        (called("a1", "approval-requested"), called("a1", "output-error", errorText="no")),
        (called("a1", "approval-responded"), called("a1", "output-denied", approval={"id": "p", "approved": False})),
        (called("a1", "approval-requested"), called("a1", "approval-responded", approval={"id": "p"})),
        (called("a1", "input-available"), called("a1", "approval-requested", approval={"id": "p"})),
        (called("a1", "input-streaming", input={"a": 0}), called("a1", "input-available")),
        (
            called("a1", "output-available", output=1, preliminary=True),
            called("a1", "output-available", output=3, preliminary=False),
        ),
    ],
)
def test_a_call_that_is_further_along_on_the_server_stays_so(client: dict[str, Any], server: dict[str, Any]) -> None:
    assert reconcile([client], [server]) == [server]


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (called("a1", "output-available", output=3), called("a1", "input-available")),
        (called("a1", "output-available", output=3), called("a1", "output-available", output=4)),
        (called("a1", "approval-responded", approval={"id": "p"}), called("a1", "approval-requested")),
        (called("a1", "input-available"), called("a1", "input-available")),
    ],
)
def test_a_call_that_is_further_along_at_the_client_is_taken(client: dict[str, Any], server: dict[str, Any]) -> None:
    assert reconcile([client], [server]) == [client]


def test_only_what_belongs_to_the_server_s_state_is_taken_over() -> None:
    client = called("a1", "input-available", output="half", title="Add")
    server = called("a1", "output-error", errorText="no")
    assert reconcile([client], [server]) == [called("a1", "output-error", title="Add", errorText="no")]


def test_of_a_call_that_is_kept_twice_the_copy_that_is_further_along_counts() -> None:
    server = called("a1", "output-available", output=3)
    server["parts"] += called("a1", "input-available")["parts"]
    client = called("a1", "input-available")
    assert reconcile([client], [server]) == [called("a1", "output-available", output=3)]


def test_answers_come_from_the_message_s_own_row() -> None:
    incoming = [called("a2", "input-available")]
    assert (
        reconcile(incoming, [called("a1", "output-available", output=3), called("a2", "input-available")]) == incoming
    )


def test_an_old_copy_of_a_message_that_came_too_is_left_out() -> None:
    stored = [user("u1"), called("a1", "output-available", output=3)]
    incoming = [user("u1"), called("copy", "input-available"), called("a1", "output-available", output=3), user("u2")]
    assert ids(reconcile(incoming, stored)) == ["u1", "a1", "u2"]


@pytest.mark.parametrize(
    "copy",
    [
        said("copy"),
        called("copy", "output-available", output=3),
        called("copy", "input-available", input={"a": 2}),
        {"id": "copy", "role": "assistant", "parts": [{"type": "step-start"}]},
        {"id": "copy", "role": "assistant", "parts": [*called("x", "input-available")["parts"], *said("x")["parts"]]},
    ],
)
def test_what_is_no_mere_copy_stays(copy: dict[str, Any]) -> None:
    stored = [called("a1", "output-available", output=3)]
    incoming = [copy, called("a1", "output-available", output=3), user("u2")]
    assert ids(reconcile(incoming, stored)) == ["copy", "a1", "u2"]


def test_a_new_call_at_the_end_stays_though_it_looks_like_a_copy() -> None:
    stored = [called("a1", "output-available", output=3)]
    incoming = [called("a1", "output-available", output=3), called("a2", "input-available")]
    assert ids(reconcile(incoming, stored)) == ["a1", "a2"]


@pytest.mark.parametrize(
    ("incoming", "expected"),
    [
        (["u1"], ["a1"]),
        (["u1", "a1"], []),
        (["u1", "new"], []),
        (["new"], []),
        ([], ["u1", "a1"]),
    ],
)
def test_messages_are_forgotten_only_when_nothing_new_came(incoming: list[str], expected: list[str]) -> None:
    assert stale_ids([user(id) for id in incoming], [user("u1"), said("a1")]) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("u1"), said("a1"), user("u2"), user("u3")], ["u2", "u3"]),
        ([user("u1")], ["u1"]),
        ([user("u1"), said("a1")], None),
        ([{"role": "user"}, user("u1")], ["u1"]),
        ([None, user("u1")], ["u1"]),
        ([], None),
    ],
)
def test_a_request_asks_about_the_user_s_messages_at_its_end(messages: list[Any], expected: list[str] | None) -> None:
    assert trailing_user_ids(messages) == expected


def test_a_plan_writes_what_changed_and_tells_what_came() -> None:
    stored = [user("u1"), called("a1", "output-available", output=3)]
    incoming = [user("u1"), called("a1", "input-available"), user("u2")]
    found = plan(incoming, stored, forget_missing=True)
    assert found.messages == [user("u1"), called("a1", "output-available", output=3), user("u2")]
    assert (found.changed, found.stale) == ([user("u2")], [])


def test_a_plan_keeps_messages_in_their_kept_form_and_tells_them_whole() -> None:
    incoming = said("a1")
    incoming["parts"].insert(0, {"type": "reasoning", "text": ""})
    found = plan([incoming], [], sanitize)
    assert (found.messages, found.changed) == ([incoming], [said("a1")])


def test_a_request_to_make_an_answer_again_forgets_the_old_one() -> None:
    stored = [user("u1"), said("a1")]
    assert plan([user("u1")], stored, forget_missing=True).stale == ["a1"]
    assert plan([user("u1")], stored).stale == []


def test_a_part_of_a_message_is_put_upon_what_was_kept_of_it() -> None:
    stored = {**called("a1", "approval-responded"), "metadata": {"a": 1, "b": 1}}
    partial = called("a1", "approval-requested")
    partial["parts"] += said("x")["parts"]
    partial["metadata"] = {"b": 2}
    found = merge_partial(stored, partial)
    assert [part.get("state") for part in found["parts"]] == [None, "approval-responded", None, "done"]
    assert found["metadata"] == {"a": 1, "b": 2}
