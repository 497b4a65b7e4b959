"""Frames as they are on the wire, against the golden transcripts of the TypeScript SDK on workerd."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.conftest import Driver
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare("Agents", "frames for identity, state, RPC, streaming", "same"),
]

MCP = {"type": "cf_agent_mcp_servers", "mcp": {"prompts": [], "resources": [], "servers": {}, "tools": []}}


def identity(name: str, agent: str = "counter", **more: object) -> dict[str, Any]:
    return {"type": "cf_agent_identity", "name": name, "agent": agent, **more}


def state(value: object) -> dict[str, Any]:
    return {"type": "cf_agent_state", "state": value}


def answer(**fields: object) -> dict[str, Any]:
    return {"type": "rpc", **fields}


def send(who: str, frame: object) -> list[Any]:
    return ["send", who, frame if isinstance(frame, str) else json.dumps(frame)]


def call(who: str, method: str, *args: object, id: str = "r") -> list[Any]:
    return send(who, {"type": "rpc", "id": id, "method": method, "args": args})


def opened(who: str, name: str, query: str = "") -> list[list[Any]]:
    """Steps that connect ``who`` and take the four frames that come with it."""
    return [["open", who, f"/agents/counter/{name}{query}"], ["take", who, 4]]


def test_connect_with_state(driver: Driver, server: Server) -> None:
    got = driver.run("transcript", server.url, steps=[*opened("A", "g1"), ["fence", "A"]])

    assert got == [["A", [identity("g1", stateFollows=True), state({"n": 0}), MCP, "hello g1"]], ["A", []]]


def test_connect_without_state(driver: Driver, server: Server) -> None:
    steps = [["open", "A", "/agents/keeper/g2"], ["take", "A", 2], ["fence", "A"]]

    assert driver.run("transcript", server.url, steps=steps) == [["A", [identity("g2", "keeper"), MCP]], ["A", []]]


def test_connect_without_identity(driver: Driver, server: Server) -> None:
    steps = [["open", "A", "/agents/nameless/g3"], ["take", "A", 2], ["fence", "A"]]

    assert driver.run("transcript", server.url, steps=steps) == [["A", [state({"n": 0}), MCP]], ["A", []]]


def test_connect_without_protocol_messages(driver: Driver, server: Server) -> None:
    steps = [["open", "A", "/agents/counter/g4?protocol=off"], ["take", "A", 1], ["fence", "A"]]

    assert driver.run("transcript", server.url, steps=steps) == [["A", ["hello g4"]], ["A", []]]


def test_state_goes_to_the_others_and_not_to_the_sender(driver: Driver, server: Server) -> None:
    steps = [
        *opened("A", "g5"),
        *opened("B", "g5"),
        ["open", "Q", "/agents/counter/g5?protocol=off"],
        ["take", "Q", 1],
        send("A", state({"n": 5})),
        ["take", "B", 1],
        ["fence", "A"],
        ["fence", "B"],
        ["fence", "Q"],
    ]

    got = driver.run("transcript", server.url, steps=steps)

    assert got[3:] == [["B", [state({"n": 5})]], ["A", []], ["B", []], ["Q", []]]


@pytest.mark.parametrize(
    ("query", "value", "error"),
    [("", {"n": -5}, "State update rejected"), ("?readonly=1", {"n": 9}, "Connection is readonly")],
    ids=["refused by the validator", "readonly connection"],
)
def test_state_refused(query: str, value: object, error: str, driver: Driver, server: Server) -> None:
    name = f"g6{len(query)}"
    steps = [*opened("A", name, query), *opened("B", name), send("A", state(value)), ["take", "A", 1], ["fence", "B"]]

    got = driver.run("transcript", server.url, steps=steps)

    assert got[2:] == [["A", [{"type": "cf_agent_state_error", "error": error}]], ["B", []]]


def test_frames_that_only_look_like_protocol_reach_the_handler(driver: Driver, server: Server) -> None:
    odd = [
        '{"type":"cf_agent_state"}',
        '{"type":"rpc","id":"1","method":"add"}',
        '{"type":"rpc","id":1,"method":"add","args":[]}',
        '{"type":"rpc","id":"1","method":"add","args":{}}',
        '["cf_agent_state"]',
    ]
    steps = [*opened("A", "g7"), *(send("A", text) for text in odd), ["take", "A", len(odd)]]

    got = driver.run("transcript", server.url, steps=steps)

    assert got[-1] == ["A", [f"echo:{text}" for text in odd]]


def test_call_that_sets_state(driver: Driver, server: Server) -> None:
    steps = [
        *opened("A", "g8"),
        *opened("B", "g8"),
        send("A", state({"n": 5})),
        ["take", "B", 1],
        call("A", "add", 2, id="1"),
        ["take", "A", 2],
        ["take", "B", 1],
        ["fence", "B"],
    ]

    got = driver.run("transcript", server.url, steps=steps)

    assert got[3:] == [
        ["A", [state({"n": 7}), answer(done=True, id="1", result=7, success=True)]],
        ["B", [state({"n": 7})]],
        ["B", []],
    ]


def test_call_of_a_readonly_connection_that_sets_state(driver: Driver, server: Server) -> None:
    steps = [*opened("R", "g9", "?readonly=1"), call("R", "add", 2, id="2"), ["take", "R", 1]]

    got = driver.run("transcript", server.url, steps=steps)

    assert got[-1] == ["R", [answer(error="Connection is readonly", id="2", success=False)]]


def done(result: object) -> dict[str, Any]:
    return answer(done=True, id="r", result=result, success=True)


def chunk(result: object) -> dict[str, Any]:
    return answer(done=False, id="r", result=result, success=True)


def failed(error: str) -> dict[str, Any]:
    return answer(error=error, id="r", success=False)


CALLS: dict[str, tuple[str, list[Any], list[dict[str, Any]]]] = {
    # JavaScript's undefined leaves the key out, its null does not. None is null.
    "nothing": ("nothing", [], [done(None)]),
    "raised": ("boom", [], [failed("bad thing")]),
    "missing": ("nope", [], [failed("Method nope does not exist")]),
    "not callable": ("on_start", [], [failed("Method on_start is not callable")]),
    "not callable, as JavaScript asks": ("onStart", [], [failed("Method onStart is not callable")]),
    "stream": ("count_to", [2], [chunk({"i": 0}), chunk({"i": 1}), done("fin")]),
    "stream that raises": ("fail_midway", [], [chunk(1), failed("mid")]),
    "stream without an end": ("never_end", [], [chunk(1)]),
}


@pytest.mark.parametrize("row", CALLS)
def test_call(row: str, driver: Driver, server: Server) -> None:
    method, args, frames = CALLS[row]
    steps = [
        *opened("A", f"g10-{method}"),
        call("A", method, *args),
        ["take", "A", len(frames)],
        ["fence", "A"],
    ]

    got = driver.run("transcript", server.url, steps=steps)

    assert got[1:] == [["A", frames], ["A", []]]
