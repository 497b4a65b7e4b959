"""What the official clients see when they talk to us: one row a scenario.

The scenarios are in ``scenarios/``; they report, and the rows here say what is right. Frames as they are on the wire
are in ``test_transcripts.py``, servers that die in ``test_restart.py``.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.clients.conftest import Driver
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare("Agents", "frames for identity, state, RPC, streaming", "same"),
]


class Like:
    """Equal to every text that matches a regular expression."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self.pattern, other, re.DOTALL) is not None

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"Like({self.pattern!r})"


NO_SECRET = Like(r"(?!.*(secret|kaboom|conn boom|Traceback|File \")).+")
ZERO = [{"n": 0}, "server"]

CONNECT: dict[str, Any] = {
    "identity": {
        "before": False,
        "after": True,
        "name": "identity",
        "agent": "counter",
        "identities": [["identity", "counter"]],
    },
    "identity_of_many_capitals": {
        "agent": "a-i-assistant",
        "url": "/agents/a-i-assistant/identity-of-many-capitals",
    },
    "default_name": {"name": "default", "path": "/agents/counter/default"},
    "frames_on_connect": [
        "cf_agent_identity",
        "cf_agent_state",
        "cf_agent_mcp_servers",
        "hello frames-on-connect",
    ],
    "state_is_there_when_ready": {"state": {"n": 42}, "updates": [[{"n": 42}, "server"]], "follows": True},
    "no_state": {
        "state": None,
        "kinds": ["cf_agent_identity", "cf_agent_mcp_servers"],
        "identity": {"type": "cf_agent_identity", "name": "no-state", "agent": "no-state"},
    },
    "no_identity": {"kinds": ["cf_agent_state", "cf_agent_mcp_servers"], "identified": False, "answered": "pong"},
    "mcp_frame": {
        "type": "cf_agent_mcp_servers",
        "mcp": {"servers": {}, "tools": [], "prompts": [], "resources": []},
    },
    # The state that the call changes is not sent to this connection either.
    "protocol_less_connection": {"kinds": ["hello protocol-less-connection", "all", "rpc"], "sum": 4},
    "connection_id_is_kept": {"asked": "device-7", "first": "device-7", "second": "device-7"},
    "custom_query": {"colour": "blue & green", "none": False, "pk": True},
    "query_from_a_function": ["t1", "t2"],
    "path_after_the_name": {"name": "path-after-the-name", "path": "/agents/counter/path-after-the-name/rooms/7"},
    # A tag that equals the id is not there twice.
    "tags": {"tags": ["tagged", "red", "blue"], "client": ["to blue", "to red"], "other": ["to red"]},
    "too_many_tags": {"code": 1011, "reason": "Uncaught exception during session setup", "error": ["error"]},
    "base_path": {"name": "ada", "agent": "counter", "path": "/mine", "value": 1},
    "identity_change": {"changes": [["ada", "bob", "counter", "counter"]], "name": "bob"},
    "subprotocol": "v2.example",
    # A name is the path segment as it came, still percent-encoded. The server sees no difference between a name that
    # was encoded by the client's URL parser and one that its user encoded.
    "odd_names": {
        "a b": "a%20b",
        "a%20b": "a%20b",
        "é": "%C3%A9",
        "日本語": "%E6%97%A5%E6%9C%AC%E8%AA%9E",
        "a.b~c_d-e": "a.b~c_d-e",
        "..%2f..": "..%2f..",
        "%00": "%00",
        "300": 300,
        "UPPER": "UPPER",
        "'\"<>": "'%22%3C%3E",
    },
    "unknown_agent": [400, "Invalid request"],
    "wrong_case": [400, "Invalid request"],
    "upgrade_denied": [401, "no"],
    "denied_client_keeps_trying": {
        "opens": 0,
        "identified": False,
        "call": {"error": Like("RPC call to add timed out after 300ms|Connection closed")},
    },
    "error_while_connecting": {
        "opened": 101,
        "code": 1011,
        "reason": "Uncaught exception during session setup",
        "keys": ["error"],
        "stack": False,
    },
}

STATE: dict[str, Any] = {
    "client_sets_state": {"sender": [ZERO, [{"n": 5}, "client"]], "watcher": [ZERO, [{"n": 5}, "server"]], "told": 5},
    # The state frame comes before the answer of the call that set it.
    "server_sets_state": {
        "result": 7,
        "when_answered": {"n": 7},
        "caller": [ZERO, [{"n": 7}, "server"]],
        "watcher": [ZERO, [{"n": 7}, "server"]],
    },
    "state_of_any_json": [0, False, "", None, [], {}, "é\u2028\u0000😀", [1, {"a": [None, True]}], 1.5, -1e21],
    "state_null_is_a_state": {"state": None, "updates": [[None, "server"]]},
    # The client keeps what it set: it is told, not corrected.
    "state_refused": {
        "errors": ["State update rejected"],
        "optimistic": {"n": -5},
        "kept": 0,
        "watcher": [ZERO],
    },
    "state_readonly": {
        "errors": ["Connection is readonly"],
        "call": {"error": "Connection is readonly"},
        "allowed": {"value": 0},
    },
    "state_of_another_name": {"there": 0, "updates": [ZERO]},
    # The initial state is a change too: the server's.
    "on_state_changed": [[0, "server"], [1, "connection"], [2, "server"]],
    "twenty_watchers": {"inOrder": True},
}

RPC: dict[str, Any] = {
    "call_with_arguments": {
        "echo": [1, "two", None, {"three": [3.5, True]}, "é😀"],
        "stub": [1, "two", None, {"three": [3.5, True]}, "é😀"],
    },
    "call_returning_nothing": {"value": None},
    "call_in_camel_case": {"stub": 5, "snake": 5},
    "call_of_a_sync_method": 4,
    "call_errors": {
        "raised": {"error": "bad thing"},
        "missing": {"error": "Method nope does not exist"},
        "not_callable": {"error": "Method on_start is not callable"},
        "not_callable_in_camel_case": {"error": "Method onStart is not callable"},
        "not_decorated": {"error": "Method restricted is not callable"},
        "private_name": {"error": Like("Method __init__ (is not callable|does not exist)")},
        "an_attribute": {"error": "Method name does not exist"},
        "wrong_arguments": {"error": Like(".*argument.*")},
        "after_all": {"value": 1},
    },
    "result_that_is_no_json": {"error": Like(".*object.*"), "alive": 0},
    "stub_keeps_to_itself": {"then": "undefined", "frames": 1},
    "stream_of_chunks": {
        "seen": [["chunk", {"i": 0}], ["chunk", {"i": 1}], ["done", "fin"]],
        "result": {"value": "fin"},
    },
    "stream_from_a_generator": {
        "seen": [["chunk", 0], ["chunk", 1], ["chunk", 2], ["done", None]],
        "result": {"value": None},
    },
    "stream_that_fails": {"seen": [["chunk", 1], ["error", "mid"]], "result": {"error": "mid"}},
    "stream_ended_by_an_error": {"seen": [["chunk", 1], ["error", "enough"]], "result": {"error": "enough"}},
    "stream_without_an_end": [1],
    "stream_callbacks_bare": {"seen": [{"i": 0}, "fin"], "result": "fin"},
    "two_streams_at_once": {"same": True, "chunks": 6},
    "slow_call_does_not_hold_up_others": ["quick", "slow"],
    "timeout": {"late": {"error": "RPC call to wait_for timed out after 50ms"}, "released": True},
    "default_timeout": {"error": "RPC call to wait_for timed out after 40ms"},
    "calls_in_great_number": True,
    "callable_methods": {
        "add_numbers": {"description": "Adds two numbers", "streaming": False},
        "count_to": {"description": None, "streaming": True},
    },
    # No request: a call is not one.
    "ambient_context": [True, "here", None],
}

MESSAGES: dict[str, Any] = {
    # Frames that only look like protocol are messages too.
    "text_message": [True] * 11,
    "binary_message": {"small": [0, 1, 254, 255], "empty": [], "large": [1_000_000, True]},
    "broadcast_with_exclusions": [["not to b", "to all"], ["to all"], ["not to b", "to all"]],
    "broadcast_of_bytes": [{"bytes": [1, 2, 3]}, {"bytes": [1, 2, 3]}],
    "handler_that_raises": {"open": True, "closes": []},
    "connection_state": [1, 2, 1],
    "same_id_twice": {"open": True},
}

RECONNECT: dict[str, Any] = {
    "close_1012_reconnects": {"sum": 7, "closes": [1012], "opens": 2, "changes": []},
    "close_1000_reconnects": {"closes": [1000], "opens": 2, "state": {"n": 6}},
    "close_4401_is_final": {
        "errors": [{"name": "AgentConnectionError", "code": 4401, "reason": "because"}],
        "call": {"error": "Connection closed"},
        "opens": 1,
        "closes": [4401],
    },
    "close_1008_is_final": {
        "errors": [{"name": "AgentConnectionError", "code": 1008, "reason": "because"}],
        "opens": 1,
    },
    "refused_for_good": {
        "errors": [{"name": "AgentConnectionError", "code": 4403, "reason": "refused"}],
        "opens": 1,
    },
    "transmitted_calls_are_rejected": {"error": "Connection closed"},
    "messages_are_resent": ["echo:one", "echo:two", "echo:three"],
}

HTTP: dict[str, Any] = {
    "fetch_stream": {"chunks": ["one", "two", "three"], "type": Like("text/plain.*")},
    "fetch_shares_the_agent": {
        "before": {"n": 3},
        "after": 30,
        "updates": [ZERO, [{"n": 3}, "server"], [{"n": 30}, "server"]],
    },
    "fetch_post": {"method": "POST", "body": {"é": "😀"}, "header": "yes"},
    "fetch_errors": {
        "raised": [500, NO_SECRET],
        "no_handler": [404, "Not implemented"],
        "unknown_agent": [400, "Invalid request"],
        "denied": [401, "no"],
        "not_ours": [404, "not ours"],
        "bad_json": [400, NO_SECRET],
    },
    "fetch_of_a_base_path": {"name": "ada"},
    "fetch_odd_paths": {
        "encoded": ["a%20b", "/agents/counter/a%20b/c/d"],
        "slashes": ["x", "//agents//counter//x/"],
    },
}

ROWS = {**CONNECT, **STATE, **RPC, **MESSAGES, **RECONNECT, **HTTP}


@pytest.mark.parametrize("scenario", ROWS)
def test_scenario(scenario: str, driver: Driver, server: Server) -> None:
    if scenario == "fetch_stream" and server.server in ("elsewhere", "workerd"):
        pytest.skip("one request cannot wake another there")
    assert driver.run(scenario, server.url) == ROWS[scenario]


def test_fetch_get_reaches_the_agent_with_path_and_query(driver: Driver, server: Server) -> None:
    got = driver.run("fetch_get", server.url)

    assert (got["status"], got["type"]) == (200, Like("application/json.*"))
    assert got["seen"]["path"] == "/agents/counter/fetch-get/a/b"
    assert got["seen"]["query"] == "q=1"


def test_the_agent_is_told_how_a_client_closed(driver: Driver, server: Server) -> None:
    got = driver.run("close_is_told", server.url)

    # Hypercorn up to 0.18 does not pass a client's close code on, granian not its reason.
    told = {"hypercorn": [1006, ""], "granian": [4321, ""]}.get(server.server, [4321, "gone fishing"])
    assert got["told"] == [["leaver", *told]]
    assert (got["before"], got["left"]) == (2, 1)


def test_cors_headers_are_set_when_asked_for(driver: Driver, cors_server: Server) -> None:
    got = driver.run("cors", cors_server.url)

    headers = {
        "access-control-allow-headers": "*",
        "access-control-allow-methods": "GET, POST, HEAD, OPTIONS",
        "access-control-allow-origin": "*",
        "access-control-max-age": "86400",
    }
    assert got == {"preflight": [200, "", headers], "get": headers, "unknown": {}}
