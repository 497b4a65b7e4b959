from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from edgeagents.agents import protocol


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            protocol.identity_frame("g1", "counter", state_follows=True),
            {"type": "cf_agent_identity", "name": "g1", "agent": "counter", "stateFollows": True},
        ),
        (
            protocol.identity_frame("g1", "counter", state_follows=False),
            {"type": "cf_agent_identity", "name": "g1", "agent": "counter"},
        ),
        (protocol.state_frame('{"n":0}'), {"type": "cf_agent_state", "state": {"n": 0}}),
        (protocol.state_frame("null"), {"type": "cf_agent_state", "state": None}),
        (protocol.state_error_frame("no"), {"type": "cf_agent_state_error", "error": "no"}),
        (
            protocol.EMPTY_MCP_FRAME,
            {
                "type": "cf_agent_mcp_servers",
                "mcp": {"servers": {}, "tools": [], "prompts": [], "resources": []},
            },
        ),
        (
            protocol.result_frame("1", 7),
            {"type": "rpc", "id": "1", "success": True, "result": 7, "done": True},
        ),
        (
            protocol.result_frame("1", {"i": 0}, done=False),
            {"type": "rpc", "id": "1", "success": True, "result": {"i": 0}, "done": False},
        ),
        (
            protocol.error_frame("1", "bad thing"),
            {"type": "rpc", "id": "1", "success": False, "error": "bad thing"},
        ),
    ],
)
def test_frames_have_exactly_the_keys_that_clients_know(frame: str, expected: Any) -> None:
    assert json.loads(frame) == expected


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[1]", "1", "null", '"{}"', "{", '{"a":}', "{}x", '{"a":NaN}', '{"a":Infinity}', "[" * 100_000],
)
def test_text_that_is_no_json_object_is_no_frame(text: str) -> None:
    assert protocol.decode(text) is None


def test_nesting_without_end_is_no_frame() -> None:
    assert protocol.decode('{"a":' * 200_000) is None


def test_white_space_around_a_frame_is_allowed() -> None:
    assert protocol.decode(' \r\n\t{"a": 1} ') == {"a": 1}


@pytest.mark.parametrize("state", [0, False, "", None, [], {"n": 1}])
def test_every_state_is_a_change(state: Any) -> None:
    assert protocol.read_state_change({"type": "cf_agent_state", "state": state}) == (state,)


@pytest.mark.parametrize(
    "frame",
    [{"type": "cf_agent_state"}, {"type": "CF_AGENT_STATE", "state": 1}, {"state": 1}, {"type": 1, "state": 1}],
)
def test_frame_without_state_is_no_change(frame: dict[str, Any]) -> None:
    assert protocol.read_state_change(frame) is None


def test_complete_call_is_read() -> None:
    frame = {"type": "rpc", "id": "1", "method": "add", "args": [2]}
    assert protocol.read_call(frame) == protocol.Call("1", "add", [2])


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "rpc", "id": 1, "method": "add", "args": []},
        {"type": "rpc", "id": "1", "method": None, "args": []},
        {"type": "rpc", "id": "1", "method": "add", "args": {}},
        {"type": "rpc", "id": "1", "method": "add"},
        {"type": "call", "id": "1", "method": "add", "args": []},
    ],
)
def test_incomplete_call_is_not_read(frame: dict[str, Any]) -> None:
    assert protocol.read_call(frame) is None


@dataclass
class Point:
    x: int
    y: int


def test_results_may_be_dataclasses() -> None:
    assert json.loads(protocol.result_frame("1", [Point(1, 2)]))["result"] == [{"x": 1, "y": 2}]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), float("inf")])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        protocol.encode(value)


def test_state_must_be_plain_json() -> None:
    with pytest.raises(TypeError):
        protocol.encode(Point(1, 2), strict=True)


def test_text_is_sent_as_it_is() -> None:
    assert protocol.encode({"t": "grüße ☕"}) == '{"t":"grüße ☕"}'


def test_half_a_surrogate_pair_can_be_sent() -> None:
    # A client can send it as an escape, and it must not break the broadcast to the others.
    value = protocol.decode('{"t":"\\ud800 ü"}')
    text = protocol.encode(value)
    assert text.encode()
    assert json.loads(text) == value
