from __future__ import annotations

import json
from typing import Any

import pytest

from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.protocol import (
    Cancel,
    ChatRequest,
    Clear,
    Ignored,
    ResumeAck,
    ResumeRequest,
    SetMessages,
    ToolApproval,
    ToolResult,
    read_chat_frame,
)

HELLO = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hello"}]}


def request(body: Any, **more: Any) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {
        "type": "cf_agent_use_chat_request",
        "id": "r1",
        "init": {"method": "POST", "body": text},
        **more,
    }


def test_a_request_carries_its_messages_in_text_inside_the_frame() -> None:
    frame = request({"messages": [HELLO], "trigger": "submit-message"})
    assert read_chat_frame(frame) == ChatRequest("r1", [HELLO], "submit-message", None, None)


def test_what_a_request_sends_besides_is_its_body() -> None:
    tools = [{"name": "where", "parameters": {"type": "object"}}]
    body = {"messages": [], "trigger": "regenerate-message", "clientTools": tools, "model": "big", "temperature": 1}
    expected = ChatRequest("r1", [], "regenerate-message", tools, {"model": "big", "temperature": 1})
    assert read_chat_frame(request(body)) == expected


@pytest.mark.parametrize("trigger", [None, "submit-message", "submit", 7])
def test_every_other_trigger_is_a_new_message(trigger: Any) -> None:
    found = read_chat_frame(request({"messages": [], "trigger": trigger}))
    assert isinstance(found, ChatRequest)
    assert found.trigger == "submit-message"


@pytest.mark.parametrize("tools", [None, [], {}, "where", [{"description": "nameless"}], [1]])
def test_tools_without_a_name_are_no_tools(tools: Any) -> None:
    found = read_chat_frame(request({"messages": [], "clientTools": tools}))
    assert isinstance(found, ChatRequest)
    assert found.client_tools is None


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": None},
        {"type": 1},
        {"type": ["cf_agent_chat_clear"]},
        {"type": "rpc", "id": "1", "method": "add", "args": []},
        {"type": "cf_agent_use_chat_response", "id": "r1"},
        {"type": "cf_agent_use_chat_request", "id": "r1"},
        {"type": "cf_agent_use_chat_request", "id": "r1", "init": {"method": "GET", "body": "{}"}},
        {"type": "cf_agent_use_chat_request", "id": "r1", "init": "POST"},
    ],
)
def test_what_is_not_chat_s_is_left_to_the_agent(frame: Any) -> None:
    assert read_chat_frame(frame) is None


@pytest.mark.parametrize(
    "frame",
    [
        request(""),
        request("{"),
        request("[]"),
        request("null"),
        request({}),
        request({"messages": None}),
        request({"messages": {"0": HELLO}}),
        request({"messages": [HELLO]}, init={"method": "POST"}),
        request({"messages": [HELLO]}, id=7),
        {"type": "cf_agent_chat_messages", "messages": "hello"},
    ],
)
def test_a_frame_of_chat_that_cannot_be_read_is_ignored_and_not_the_agent_s(frame: Any) -> None:
    assert isinstance(read_chat_frame(frame), Ignored)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"type": "cf_agent_chat_request_cancel", "id": "r1"}, Cancel("r1")),
        ({"type": "cf_agent_chat_request_cancel"}, Cancel("")),
        ({"type": "cf_agent_chat_clear"}, Clear()),
        ({"type": "cf_agent_chat_messages", "messages": [HELLO]}, SetMessages([HELLO])),
        ({"type": "cf_agent_chat_messages"}, SetMessages([])),
        ({"type": "cf_agent_stream_resume_request", "probeId": "p"}, ResumeRequest("p")),
        ({"type": "cf_agent_stream_resume_request", "probeId": 1}, ResumeRequest(None)),
        ({"type": "cf_agent_stream_resume_request"}, ResumeRequest(None)),
        ({"type": "cf_agent_stream_resume_ack", "id": "r1"}, ResumeAck("r1")),
        (
            {
                "type": "cf_agent_tool_result",
                "toolCallId": "c1",
                "toolName": "where",
                "output": {"lat": 1},
                "autoContinue": True,
                "clientTools": [{"name": "where"}],
            },
            ToolResult("c1", "where", {"lat": 1}, False, None, True, [{"name": "where"}]),
        ),
        (
            {"type": "cf_agent_tool_result", "toolCallId": "c1", "state": "output-error", "errorText": "no"},
            ToolResult("c1", "", None, True, "no", False, None),
        ),
        (
            {"type": "cf_agent_tool_result", "toolCallId": "c1", "state": "output-denied"},
            ToolResult("c1", "", None, False, None, False, None),
        ),
        (
            {"type": "cf_agent_tool_approval", "toolCallId": "c1", "approved": True, "autoContinue": True},
            ToolApproval("c1", True, True),
        ),
        ({"type": "cf_agent_tool_approval", "toolCallId": "c1"}, ToolApproval("c1", False, False)),
    ],
)
def test_frames_of_clients_are_read(frame: Any, expected: Any) -> None:
    found = read_chat_frame(frame)
    assert found == expected
    assert type(found) is type(expected)


BODY = '{"type":"start","messageId":"a1"}'
TYPE = '"type":"cf_agent_use_chat_response"'


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (
            protocol.chunk_frame("r1", BODY, 0),
            '{"body":"{\\"type\\":\\"start\\",\\"messageId\\":\\"a1\\"}","done":false,"id":"r1",' + TYPE + ',"seq":0}',
        ),
        (
            protocol.chunk_frame("r1", "{}", 3, continuation=True),
            '{"body":"{}","done":false,"id":"r1",' + TYPE + ',"seq":3,"continuation":true}',
        ),
        (
            protocol.chunk_frame("r1", "{}", 3, replay=True),
            '{"body":"{}","done":false,"id":"r1",' + TYPE + ',"replay":true,"seq":3}',
        ),
        (protocol.chunk_frame("r1", "{}", None), '{"body":"{}","done":false,"id":"r1",' + TYPE + "}"),
        (
            protocol.done_frame("r1", message_ids=["u1"]),
            '{"body":"","done":true,"id":"r1",' + TYPE + ',"messageIds":["u1"]}',
        ),
        (
            protocol.done_frame("r1", continuation=True),
            '{"body":"","done":true,"id":"r1",' + TYPE + ',"continuation":true}',
        ),
        (
            protocol.done_frame("r1", outcome="aborted", continuation=True, message_ids=["u1", "u2"]),
            '{"body":"","done":true,"id":"r1",'
            + TYPE
            + ',"outcome":"aborted","continuation":true,"messageIds":["u1","u2"]}',
        ),
        (
            protocol.done_frame("r3", body=protocol.NO_RESPONSE, outcome="completed", message_ids=["u3"]),
            '{"body":"No response was generated by the agent.","done":true,"id":"r3",'
            + TYPE
            + ',"outcome":"completed","messageIds":["u3"]}',
        ),
        (
            protocol.error_frame("r5", "provider 500", done=False, message_ids=["u5"]),
            '{"error":true,"body":"provider 500","done":false,"id":"r5",' + TYPE + ',"messageIds":["u5"]}',
        ),
        (
            protocol.error_frame("r5", "provider 500", done=True, outcome="error", message_ids=["u5"]),
            '{"body":"provider 500","done":true,"error":true,"id":"r5",'
            + TYPE
            + ',"outcome":"error","messageIds":["u5"]}',
        ),
        (
            protocol.replay_complete_frame("s1"),
            '{"body":"","done":false,"id":"s1",' + TYPE + ',"replay":true,"replayComplete":true}',
        ),
        (
            protocol.replay_done_frame("s1", message_ids=["u1"]),
            '{"body":"","done":true,"id":"s1",' + TYPE + ',"replay":true,"messageIds":["u1"]}',
        ),
        (
            protocol.replay_done_frame("s1", outcome="aborted", continuation=True, message_ids=["u1"]),
            '{"body":"","done":true,"id":"s1",'
            + TYPE
            + ',"replay":true,"continuation":true,"messageIds":["u1"],"outcome":"aborted"}',
        ),
        (
            protocol.messages_frame([{"id": "a", "role": "assistant", "parts": []}]),
            '{"messages":[{"id":"a","role":"assistant","parts":[]}],"type":"cf_agent_chat_messages"}',
        ),
        (protocol.messages_frame([], connect=True), '{"messages":[],"type":"cf_agent_chat_messages","connect":true}'),
        (
            protocol.updated_frame({"id": "a", "role": "assistant", "parts": []}),
            '{"type":"cf_agent_message_updated","message":{"id":"a","role":"assistant","parts":[]}}',
        ),
        (protocol.CLEAR_FRAME, '{"type":"cf_agent_chat_clear"}'),
        (protocol.resuming_frame("s1"), '{"type":"cf_agent_stream_resuming","id":"s1"}'),
        (protocol.resuming_frame("s1", "pb"), '{"type":"cf_agent_stream_resuming","id":"s1","probeId":"pb"}'),
        (protocol.pending_frame(), '{"type":"cf_agent_stream_pending"}'),
        (protocol.pending_frame("s1", "pb"), '{"type":"cf_agent_stream_pending","id":"s1","probeId":"pb"}'),
        (protocol.resume_none_frame(), '{"type":"cf_agent_stream_resume_none"}'),
        (
            protocol.resume_none_frame("idle", "pb"),
            '{"type":"cf_agent_stream_resume_none","reason":"idle","probeId":"pb"}',
        ),
        (protocol.recovering_frame(True, "r1"), '{"type":"cf_agent_chat_recovering","recovering":true,"id":"r1"}'),
        (protocol.recovering_frame(False), '{"type":"cf_agent_chat_recovering","recovering":false}'),
    ],
)
def test_frames_are_those_that_were_captured_letter_by_letter(frame: str, text: str) -> None:
    assert frame == text
