"""What an application sees that uses the React hooks ``useAgent`` and ``useAgentChat``: one row a scenario.

The page is real React with no document; the scenarios are in ``scenarios/hook.mjs``.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.conftest import Driver
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare("Chat", "`useAgent` and `useAgentChat`, unmodified", "same"),
]

HI = ["user", "hi"]
HELLO = ["assistant", "Hello world"]
ONE_TWO = ["assistant", "one two"]

ROWS: dict[str, Any] = {
    "hook_sends_a_message": {
        "said": [HI, HELLO],
        "statuses": ["ready", True, "ready"],
        "ended": [{"outcome": "completed", "error": None, "replay": False, "ids": 1}],
        "same_ids": True,
        "metadata": {"finishReason": "stop"},
    },
    "hook_finds_the_history": {"said": [HI, HELLO], "status": "ready"},
    "hook_without_initial_messages": [],
    "hook_asks_twice": {
        "page": [["user", "one"], HELLO, ["user", "two"], HELLO],
        "server": [
            ["user", "one"],
            ["assistant", "step-start|Hello world"],
            ["user", "two"],
            ["assistant", "step-start|Hello world"],
        ],
    },
    "hook_of_another_tab": {
        "midway": [[HI, ["assistant", "one "]], True],
        "a": [HI, ONE_TWO],
        "b": [HI, ONE_TWO],
    },
    "hook_stops": {
        "said": [HI, ["assistant", "one "]],
        "server": [HI, ["assistant", "step-start|one "]],
        "turns": [True],
    },
    "hook_regenerates": {"said": [HI, ["assistant", "second"]], "server": [HI, ["assistant", "step-start|second"]]},
    "hook_clears": {"a": [], "b": [], "server": []},
    "hook_sets_messages": {"a": [["user", "written"]], "b": [["user", "written"]], "server": [["user", "written"]]},
    "hook_is_told_of_an_error": {
        "said": [HI, ["assistant", "par"]],
        "errors": ["provider 500"],
        "error": "provider 500",
        "then": HELLO,
        "status": "ready",
        "ended": [["error", "provider 500"], ["completed", None]],
    },
    "hook_is_told_that_a_stream_broke_off": {"said": [HI, ["assistant", "par"]], "errors": ["connection reset"]},
    "hook_gets_plain_text": [HI, ["assistant", "plain é😀"]],
    # Transient data is handed to the page, and is no part of the message.
    "hook_gets_every_kind_of_part": {
        "said": [
            "assistant",
            "reasoning done hm",
            "tool-locate output-available found",
            "data-weather sun",
            "file",
            "source-url",
            "done",
        ],
        "data": ["data-weather", "data-progress"],
        "stored": ["step-start", "reasoning", "tool-locate", "data-weather", "file", "source-url", "text"],
    },
    "hook_sends_a_body": [[{"colour": "blue", "size": 3}, True]],
    "hook_comes_late": {
        "midway": [HI, ["assistant", "one "]],
        "a": [HI, ONE_TWO],
        "b": [HI, ONE_TWO],
        "ended": "completed",
    },
    "hook_comes_before_the_stream": {"midway": [HI], "said": [HI, ["assistant", "there"]]},
    "hook_reconnects_in_mid_answer": {
        "said": [HI, ["assistant", "one two three"]],
        "server": [HI, ["assistant", "step-start|one two three"]],
    },
    "hook_answers_a_tool": {
        "said": [["user", "where?"], ["assistant", "tool-locate output-available at 1", "you are there"]],
        "other": [["user", "where?"], ["assistant", "tool-locate output-available at 1", "you are there"]],
        "server": [["user", "where?"], ["assistant", "step-start|tool-locate|step-start|you are there"]],
        "continuing": True,
        "turns": [False, True],
    },
    "hook_answers_a_tool_with_an_error": {
        "stored": "tool-locate output-error no permission",
        "said": [
            ["user", "where?"],
            ["assistant", "tool-locate output-error no permission"],
            ["user", "well?"],
            ["assistant", "never mind"],
        ],
    },
    "hook_answers_a_tool_and_stays": {
        "said": [["user", "where?"], ["assistant", "tool-locate output-available here"]],
        "turns": 1,
    },
    "hook_approves": {
        "said": [["user", "do it"], ["assistant", "tool-locate output-available done", "so be it"]],
        "stored": "output-available",
    },
    # A fault of the hook, whichever server it talks to: its page does not see the output before it is opened anew.
    "hook_sees_an_approved_call": {
        "said": ["assistant", "tool-locate approval-responded true", "so be it"],
        "other": ["assistant", "tool-locate output-available done", "so be it"],
    },
    "hook_denies": {
        "said": [["user", "do it"], ["assistant", "tool-locate output-denied false", "so be it"]],
        "stored": "output-denied",
    },
    "hook_hears_of_a_turn_of_the_agent": [["user", "by itself"], HELLO],
    "hook_is_dropped": {
        "dropped": False,
        "page": [["user", "one"], ["assistant", "ab"]],
        "other": [["user", "one"], ["assistant", "ab"]],
        "ended": "skipped",
    },
    "hook_queues": {
        "server": [
            ["user", "one"],
            ["assistant", "step-start|ab"],
            ["user", "two"],
            ["assistant", "step-start|c"],
        ],
    },
    "hook_of_an_agent_with_state": {
        "agent": "chat",
        "name": "hook-of-an-agent-with-state",
        "states": [[{"mood": "fine"}, "client"]],
        "other": {"mood": "fine"},
    },
    "hook_of_a_sub_agent": {
        "agent": "child",
        "name": "a b/c",
        "path": "/agents/parent/NAME/sub/child/a%20b%2Fc",
        "sum": 2,
        "missing": "Method nope does not exist",
        "other": {"n": 2},
    },
    "hook_of_a_sub_agent_that_is_refused": [[4403, "Sub-agent connection rejected (403)"]],
}


@pytest.mark.parametrize("scenario", ROWS)
def test_hook(scenario: str, driver: Driver, server: Server) -> None:
    assert driver.run(scenario, server.url) == ROWS[scenario]


def test_hook_after_a_kill(driver: Driver, own_server: Server) -> None:
    got = driver.run("hook_after_a_kill", own_server.url, meet={"settled": own_server.kill, "killed": own_server.start})

    # The SDK has lost what was said before, and begins anew.
    there = own_server.server == "workerd"
    assert got == {
        "said": [HI, ONE_TWO if there else ["assistant", "one and on"]],
        "server": [HI, ["assistant", "step-start|one two" if there else "step-start|one and on|step-start"]],
    }
