"""Servers that are killed in the middle of a chat: what the clients that come back are told."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    Step,
    acks,
    asks,
    calls,
    connects,
    gate,
    gets,
    meets,
    opens,
    perform,
    quiet,
    reply,
    resumes,
    skips_done,
    text,
    tool_call,
    tool_result,
    until,
    until_done,
    user,
)
from tests.servers import Server

pytestmark = [
    pytest.mark.cloudflare(
        "Chat",
        "Turns after the end of the server, as clients see them",
        "different: what was said before is kept and gone on with; the SDK may lose the last ten chunks",
    ),
    pytest.mark.node,
    pytest.mark.server,
]

GATED = reply(text("one ", gate("g"), "two"))
FORGETFUL = "/agents/forgetful-chat/NAME"
RESTART = [*meets("settled"), *meets("killed")]


def streaming(path: str = "/agents/chat/NAME") -> list[Step]:
    """A turn whose stream stands at a gate that no server after this one opens."""
    return [
        *connects("A", path),
        *asks("A", "r1", user("u1"), script=GATED, then=reply(text("and on"))),
        *until("A", body={"type": "text-delta"}),
        *calls("A", "reached", "g"),
    ]


ROWS: dict[str, list[Step]] = {
    "kill between turns": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=reply("one")),
        *skips_done("A"),
        *RESTART,
        *gets("/agents/chat/NAME/get-messages"),
        *connects("B"),
        *asks("B", "r2", user("u1"), user("u2"), script=reply("two")),
        *skips_done("B"),
        *calls("B", "gist"),
    ],
    "kill after an error": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[*text("par"), {"type": "error", "errorText": "provider 500"}]),
        *skips_done("A"),
        *calls("A", "stable", 5000),
        *RESTART,
        *connects("B"),
        *resumes("B"),
        *until("B", probeId="p1"),
    ],
    "kill while a tool waits for its client": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=reply(tool_call()), then=reply("after"), colour="blue"),
        *skips_done("A"),
        *RESTART,
        *connects("B"),
        *connects("C"),
        *tool_result("B", output=1, autoContinue=True),
        *skips_done("C"),
        *calls("C", "gist"),
        *calls("C", "turns"),
    ],
    "kill in the middle of an answer": [
        *streaming(),
        *RESTART,
        *opens("B"),
        *calls("B", "open", "g"),
        *until_done("B"),
        *calls("B", "stable", 12_000),
        *quiet("B"),
        *calls("B", "gist"),
        *calls("B", "turns"),
    ],
    "kill before the answer": [
        *connects("A"),
        *asks("A", "r1", user("u1"), before="g", script=reply("an answer")),
        *calls("A", "reached", "g"),
        *RESTART,
        *opens("B"),
        *calls("B", "open", "g"),
        *until_done("B"),
        *calls("B", "stable", 12_000),
        *quiet("B"),
        *calls("B", "gist"),
        *calls("B", "turns"),
    ],
    "kill in the middle of an answer that nobody takes up": [
        *streaming(FORGETFUL),
        *RESTART,
        *opens("B", FORGETFUL),
        *until("B", type="cf_agent_mcp_servers"),
        *resumes("B"),
        *until("B", probeId="p1"),
        *acks("B", "r1"),
        *quiet("B"),
        *calls("B", "gist"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_recovery(row: str, driver: Driver, own_server: Server) -> None:
    meet = {"settled": own_server.kill, "killed": own_server.start}

    seen, kept = perform(ROWS[row], row, "recovery", driver, own_server, meet=meet)

    assert seen == kept
