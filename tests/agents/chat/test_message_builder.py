from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from edgeagents.agents.chat.message_builder import MessageBuilder, build_message
from edgeagents.agents.chat.tool_state import apply_tool_approval, apply_tool_result


def builder(*parts: dict[str, Any], continuation: bool = False) -> MessageBuilder:
    return MessageBuilder({"id": "a1", "role": "assistant", "parts": list(parts)}, continuation=continuation)


def parts_of(*chunks: dict[str, Any]) -> list[dict[str, Any]]:
    return build_message("a1", chunks)["parts"]


def call(state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool-add", "toolCallId": "c", "toolName": "add", "state": state, **more}


START = {"type": "tool-input-start", "toolCallId": "c", "toolName": "add"}
AVAILABLE = {"type": "tool-input-available", "toolCallId": "c", "toolName": "add", "input": {"a": 1}}
ASKED = {"type": "tool-approval-request", "toolCallId": "c", "approvalId": "ap"}
ANSWERED = {"type": "tool-output-available", "toolCallId": "c", "output": 3}


def delta(text: str) -> dict[str, Any]:
    return {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": text}


@pytest.mark.parametrize("kind", ["text", "reasoning"])
def test_text_and_reasoning_grow_between_their_start_and_their_end(kind: str) -> None:
    chunks: list[dict[str, Any]] = [
        {"type": f"{kind}-start", "id": "1"},
        {"type": f"{kind}-delta", "id": "1", "delta": "Hello "},
        {"type": f"{kind}-delta", "id": "1", "delta": "world"},
    ]
    assert parts_of(*chunks) == [{"type": kind, "text": "Hello world", "state": "streaming"}]
    chunks.append({"type": f"{kind}-end", "id": "1"})
    assert parts_of(*chunks) == [{"type": kind, "text": "Hello world", "state": "done"}]


def test_the_message_may_be_looked_at_between_two_chunks() -> None:
    made = builder()
    for piece in ("a", "b", "c"):
        made.apply({"type": "text-delta", "id": "1", "delta": piece})
        assert made.message["parts"][0]["text"] == "abc"[: "abc".index(piece) + 1]


def test_a_delta_that_no_start_came_before_begins_a_text() -> None:
    assert parts_of({"type": "text-delta", "id": "1", "delta": "x"}) == [
        {"type": "text", "text": "x", "state": "streaming"}
    ]


def test_a_delta_of_an_unknown_id_goes_to_the_last_text() -> None:
    found = parts_of({"type": "text-start", "id": "1"}, {"type": "text-delta", "id": "2", "delta": "x"})
    assert [part["text"] for part in found] == ["x"]


def test_two_texts_may_grow_at_once() -> None:
    found = parts_of(
        {"type": "text-start", "id": "1"},
        {"type": "text-start", "id": "2"},
        {"type": "text-delta", "id": "1", "delta": "one"},
        {"type": "text-delta", "id": "2", "delta": "two"},
        {"type": "text-end", "id": "1"},
    )
    assert [(part["text"], part["state"]) for part in found] == [("one", "done"), ("two", "streaming")]


def test_an_id_may_be_used_again_for_the_next_text() -> None:
    one = [{"type": "text-start", "id": "1"}, {"type": "text-delta", "id": "1", "delta": "x"}]
    end = {"type": "text-end", "id": "1"}
    assert [part["text"] for part in parts_of(*one, end, *one, end)] == ["x", "x"]


def test_provider_metadata_of_reasoning_is_merged() -> None:
    [part] = parts_of(
        {"type": "reasoning-start", "id": "1"},
        {"type": "reasoning-delta", "id": "1", "delta": "x", "providerMetadata": {"a": {"x": 1}}},
        {"type": "reasoning-end", "id": "1", "providerMetadata": {"b": {"signature": "s"}}},
    )
    assert part["providerMetadata"] == {"a": {"x": 1}, "b": {"signature": "s"}}


@pytest.mark.parametrize(
    ("chunk", "part"),
    [
        ({"type": "start-step"}, {"type": "step-start"}),
        ({"type": "step-start"}, {"type": "step-start"}),
        (
            {"type": "file", "url": "data:,x", "mediaType": "text/plain"},
            {"type": "file", "mediaType": "text/plain", "url": "data:,x"},
        ),
        (
            {"type": "reasoning-file", "url": "data:,x", "mediaType": "text/plain"},
            {"type": "reasoning-file", "mediaType": "text/plain", "url": "data:,x"},
        ),
        (
            {"type": "source-url", "sourceId": "s", "url": "https://x.test", "title": "X"},
            {"type": "source-url", "sourceId": "s", "url": "https://x.test", "title": "X"},
        ),
        (
            {"type": "source-document", "sourceId": "s", "mediaType": "text/plain", "title": "X"},
            {"type": "source-document", "sourceId": "s", "mediaType": "text/plain", "title": "X"},
        ),
        ({"type": "custom", "kind": "x.y"}, {"type": "custom", "kind": "x.y"}),
        ({"type": "steering-message", "id": "m", "parts": []}, {"type": "steering-message", "id": "m", "parts": []}),
        ({"type": "data-weather", "data": {"c": 1}}, {"type": "data-weather", "data": {"c": 1}}),
        ({"type": "data-weather", "id": "w", "data": 1}, {"type": "data-weather", "id": "w", "data": 1}),
        (START, call("input-streaming")),
        (
            {**START, "title": "Add", "providerExecuted": True, "providerMetadata": {"p": 1}, "toolMetadata": {"m": 1}},
            call(
                "input-streaming",
                providerExecuted=True,
                callProviderMetadata={"p": 1},
                title="Add",
                toolMetadata={"m": 1},
            ),
        ),
        (AVAILABLE, call("input-available", input={"a": 1})),
        (
            {**AVAILABLE, "type": "tool-input-error", "errorText": "bad"},
            call("output-error", input={"a": 1}, errorText="bad"),
        ),
        (
            {**START, "dynamic": True},
            {"type": "dynamic-tool", "toolCallId": "c", "toolName": "add", "state": "input-streaming"},
        ),
    ],
)
def test_a_chunk_becomes_a_part(chunk: dict[str, Any], part: dict[str, Any]) -> None:
    made = builder()
    assert made.apply(chunk) == (chunk,)
    assert made.message["parts"] == [part]


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "start"},
        {"type": "finish", "finishReason": "stop"},
        {"type": "finish-step"},
        {"type": "abort"},
        {"type": "error", "errorText": "x"},
        {"type": "data-weather", "data": 1, "transient": True},
        {"type": "something-new"},
        ANSWERED,
        ASKED,
        delta("{"),
    ],
)
def test_other_chunks_add_no_part_and_are_sent_on(chunk: dict[str, Any]) -> None:
    made = builder()
    assert made.apply(chunk) == (chunk,)
    assert made.message == {"id": "a1", "role": "assistant", "parts": []}


def test_metadata_is_gathered_from_every_chunk_that_has_some() -> None:
    made = builder()
    for kind, metadata in (("start", {"a": 1, "b": 1}), ("message-metadata", {"b": 2}), ("finish", {"c": 3})):
        made.apply({"type": kind, "messageMetadata": metadata})
    assert made.message["metadata"] == {"a": 1, "b": 2, "c": 3}


def test_a_start_names_the_message_but_not_in_a_continuation() -> None:
    made, continued = builder(), builder(continuation=True)
    for each in (made, continued):
        each.apply({"type": "start", "messageId": "theirs"})
    assert (made.message["id"], continued.message["id"]) == ("theirs", "a1")


def test_data_of_the_same_type_and_id_is_replaced_where_it_stands() -> None:
    found = parts_of(
        {"type": "data-weather", "id": "w", "data": 1},
        {"type": "data-news", "id": "w", "data": 1},
        {"type": "data-weather", "id": "w", "data": 2},
        {"type": "data-weather", "data": 3},
    )
    assert [(part["type"], part["data"]) for part in found] == [
        ("data-weather", 2),
        ("data-news", 1),
        ("data-weather", 3),
    ]


def test_a_call_goes_from_its_input_to_its_output() -> None:
    found = parts_of(START, delta('{"a":'), delta("1}"), AVAILABLE, {**ANSWERED, "preliminary": True})
    assert found == [call("output-available", input={"a": 1}, output=3, preliminary=True)]
    found = parts_of(START, AVAILABLE, {**ANSWERED, "output": 2, "preliminary": True}, ANSWERED)
    assert found == [call("output-available", input={"a": 1}, output=3)]


def test_half_an_input_is_never_part_of_the_message() -> None:
    assert parts_of(START, delta('{"a":')) == [call("input-streaming")]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        (' {"a": 1}', {"a": 1}),
        ("", {}),
        ("{", {}),
        ("[1]", {}),
        ([1], {}),
        (None, {}),
        (7, {}),
    ],
)
def test_the_input_of_a_call_is_an_object(given: Any, kept: Any) -> None:
    assert parts_of({**AVAILABLE, "input": given}) == [call("input-available", input=kept)]


def test_a_failed_output_says_why() -> None:
    found = parts_of(AVAILABLE, {"type": "tool-output-error", "toolCallId": "c", "errorText": "no"})
    assert found == [call("output-error", input={"a": 1}, errorText="no")]


def test_a_dynamic_call_is_updated_like_any_other() -> None:
    [part] = parts_of({**AVAILABLE, "dynamic": True}, {**ANSWERED, "providerMetadata": {"p": 1}})
    assert part == {
        "type": "dynamic-tool",
        "toolCallId": "c",
        "toolName": "add",
        "state": "output-available",
        "input": {"a": 1},
        "output": 3,
        "resultProviderMetadata": {"p": 1},
    }


def test_a_question_shows_the_input_that_was_pieced_together() -> None:
    [part] = parts_of(START, delta('{"a":'), delta("1}"), {**ASKED, "approvalDescriptor": {"x": 1}, "signature": "s"})
    approval = {"id": "ap", "descriptor": {"x": 1}, "signature": "s"}
    assert part == call("approval-requested", input={"a": 1}, approval=approval)


def test_an_answer_to_a_question_is_found_by_the_question_s_id() -> None:
    response = {"type": "tool-approval-response", "approvalId": "ap", "approved": False, "reason": "no"}
    [part] = parts_of(AVAILABLE, ASKED, response)
    approval = {"id": "ap", "approved": False, "reason": "no"}
    assert part == call("approval-responded", input={"a": 1}, approval=approval)


@pytest.mark.parametrize(
    ("state", "chunk"),
    [
        ("input-streaming", START),
        ("input-available", START),
        ("input-available", delta("{")),
        ("input-available", AVAILABLE),
        ("approval-responded", ASKED),
        ("approval-responded", {"type": "tool-output-denied", "toolCallId": "c"}),
        ("approval-responded", AVAILABLE),
        ("output-available", START),
        ("output-available", delta("{")),
        ("output-available", AVAILABLE),
        ("output-available", {**AVAILABLE, "type": "tool-input-error", "errorText": "x"}),
        ("output-available", ASKED),
        ("output-available", {"type": "tool-output-denied", "toolCallId": "c"}),
        ("output-error", ASKED),
        ("output-denied", AVAILABLE),
        ("output-available", {"type": "tool-approval-response", "approvalId": "ap", "approved": True}),
    ],
)
def test_a_chunk_that_would_take_a_call_back_changes_nothing_and_is_not_sent_on(state: str, chunk: Any) -> None:
    part = call(state, input={"z": 9}, approval={"id": "ap"})
    made = builder(deepcopy(part))
    assert not made.apply(chunk)
    assert made.message["parts"] == [part]


def test_an_output_that_is_told_again_is_sent_on() -> None:
    made = builder(call("output-available", input={}, output=3))
    assert made.apply(ANSWERED) == (ANSWERED,)


def test_an_input_that_comes_after_its_question_is_sent_with_the_question_again() -> None:
    made = builder()
    for chunk in (START, delta('{"a":'), {**ASKED, "approvalDescriptor": "d"}):
        made.apply(chunk)
    assert made.message["parts"][0]["input"] == {}
    assert made.apply(AVAILABLE) == (AVAILABLE, {**ASKED, "approvalDescriptor": "d"})
    assert made.message["parts"][0]["input"] == {"a": 1}
    # A whole input that a person has seen is not exchanged any more.
    late = {**AVAILABLE, "input": {"a": 2}}
    assert made.apply(late) == (AVAILABLE, {**ASKED, "approvalDescriptor": "d"})
    assert made.message["parts"][0]["input"] == {"a": 1}


def test_the_output_of_another_message_s_call_is_told_apart() -> None:
    made = builder(call("input-available"))
    assert not made.is_foreign(ANSWERED)
    assert made.is_foreign({**ANSWERED, "toolCallId": "other"})
    assert not made.is_foreign({"type": "tool-output-denied", "toolCallId": "other"})
    assert (made.has_call("c"), made.has_call("other")) == (True, False)


def test_a_step_that_is_reset_leaves_what_came_before_it() -> None:
    made = builder()
    for chunk in (
        {"type": "start-step"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "kept"},
        {"type": "start-step"},
        AVAILABLE,
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "gone"},
        {"type": "reset-step"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "new"},
    ):
        made.apply(chunk)
    assert [part.get("text") for part in made.message["parts"]] == [None, "kept", None, "new"]
    assert not made.has_call("c")


def test_a_continuation_goes_on_with_a_text_that_was_interrupted() -> None:
    made = builder({"type": "text", "text": "Hel", "state": "streaming"}, continuation=True)
    assert made.apply({"type": "text-start", "id": "9"}) == ()
    made.apply({"type": "text-delta", "id": "9", "delta": "lo"})
    made.apply({"type": "text-end", "id": "9"})
    second = {"type": "text-start", "id": "10"}
    assert made.apply(second) == (second,)
    assert [(part["text"], part["state"]) for part in made.message["parts"]] == [("Hello", "done"), ("", "streaming")]


@pytest.mark.parametrize(
    "part", [{"type": "text", "text": "x", "state": "done"}, {"type": "text", "text": "x"}, call("output-available")]
)
def test_a_continuation_adds_a_text_after_what_was_finished(part: dict[str, Any]) -> None:
    made = builder(part, continuation=True)
    start = {"type": "text-start", "id": "9"}
    assert made.apply(start) == (start,)
    assert len(made.message["parts"]) == 2


def test_a_continuation_goes_on_with_reasoning_but_tells_clients_of_the_start() -> None:
    made = builder({"type": "reasoning", "text": "Hm", "state": "streaming"}, continuation=True)
    start = {"type": "reasoning-start", "id": "9"}
    assert made.apply(start) == (start,)
    made.apply({"type": "reasoning-delta", "id": "9", "delta": "m"})
    assert made.message["parts"] == [{"type": "reasoning", "text": "Hmm", "state": "streaming"}]


def test_a_call_can_be_answered_from_outside_while_the_stream_goes_on() -> None:
    made = builder()
    for chunk in (AVAILABLE, {"type": "text-start", "id": "1"}, {"type": "text-delta", "id": "1", "delta": "Hel"}):
        made.apply(chunk)
    assert made.change(lambda message: apply_tool_result(message, "c", 3))
    assert not made.change(lambda message: apply_tool_result(message, "c", 4))
    assert not made.apply(AVAILABLE)
    made.apply({"type": "text-delta", "id": "1", "delta": "lo"})
    assert made.message["parts"] == [
        call("output-available", input={"a": 1}, output=3, preliminary=False),
        {"type": "text", "text": "Hello", "state": "streaming"},
    ]


def test_a_decision_from_outside_is_not_undone_by_the_stream() -> None:
    made = builder()
    made.apply(AVAILABLE)
    made.apply(ASKED)
    assert made.change(lambda message: apply_tool_approval(message, "c", True))
    assert not made.apply(ASKED)
    assert made.message["parts"][0]["approval"] == {"id": "ap", "approved": True}
