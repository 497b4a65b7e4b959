"""What a chat agent keeps of a stream: chunks in, a stored message out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import asks, calls, connects, perform, quiet, reply, text, tool_call, until_done, user
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Chat",
        "chunks become the parts of a message",
        "same; the rows that differ on purpose stand in `tests/clients/README.md`",
    ),
]

Chunks = list[dict[str, Any]]
START = {"type": "tool-input-start", "toolCallId": "c1", "toolName": "locate"}
AVAILABLE = {"type": "tool-input-available", "toolCallId": "c1", "toolName": "locate", "input": {"x": 1}}
APPROVAL = {"type": "tool-approval-request", "toolCallId": "c1", "approvalId": "ap1"}


def delta(words: str, id: str = "t") -> dict[str, Any]:
    return {"type": "text-delta", "id": id, "delta": words}


def reasoning(kind: str, **fields: object) -> dict[str, Any]:
    return {"type": f"reasoning-{kind}", "id": "r", **fields}


def output(kind: str = "available", **fields: object) -> dict[str, Any]:
    return {"type": f"tool-output-{kind}", "toolCallId": "c1", **fields}


def input_delta(words: str) -> dict[str, Any]:
    return {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": words}


ROWS: dict[str, Chunks] = {
    "a text": text("Hel", "lo"),
    "two texts": [*text("one", id="a"), *text("two", id="b")],
    "texts that overlap": [
        {"type": "text-start", "id": "a"},
        {"type": "text-start", "id": "b"},
        delta("for a", "a"),
        {"type": "text-end", "id": "a"},
        delta("for b", "b"),
        {"type": "text-end", "id": "b"},
    ],
    "a delta without a start": [delta("out of the blue")],
    "an end without a start": [{"type": "text-end", "id": "t"}],
    "a text without an end": [{"type": "text-start", "id": "t"}, delta("open")],
    "a text of provider metadata": [
        {"type": "text-start", "id": "t", "providerMetadata": {"p": {"a": 1}}},
        delta("x"),
        {"type": "text-end", "id": "t", "providerMetadata": {"p": {"b": 2}}},
    ],
    "unicode and newlines": text("é😀\u2028", "line\nline", '"quoted"'),
    "empty deltas": text("", "a", ""),
    "reasoning": [reasoning("start"), reasoning("delta", delta="hm"), reasoning("end"), *text("so")],
    "reasoning with provider metadata": [
        reasoning("start", providerMetadata={"anthropic": {"a": 1}}),
        reasoning("delta", delta="hm", providerMetadata={"anthropic": {"signature": "sig"}}),
        reasoning("end", providerMetadata={"other": {"b": 2}}),
    ],
    "a reasoning delta without a start": [reasoning("delta", delta="hm")],
    "steps": [{"type": "start-step"}, *text("a"), {"type": "finish-step"}, {"type": "start-step"}, *text("b")],
    "a step by its old name": [{"type": "step-start"}, *text("a")],
    "a file": [{"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="}],
    "sources": [
        {"type": "source-url", "sourceId": "s1", "url": "https://example.org", "title": "Example"},
        {
            "type": "source-document",
            "sourceId": "s2",
            "mediaType": "application/pdf",
            "title": "Doc",
            "filename": "a.pdf",
            "providerMetadata": {"p": 1},
        },
    ],
    "a tool that is called and answered": [
        START,
        input_delta('{"x"'),
        input_delta(":1}"),
        AVAILABLE,
        output(output=[7]),
    ],
    "a tool without a start": [AVAILABLE],
    "a tool that starts twice": [START, START, AVAILABLE],
    "a tool that only starts": [START, input_delta('{"x":')],
    "a tool of the provider": [
        {**START, "providerExecuted": True, "title": "Locator", "providerMetadata": {"p": {"id": "1"}}},
        {**AVAILABLE, "providerExecuted": True, "title": "Locator", "providerMetadata": {"p": {"id": "1"}}},
        output(output={"found": True}, providerExecuted=True),
    ],
    "a dynamic tool": [{**START, "dynamic": True}, {**AVAILABLE, "dynamic": True}, output(output=1, dynamic=True)],
    "input as a text of json": [START, {**AVAILABLE, "input": '{"x": 1}'}],
    "input that is no object": [START, {**AVAILABLE, "input": "words"}],
    "input that is a list": [START, {**AVAILABLE, "input": [1]}],
    "input that is null": [START, {**AVAILABLE, "input": None}],
    "input that failed": [
        START,
        {"type": "tool-input-error", "toolCallId": "c1", "toolName": "locate", "input": "{x", "errorText": "bad input"},
    ],
    "input that failed without a start": [
        {"type": "tool-input-error", "toolCallId": "c1", "toolName": "locate", "input": {"x": 1}, "errorText": "bad"},
    ],
    "input that failed after an output": [
        START,
        AVAILABLE,
        output(output=1),
        {"type": "tool-input-error", "toolCallId": "c1", "toolName": "locate", "input": {}, "errorText": "late"},
    ],
    "an output error": [START, AVAILABLE, output("error", errorText="no luck")],
    "an output that is denied": [START, AVAILABLE, APPROVAL, output("denied")],
    "a denial after an output": [START, AVAILABLE, output(output=1), output("denied")],
    "a preliminary output": [START, AVAILABLE, output(output=1, preliminary=True), output(output=2)],
    "an output without a call": [output(output=1)],
    "an output null": [START, AVAILABLE, output(output=None)],
    "a second output": [START, AVAILABLE, output(output=1), output(output=2)],
    "an input after its output": [START, AVAILABLE, output(output=1), {**AVAILABLE, "input": {"x": 2}}],
    "an approval": [START, AVAILABLE, APPROVAL],
    "an approval without an input": [START, input_delta('{"x":5}'), APPROVAL],
    "an approval after an output": [START, AVAILABLE, output(output=1), APPROVAL],
    "an approval without a call": [APPROVAL],
    "data": [{"type": "data-weather", "data": {"sun": 1}}, {"type": "data-note", "id": "n1", "data": "a"}],
    "data that is replaced": [
        {"type": "data-weather", "id": "w", "data": {"sun": 1}},
        *text("between"),
        {"type": "data-weather", "id": "w", "data": {"sun": 2}},
        {"type": "data-other", "id": "w", "data": {"sun": 3}},
    ],
    "transient data": [{"type": "data-progress", "data": 5, "transient": True}, *text("x")],
    "only transient data": [{"type": "data-progress", "data": 5, "transient": True}],
    "chunks of unknown kinds": [{"type": "custom-thing", "value": 1}, {"value": 2}, *text("x")],
    "an openai item id": [
        reasoning("start", providerMetadata={"openai": {"itemId": "rs_1", "reasoningEncryptedContent": None}}),
        reasoning("end"),
        {"type": "text-start", "id": "t", "providerMetadata": {"openai": {"itemId": "msg_1"}}},
        delta("x"),
        {"type": "text-end", "id": "t", "providerMetadata": {"openai": {"itemId": "msg_1", "kept": 1}}},
    ],
    "a long output of the provider": [
        {**START, "providerExecuted": True},
        {**AVAILABLE, "providerExecuted": True},
        output(output={"short": "s", "long": "x" * 600, "encryptedContent": "e" * 600}, providerExecuted=True),
    ],
    "a long output of our own tool": [START, AVAILABLE, output(output={"long": "x" * 600})],
    "a whole answer": reply(
        [reasoning("start"), reasoning("delta", delta="hm"), reasoning("end")],
        tool_call("c1", x=1),
        output(output={"lat": 1}),
        {"type": "finish-step"},
        {"type": "start-step"},
        "There.",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_stored_message(row: str, driver: Driver, server: Server) -> None:
    steps = [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=ROWS[row]),
        *until_done("A"),
        *quiet("A"),
        *calls("A", "history"),
    ]

    seen, kept = perform(steps, row, "parts", driver, server)

    assert seen == kept
