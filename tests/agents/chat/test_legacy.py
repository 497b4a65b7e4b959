from __future__ import annotations

from typing import Any

import pytest

from edgeagents.agents.chat.legacy import read_message, read_messages


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def message(*parts: dict[str, Any], role: str = "user", id: str = "m") -> dict[str, Any]:
    return {"id": id, "role": role, "parts": list(parts)}


def test_a_message_of_today_is_itself() -> None:
    given = message(text("hello"), {"type": "data-x", "data": 1}, {"type": "something-new"})
    assert read_message(given) is given


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"content": "hello"}, [text("hello")]),
        ({"content": ""}, [text("")]),
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}, "c"]}, [text("a"), text("b")]),
        ({"content": {"x": 1}}, [text('{"x":1}')]),
        ({"content": "hello", "reasoning": "hm"}, [{"type": "reasoning", "text": "hm"}, text("hello")]),
        (
            {"content": "see", "experimental_attachments": [{"name": "x.png", "contentType": "image/png", "url": "u"}]},
            [{"type": "file", "url": "u", "mediaType": "image/png", "filename": "x.png"}, text("see")],
        ),
    ],
)
def test_content_becomes_parts(given: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    assert read_message({"id": "m", "role": "user", **given}) == message(*parts)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (
            {"state": "partial-call", "args": {"a": 1}},
            {"state": "input-streaming", "input": {"a": 1}},
        ),
        ({"state": "call", "args": '{"a":1}'}, {"state": "input-available", "input": {"a": 1}}),
        ({"state": "result", "args": {}, "result": 3}, {"state": "output-available", "input": {}, "output": 3}),
        ({"state": "error", "result": "no"}, {"state": "output-error", "input": {}, "errorText": "no"}),
        ({}, {"state": "input-available", "input": {}}),
    ],
)
def test_calls_of_version_4_become_parts(call: dict[str, Any], part: dict[str, Any]) -> None:
    invocation = {"toolCallId": "c", "toolName": "add", **call}
    expected = {"type": "tool-add", "toolCallId": "c", **part}
    beside = {"id": "m", "role": "assistant", "content": "", "toolInvocations": [invocation]}
    assert read_message(beside) == message(expected, role="assistant")
    inside = message({"type": "tool-invocation", "toolInvocation": invocation}, role="assistant")
    assert read_message(inside) == message(expected, role="assistant")


def test_what_was_said_beside_a_call_is_not_lost() -> None:
    given = {
        "id": "m",
        "role": "assistant",
        "content": "It is 3.",
        "toolInvocations": [{"toolCallId": "c", "toolName": "add", "state": "result", "args": {}, "result": 3}],
    }
    found = read_message(given)
    assert found is not None
    assert found["parts"][1] == text("It is 3.")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "reasoning", "reasoning": "hm", "details": []}, {"type": "reasoning", "text": "hm"}),
        (
            {"type": "source", "source": {"sourceType": "url", "id": "s", "url": "u", "title": "T"}},
            {"type": "source-url", "sourceId": "s", "url": "u", "title": "T"},
        ),
        (
            {"type": "file", "mimeType": "image/png", "data": "AAAA"},
            {"type": "file", "url": "data:image/png;base64,AAAA", "mediaType": "image/png"},
        ),
    ],
)
def test_other_parts_of_version_4_become_those_of_today(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_message(message(part)) == message(expected)


@pytest.mark.parametrize(("input", "kept"), [(None, {}), ("", {}), ([1], {}), ('{"a":1}', {"a": 1})])
@pytest.mark.parametrize("kind", ["tool-add", "dynamic-tool"])
def test_the_input_of_a_call_is_made_an_object(kind: str, input: Any, kept: Any) -> None:
    part = {"type": kind, "toolCallId": "c", "state": "output-available", "input": input, "output": 1}
    assert read_message(message(part)) == message({**part, "input": kept})


def test_a_call_that_lost_its_input_gets_an_empty_one() -> None:
    part = {"type": "tool-add", "toolCallId": "c", "state": "input-streaming"}
    assert read_message(message(part)) == message({**part, "input": {}})


@pytest.mark.parametrize("given", [{"parts": [text("x")]}, {"content": "x"}])
def test_data_messages_are_the_system_s(given: dict[str, Any]) -> None:
    assert read_message({"id": "m", "role": "data", **given}) == message(text("x"), role="system")


def test_old_messages_without_an_id_are_named_by_their_place() -> None:
    found = read_messages([{"role": "user", "content": "a"}, {"content": "b", "metadata": {"x": 1}}])
    assert found == [message(text("a"), id="msg-0"), {**message(text("b"), id="msg-1"), "metadata": {"x": 1}}]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "hello",
        [],
        {"id": "m", "role": "tool", "parts": []},
        {"role": "user", "parts": []},
        {"id": "", "role": "user", "parts": []},
        {"id": 7, "role": "user", "content": "x"},
    ],
)
def test_what_is_no_message_is_left_out(given: Any) -> None:
    assert read_messages([given, message(text("x"))]) == [message(text("x"))]


def test_what_is_no_part_is_left_out() -> None:
    assert read_message(message(text("x"), "y", {"no": "type"})) == message(text("x"))  # type: ignore[arg-type]


def test_a_message_of_nothing_known_is_shown_as_it_came() -> None:
    found = read_message({"id": "m", "role": "user", "body": "?"})
    assert found == message(text('{"id":"m","role":"user","body":"?"}'))
