"""Turns of a chat agent on the wire: asking, answering, failing, cancelling, and who sees what."""

from __future__ import annotations

import json

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    Step,
    answered,
    asks,
    assistant,
    calls,
    closes,
    connects,
    gate,
    gets,
    opens,
    perform,
    quiet,
    reply,
    sends,
    skips_done,
    starts,
    text,
    until,
    until_chunk,
    until_done,
    user,
)
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Chat",
        "turns on the wire: asking, answering, failing, cancelling",
        "same; the rows that differ on purpose stand in `tests/clients/README.md`",
    ),
]

BOTH = [*connects("A"), *connects("B")]
HISTORY = calls("A", "history")


def ends(who: str = "AB", id: str = "r1") -> list[Step]:
    return [step for one in who for step in until_done(one, id)] + quiet(*who)


def raw_request(who: str, **request: object) -> list[Step]:
    return sends(who, {"type": "cf_agent_use_chat_request", **request})


ROWS: dict[str, list[Step]] = {
    "frames on connect": [*opens("A"), *until("A", type="cf_agent_mcp_servers"), *quiet("A")],
    "turn": [*BOTH, *asks("A", "r1", user("u1")), *ends(), *HISTORY],
    "second turn": [
        *BOTH,
        *asks("A", "r1", user("u1")),
        *skips_done("A"),
        *skips_done("B"),
        # A client sends the whole conversation, and this one knows only its own part of it.
        *asks("A", "r2", user("u1"), user("u2", "again")),
        *ends(id="r2"),
        *HISTORY,
        *calls("A", "turns"),
    ],
    "plain text": [
        *BOTH,
        *asks("A", "r1", user("u1"), user("u2"), form="text", script=[{"text": "plain "}, {"text": "é😀"}]),
        *ends(),
        *HISTORY,
    ],
    "plain text that is empty": [*BOTH, *asks("A", "r1", user("u1"), form="text", script=[]), *ends(), *HISTORY],
    "nothing returned": [*BOTH, *asks("A", "r1", user("u1"), form="nothing"), *ends(), *HISTORY],
    "stream without chunks": [*BOTH, *asks("A", "r1", user("u1"), script=[]), *ends(), *HISTORY],
    "message id of the model is kept": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=[{"type": "start", "messageId": "from-the-model"}, *text("hi")]),
        *ends(),
        *HISTORY,
    ],
    "stream without a start": [*BOTH, *asks("A", "r1", user("u1"), script=text("hi")), *ends(), *HISTORY],
    "comments events and the done mark are not chunks": [
        *connects("A"),
        *asks(
            "A",
            "r1",
            user("u1"),
            script=[
                {"sse": ": a comment\n\n"},
                {"sse": "event: other\nid: 7\nretry: 10\n\n"},
                {"sse": 'data: {"type":"text-start","id":"t"}\n\ndata: {"type":"text-delta",'},
                {"sse": '"id":"t","delta":"in two reads"}\n\n'},
                {"sse": "data: [DONE]\n\n"},
            ],
        ),
        *ends("A"),
        *HISTORY,
    ],
    "carriage returns in an event stream": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[{"sse": 'data: {"type":"text-start","id":"t"}\r\n\r\n'}, *text("hi")]),
        *ends("A"),
        *HISTORY,
    ],
    "data that is no json": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[{"sse": "data: {oops\n\n"}, *text("hi")]),
        *ends("A"),
        *HISTORY,
    ],
    "last event without an end": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[*text("hi"), {"sse": 'data: {"type":"start-step"}'}]),
        *ends("A"),
    ],
    "metadata of start and finish": [
        *BOTH,
        *asks(
            "A",
            "r1",
            user("u1"),
            script=[
                {"type": "start", "messageMetadata": {"model": "m", "both": 1}},
                *text("hi"),
                {"type": "message-metadata", "messageMetadata": {"middle": True}},
                {"type": "finish", "finishReason": "length", "messageMetadata": {"tokens": 3, "both": 2}},
            ],
        ),
        *ends(),
        *HISTORY,
    ],
    "finish without a reason": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[*text("hi"), {"type": "finish", "messageMetadata": {"tokens": 3}}]),
        *ends("A"),
        *HISTORY,
    ],
    "custom body and client tools reach the agent": [
        *connects("A"),
        *asks("A", "r1", user("u1"), colour="blue", deep={"a": [None]}, clientTools=[{"name": "locate"}]),
        *skips_done("A"),
        *calls("A", "turns"),
    ],
    "no custom body": [*connects("A"), *asks("A", "r1", user("u1")), *skips_done("A"), *calls("A", "turns")],
    "agent knows who asked": [
        *connects("A", "/agents/chat/NAME?_pk=asker"),
        *asks("A", "r1", user("u1")),
        *skips_done("A"),
        *calls("A", "turns"),
        *calls("A", "responses"),
    ],
    # requests that are none
    "get is no request": [*connects("A"), *raw_request("A", id="r1", init={"method": "GET"}), *quiet("A")],
    "empty body": [
        *connects("A"),
        *raw_request("A", id="r1", init={"method": "POST"}),
        *raw_request("A", id="r2", init={"method": "POST", "body": ""}),
        *quiet("A"),
        *calls("A", "turns"),
    ],
    "body that is no json": [
        *connects("A"),
        *raw_request("A", id="r1", init={"method": "POST", "body": "{"}),
        *quiet("A"),
        *calls("A", "turns"),
    ],
    "request without init": [*connects("A"), *raw_request("A", id="r1"), *quiet("A")],
    "request without id": [
        *connects("A"),
        *raw_request("A", init={"method": "POST", "body": json.dumps({"messages": [user("u1")]})}),
        *quiet("A"),
    ],
    "frames of other kinds reach the handler": [
        *connects("A"),
        *sends("A", "hi"),
        *sends("A", {"type": "cf_agent_chat_unknown"}),
        *sends("A", {"type": "cf_agent_message_updated"}),
        *sends("A", {"type": "cf_agent_stream_resuming", "id": "r1"}),
        *sends("A", {"type": "cf_agent_chat_recovering", "recovering": True}),
        *sends("A", {"type": "cf_agent_use_chat_response", "id": "r1", "body": "", "done": True}),
        *quiet("A"),
    ],
    "readonly connection may chat": [
        *connects("A", "/agents/chat/NAME?readonly=1"),
        *asks("A", "r1", user("u1")),
        *skips_done("A"),
        *HISTORY,
    ],
    "connection without protocol messages gets chat frames": [
        *connects("A"),
        *opens("Q", "/agents/chat/NAME?protocol=off"),
        *calls("Q", "ping"),
        *asks("A", "r1", user("u1"), script=text("hi")),
        *ends("Q"),
        *asks("Q", "r2", user("u1"), user("u2"), script=text("ho")),
        *ends("Q", "r2"),
    ],
    # failures
    "error chunk": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=[*text("par"), {"type": "error", "errorText": "provider 500"}, *text("x")]),
        *ends(),
        *HISTORY,
        *calls("A", "responses"),
    ],
    "error chunk as the first": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=[{"type": "error", "errorText": "provider 500"}]),
        *ends(),
        *HISTORY,
    ],
    "stream that breaks off": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=[*text("par"), {"fail": "connection reset"}]),
        *ends(),
        *HISTORY,
        *calls("A", "responses"),
    ],
    "plain text that breaks off": [
        *BOTH,
        *asks("A", "r1", user("u1"), form="text", script=[{"text": "par"}, {"fail": "connection reset"}]),
        *ends(),
        *HISTORY,
    ],
    # The SDK sends nothing, and its client waits for ever.
    "agent that raises": [
        *BOTH,
        *asks("A", "r1", user("u1"), form="raise"),
        *calls("A", "stable", 5000),
        *quiet("A", "B"),
        *HISTORY,
        *asks("A", "r2", user("u1"), user("u2"), script=text("hi")),
        *ends("A", "r2"),
    ],
    "next turn after a failure": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[{"fail": "connection reset"}]),
        *skips_done("A"),
        *asks("A", "r2", user("u1"), user("u2"), script=text("hi")),
        *ends("A", "r2"),
        *HISTORY,
    ],
    "abort chunk": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=[*text("par"), {"type": "abort", "reason": "enough"}]),
        *ends(),
        *HISTORY,
        *calls("A", "responses"),
    ],
    # cancelling
    "cancel": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=reply(text("par", gate("g"), "tial"))),
        *until_chunk("A", type="text-delta"),
        *until_chunk("B", type="text-delta"),
        *sends("A", {"type": "cf_agent_chat_request_cancel", "id": "r1"}),
        *ends(),
        *HISTORY,
        *calls("A", "turns"),
        *calls("A", "responses"),
    ],
    "cancel by another tab": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=reply(text("par", gate("g"), "tial"))),
        *until_chunk("A", type="text-delta"),
        *until_chunk("B", type="text-delta"),
        *sends("B", {"type": "cf_agent_chat_request_cancel", "id": "r1"}),
        *ends(),
    ],
    "cancel before the stream": [
        *BOTH,
        *asks("A", "r1", user("u1"), before="g"),
        *calls("A", "reached", "g"),
        *sends("A", {"type": "cf_agent_chat_request_cancel", "id": "r1"}),
        *calls("A", "open", "g"),
        *ends(),
        *HISTORY,
        *calls("A", "turns"),
    ],
    "cancel of nothing": [
        *connects("A"),
        *sends("A", {"type": "cf_agent_chat_request_cancel", "id": "r7"}),
        *quiet("A"),
        *asks("A", "r7", user("u1"), script=text("hi")),
        *ends("A", "r7"),
    ],
    "cancel after the end": [
        *connects("A"),
        *asks("A", "r1", user("u1")),
        *skips_done("A"),
        *sends("A", {"type": "cf_agent_chat_request_cancel", "id": "r1"}),
        *quiet("A"),
        *HISTORY,
    ],
    "cancel of a turn that waits for its turn": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=text("a", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *asks("A", "r2", user("u1"), user("u2"), script=text("b")),
        *calls("A", "ping"),
        *sends("A", {"type": "cf_agent_chat_request_cancel", "id": "r2"}),
        *calls("A", "open", "g"),
        *ends("A", "r2"),
        *HISTORY,
    ],
    "agent aborts its request": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=text("par", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *calls("A", "abort_current"),
        *ends(),
    ],
    "agent aborts all requests": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=text("par", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *calls("A", "abort_all"),
        *ends(),
        *asks("A", "r2", user("u1"), user("u2"), script=text("b")),
        *ends("A", "r2"),
    ],
    # who is there
    "turn goes on without its asker": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=text("a", gate("g"), "b")),
        *until_chunk("A", type="text-delta"),
        *closes("A"),
        *calls("B", "open", "g"),
        *ends("B"),
        *calls("B", "history"),
    ],
    "turn goes on without anybody": [
        *connects("A"),
        *asks("A", "r1", user("u1"), before="g"),
        *calls("A", "reached", "g"),
        *closes("A"),
        *connects("B"),
        *calls("B", "open", "g"),
        *calls("B", "stable", 5000),
        *calls("B", "history"),
    ],
    "two askers take turns": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=text("a", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *asks("B", "r2", user("u1"), user("u2"), script=text("b")),
        *calls("B", "ping"),
        *calls("A", "open", "g"),
        *ends(id="r2"),
        *HISTORY,
    ],
    "responses are told to the agent": [
        *connects("A"),
        *asks("A", "r1", user("u1")),
        *skips_done("A"),
        *calls("A", "stable", 5000),
        *calls("A", "responses"),
    ],
    "agent that goes on by itself": [
        *connects("A", "/agents/talkative-chat/NAME"),
        *asks("A", "r1", user("u1"), script=text("one")),
        *until_done("A", "r1"),
        *until_done("A"),
        *quiet("A"),
        *HISTORY,
    ],
    "same request id twice": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=text("one")),
        *skips_done("A", "r1"),
        *asks("A", "r1", user("u1"), user("u2"), script=text("two")),
        *ends("A"),
        *HISTORY,
    ],
    "get messages while a turn runs": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=text("a", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *gets("/agents/chat/NAME/get-messages"),
        *calls("A", "open", "g"),
        *skips_done("A"),
        *gets("/agents/chat/NAME/get-messages"),
    ],
    "saved messages start a turn": [
        *BOTH,
        *calls("A", "save", [user("u1")]),
        *until_done("A"),
        *until_done("B"),
        *quiet("A", "B"),
        *HISTORY,
        *calls("A", "turns"),
    ],
    "saved messages made of what is there": [
        *connects("A"),
        *calls("A", "save", [user("u1")]),
        *skips_done("A"),
        *calls("A", "save_more", "and more"),
        *skips_done("A"),
        *HISTORY,
    ],
    "saved messages wait for the turn that runs": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=text("a", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *starts("A", "save", [user("u1"), user("u2")]),
        *calls("A", "open", "g"),
        *answered("A"),
        *quiet("A"),
        *HISTORY,
    ],
    "continue the last turn": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=reply("one"), then=reply("two"), colour="blue"),
        *skips_done("A"),
        *skips_done("B"),
        *calls("A", "go_on"),
        *quiet("A", "B"),
        *HISTORY,
        *calls("A", "turns"),
        *calls("A", "responses"),
    ],
    "continue without an assistant message": [
        *connects("A"),
        *calls("A", "go_on"),
        *calls("A", "persist", [user("u1")]),
        *calls("A", "go_on"),
        *quiet("A"),
        *HISTORY,
    ],
    "continue with another body": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", "one")]),
        *calls("A", "go_on", {"then": text("two"), "colour": "red"}),
        *quiet("A"),
        *HISTORY,
        *calls("A", "turns"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_turn(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "turns", driver, server)

    assert seen == kept
