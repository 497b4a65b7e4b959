"""Tabs that come late, or come back, while a turn runs: offers, probes, acknowledgements, replays."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    LAST,
    Step,
    acks,
    asks,
    calls,
    closes,
    connects,
    gate,
    opens,
    perform,
    quiet,
    reply,
    resumes,
    sends,
    skips,
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
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Chat",
        "resuming a stream: every row of the handshake",
        "same; the rows that differ on purpose stand in `tests/clients/README.md`",
    ),
]

GATED = reply(text("one", gate("g"), "two"))
MCP = {"type": "cf_agent_mcp_servers"}


def streaming(who: str = "A", script: object = GATED, path: str = "/agents/chat/NAME", **body: object) -> list[Step]:
    """A turn of ``who`` whose stream stands at the gate ``g``."""
    return [
        *connects(who, path),
        *asks(who, "r1", user("u1"), script=script, **body),
        *skips(who, body={"type": "text-delta"}),
        *calls(who, "reached", "g"),
    ]


def arrives(who: str, path: str = "/agents/chat/NAME") -> list[Step]:
    """Connect and take all that is sent on connecting."""
    return [*opens(who, path), *until(who, **MCP)]


def probed(who: str, probe: str = "p1") -> list[Step]:
    return [*resumes(who, probe), *until(who, probeId=probe)]


FAILING = [
    *connects("A"),
    *asks("A", "r1", user("u1"), script=[*text("par"), {"type": "error", "errorText": "provider 500"}]),
    *skips_done("A"),
    *calls("A", "stable", 5000),
]
WAITING = [*connects("A"), *asks("A", "r1", user("u1"), before="g", script=text("hi")), *calls("A", "reached", "g")]
CONTINUING = [
    *connects("A"),
    *connects("B"),
    *asks("A", "r1", user("u1"), script=reply(tool_call()), then=GATED),
    *skips_done("A"),
    *skips_done("B"),
    *tool_result("A", output=1, autoContinue=True),
    *calls("B", "reached", "g"),
]

ROWS: dict[str, list[Step]] = {
    "probe of an idle agent": [*connects("A"), *resumes("A"), *quiet("A")],
    "probe without a name": [*connects("A"), *sends("A", {"type": "cf_agent_stream_resume_request"}), *quiet("A")],
    "probe after a turn": [
        *connects("A"),
        *asks("A", "r1", user("u1")),
        *skips_done("A"),
        *resumes("A"),
        *quiet("A"),
    ],
    # while a stream runs
    "late tab": [
        *streaming(),
        *arrives("B"),
        *probed("B"),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("A"),
        *until_done("B"),
        *quiet("A", "B"),
        *probed("B", "p2"),
        *acks("B", "r1"),
        *until_done("B"),
        *quiet("B"),
    ],
    "late tab that acknowledges at once": [
        *streaming(),
        *arrives("B"),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *probed("B"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("B"),
        *acks("B", "r1"),
        *quiet("B"),
    ],
    "late tab that never acknowledges": [
        *streaming(),
        *arrives("B"),
        *calls("A", "open", "g"),
        *until_done("A"),
        *calls("A", "stable", 5000),
        *quiet("A", "B"),
    ],
    "late tab that acknowledges twice": [
        *streaming(),
        *arrives("B"),
        *acks("B", "r1"),
        *acks("B", "r1"),
        *quiet("B"),
        *calls("A", "open", "g"),
        *until_done("B"),
        *quiet("B"),
    ],
    "late tab that acknowledges after the end": [
        *streaming(),
        *arrives("B"),
        *calls("A", "open", "g"),
        *skips_done("A"),
        *calls("A", "stable", 5000),
        *acks("B", "r1"),
        *quiet("B"),
    ],
    "two late tabs": [
        *streaming(),
        *arrives("B"),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *arrives("C"),
        *calls("A", "open", "g"),
        *until_done("B"),
        *calls("A", "stable", 5000),
        *acks("C", "r1"),
        *quiet("B", "C"),
    ],
    "late tab that leaves again": [
        *streaming(),
        *arrives("B"),
        *closes("B"),
        *calls("A", "open", "g"),
        *until_done("A"),
        *quiet("A"),
    ],
    "asker that comes back": [
        *streaming(path="/agents/chat/NAME?_pk=asker"),
        *closes("A"),
        *arrives("A", "/agents/chat/NAME?_pk=asker"),
        *probed("A"),
        *acks("A", "r1"),
        *until("A", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("A"),
        *quiet("A"),
    ],
    "asker that probes while it listens": [
        *streaming(),
        *probed("A"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("A"),
        *acks("A", "r1"),
        *quiet("A"),
    ],
    "other tab that acknowledges what it hears": [
        *connects("B"),
        *streaming(),
        *skips("B", body={"type": "text-delta"}),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("B"),
    ],
    "acknowledgement of another stream": [
        *streaming(),
        *arrives("B"),
        *acks("B", "other"),
        *quiet("B"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("B"),
    ],
    "acknowledgement of nothing": [*connects("A"), *acks("A", "r9"), *quiet("A")],
    "acknowledgement of an aborted turn": [
        *streaming(),
        *sends("A", {"type": "cf_agent_chat_request_cancel", "id": "r1"}),
        *skips_done("A"),
        *calls("A", "stable", 5000),
        *arrives("B"),
        *probed("B"),
        *acks("B", "r1"),
        *quiet("B"),
    ],
    "replay of many chunks": [
        *streaming(script=reply(text(*(f"{i} " for i in range(25)), gate("g"), "end"))),
        *calls("A", "reached", "g"),
        *arrives("B"),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("B"),
    ],
    "replay of a plain text": [
        *connects("A"),
        *asks("A", "r1", user("u1"), form="text", script=[{"text": "one"}, gate("g"), {"text": "two"}]),
        *skips("A", body={"type": "text-delta"}),
        *arrives("B"),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("B"),
    ],
    "replay of transient data": [
        *connects("A"),
        *asks(
            "A",
            "r1",
            user("u1"),
            script=[{"type": "data-progress", "data": 1, "transient": True}, *text("one", gate("g"), "two")],
        ),
        *skips("A", body={"type": "text-delta"}),
        *arrives("B"),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("B"),
    ],
    # before the stream
    "tab that comes before the stream": [
        *connects("A"),
        *asks("A", "r1", user("u1"), before="early", script=GATED),
        *calls("A", "reached", "early"),
        *arrives("B"),
        *calls("A", "open", "early"),
        *until("B", type="cf_agent_stream_resuming"),
        *skips("A", body={"type": "text-delta"}),
        *acks("B", "r1"),
        *until("B", replayComplete=True),
        *calls("A", "open", "g"),
        *until_done("B"),
        *quiet("B"),
    ],
    "tab that probes before the stream": [
        *WAITING,
        *arrives("B"),
        *probed("B"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("B"),
    ],
    "asker that probes before the stream": [
        *WAITING,
        *probed("A"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("A"),
    ],
    "tab that waits for a stream that never comes": [
        *connects("A"),
        *asks("A", "r1", user("u1"), before="g", form="nothing"),
        *calls("A", "reached", "g"),
        *arrives("B"),
        *probed("B"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("B"),
    ],
    "tab that waits for a turn that is cleared away": [
        *WAITING,
        *arrives("B"),
        *probed("B"),
        *sends("A", {"type": "cf_agent_chat_clear"}),
        *until("B", type="cf_agent_chat_clear"),
        *quiet("B"),
    ],
    "tab that comes between two turns": [
        *streaming(),
        *asks("A", "r2", user("u1"), user("u2"), before="h", script=text("hi", gate("i"))),
        *calls("A", "ping"),
        *calls("A", "open", "g"),
        *calls("A", "reached", "h"),
        *arrives("B"),
        *probed("B"),
        *calls("A", "open", "h"),
        *until("B", type="cf_agent_stream_resuming"),
        *calls("A", "reached", "i"),
        *acks("B", "r2"),
        *until("B", replayComplete=True),
        *calls("A", "open", "i"),
        *until_done("B"),
        *quiet("B"),
    ],
    # after an error
    "probe after an error": [
        *FAILING,
        *arrives("B"),
        *probed("B"),
        *acks("B", "r1"),
        *until_done("B"),
        *quiet("B"),
        *probed("A"),
        *acks("A", "r1"),
        *until_done("A"),
    ],
    "probe after an error and a new turn": [
        *FAILING,
        *asks("A", "r2", user("u1"), user("u2"), script=text("hi")),
        *skips_done("A", "r2"),
        *probed("A"),
    ],
    "probe after an error and a clear": [*FAILING, *sends("A", {"type": "cf_agent_chat_clear"}), *probed("A")],
    "probe after a stream that broke off": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=[*text("par"), {"fail": "connection reset"}]),
        *skips_done("A"),
        *calls("A", "stable", 5000),
        *probed("A"),
        *acks("A", "r1"),
        *until_done("A"),
    ],
    # continuations
    "continuation is of one who answered": [
        *CONTINUING,
        *probed("B"),
        *probed("A"),
        *acks("A", LAST),
        *until("A", replayComplete=True),
        *calls("B", "open", "g"),
        *until_done("A"),
        *until_done("B"),
        *quiet("A", "B"),
    ],
    "continuation whose owner leaves": [
        *CONTINUING,
        *closes("A"),
        *probed("B"),
        *calls("B", "open", "g"),
        *calls("B", "stable", 5000),
        *quiet("B"),
    ],
    "late tab of a continuation": [
        *CONTINUING,
        *arrives("C"),
        *probed("C"),
        *calls("B", "open", "g"),
        *calls("B", "stable", 5000),
        *quiet("C"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_resume(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "resume", driver, server)

    assert seen == kept
