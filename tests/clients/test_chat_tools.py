"""Tools that a client runs, tools that a human allows, and the turns that go on after them."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    LAST,
    Step,
    acks,
    approval,
    asks,
    assistant,
    calls,
    connects,
    gate,
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
    until_type,
    user,
)
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Chat",
        "client tools, approvals, continuations",
        "same; the rows that differ on purpose stand in `tests/clients/README.md`",
    ),
]

BOTH = [*connects("A"), *connects("B")]
HISTORY = calls("A", "history")
UPDATED = "cf_agent_message_updated"
TOOLS = [{"name": "locate", "description": "Where am I?", "parameters": {"type": "object"}}]
APPROVAL = [
    *tool_call(id="call-1", x=1),
    {"type": "tool-approval-request", "toolCallId": "call-1", "approvalId": "ap1"},
]
AFTER = reply(text("after", gate("g"), " all"))


def asked(*chunks: object, **body: object) -> list[Step]:
    """Both are there, and a turn of A has ended with a call of a tool."""
    script = reply(*(chunks or [tool_call()]))
    return [*BOTH, *asks("A", "r1", user("u1"), script=script, **body), *skips_done("A"), *skips_done("B")]


def continued() -> list[Step]:
    """A takes the offer of the continuation, which B hears as it is; then it ends."""
    return [
        *until_type("A", "cf_agent_stream_resuming"),
        *until("B", body={"type": "text-delta"}),
        *acks("A", LAST),
        *until("A", replayComplete=True),
        *calls("B", "open", "g"),
        *until_done("A"),
        *until_done("B"),
        *quiet("A", "B"),
        *HISTORY,
    ]


def updated(*everyone: str) -> list[Step]:
    return [step for who in everyone for step in until_type(who, UPDATED)]


ROWS: dict[str, list[Step]] = {
    "result": [*asked(), *tool_result("A", output={"lat": 1}), *updated("A", "B"), *quiet("A", "B"), *HISTORY],
    "result of another tab": [*asked(), *tool_result("B", output={"lat": 1}), *updated("A", "B"), *quiet("A", "B")],
    "result that is null": [*asked(), *tool_result("A", output=None), *updated("A"), *quiet("A")],
    "result that is left out": [*asked(), *tool_result("A"), *updated("A"), *quiet("A")],
    "result that is an error": [
        *asked(),
        *tool_result("A", state="output-error", errorText="no permission"),
        *updated("A", "B"),
        *HISTORY,
    ],
    "result that is an error without words": [*asked(), *tool_result("A", state="output-error"), *updated("A")],
    "result that comes twice": [
        *asked(),
        *tool_result("A", output=1),
        *updated("A"),
        *tool_result("A", output=2),
        *tool_result("A", state="output-error", errorText="late"),
        *quiet("A"),
        *HISTORY,
    ],
    # The server looks for the call ten times in a second before it gives up.
    "result of an unknown call": [
        *asked(),
        *tool_result("A", id="call-9", output=1, autoContinue=True),
        *tool_result("A", output=1),
        *updated("A"),
        *until_done("A"),
        *quiet("A"),
    ],
    "result while the stream is open": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=reply(tool_call(), text("wait", gate("g")))),
        *skips("A", body={"type": "text-delta"}),
        *skips("B", body={"type": "text-delta"}),
        *tool_result("A", output={"lat": 1}),
        *updated("A", "B"),
        *calls("A", "open", "g"),
        *until_done("A"),
        *until_done("B"),
        *HISTORY,
    ],
    "result of a call in an older message": [
        *asked(),
        *asks("A", "r2", user("u1"), user("u2"), script=text("later")),
        *skips_done("A", "r2"),
        *skips_done("B", "r2"),
        *tool_result("A", output=1),
        *calls("A", "stable", 3000),
        *HISTORY,
    ],
    # going on
    "result that goes on": [*asked(then=AFTER), *tool_result("A", output={"lat": 1}, autoContinue=True), *continued()],
    "result that goes on and is probed for": [
        *asked(then=AFTER),
        *tool_result("A", output={"lat": 1}, autoContinue=True),
        *resumes("A", "tp"),
        *until_type("A", UPDATED),
        *until_type("A", "cf_agent_stream_pending"),
        *continued(),
    ],
    "result that goes on and is never acknowledged": [
        *asked(then=reply("after")),
        *tool_result("A", output=1, autoContinue=True),
        *until_done("B"),
        *calls("B", "stable", 5000),
        *quiet("A", "B"),
    ],
    "error that goes on": [
        *asked(then=AFTER),
        *tool_result("A", state="output-error", errorText="no", autoContinue=True),
        *continued(),
    ],
    "body and client tools go on": [
        *asked(clientTools=TOOLS, colour="blue"),
        *tool_result("A", output=1, autoContinue=True),
        *skips_done("B"),
        *calls("B", "turns"),
        *calls("B", "responses"),
    ],
    "client tools that come with the result": [
        *asked(),
        *tool_result("A", output=1, autoContinue=True, clientTools=TOOLS),
        *skips_done("B"),
        *calls("B", "turns"),
    ],
    "two calls go on when both are answered": [
        *asked([*tool_call("call-1"), *tool_call("call-2", "measure")], then=AFTER),
        *tool_result("A", output=1, autoContinue=True),
        *updated("A", "B"),
        *quiet("A"),
        *tool_result("A", "call-2", "measure", output=2, autoContinue=True),
        *continued(),
    ],
    "two results at once go on once": [
        *asked([*tool_call("call-1"), *tool_call("call-2", "measure")], then=AFTER),
        *tool_result("A", output=1, autoContinue=True),
        *tool_result("A", "call-2", "measure", output=2, autoContinue=True),
        *continued(),
        *calls("A", "turns"),
    ],
    "result that goes on after the stream": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=[*tool_call(), *text("wait", gate("early"))], then=AFTER),
        *skips("A", body={"type": "text-delta"}),
        *skips("B", body={"type": "text-delta"}),
        *tool_result("A", output=1, autoContinue=True),
        *updated("A", "B"),
        *calls("A", "open", "early"),
        *until_done("A"),
        *until_done("B"),
        *continued(),
    ],
    "result that the stream made needless": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=reply(tool_call(), text("wait", gate("early"))), then=reply("after")),
        *skips("A", body={"type": "text-delta"}),
        *tool_result("A", output=1, autoContinue=True),
        *updated("A"),
        *calls("A", "open", "early"),
        *until_done("A"),
        *calls("A", "stable", 5000),
        *quiet("A"),
        *calls("A", "turns"),
    ],
    "continuation that calls again": [
        *asked(then=reply(tool_call("call-2", "measure"))),
        *tool_result("A", output=1, autoContinue=True),
        *skips_done("B"),
        *tool_result("A", "call-2", "measure", output=2),
        *until_type("B", UPDATED),
        *calls("B", "history"),
    ],
    "continuation that is aborted": [
        *asked(then=AFTER),
        *tool_result("A", output=1, autoContinue=True),
        *until("B", body={"type": "text-delta"}),
        *calls("B", "abort_current"),
        *until_done("B"),
        *calls("B", "history"),
    ],
    "continuation that is cancelled": [
        *asked(then=AFTER),
        *tool_result("A", output=1, autoContinue=True),
        *until("B", body={"type": "text-delta"}),
        *sends("B", {"type": "cf_agent_chat_request_cancel", "id": LAST}),
        *until_done("B"),
    ],
    "continuation that fails": [
        *asked(then=[*text("par"), {"type": "error", "errorText": "provider 500"}]),
        *tool_result("A", output=1, autoContinue=True),
        *until_done("B"),
        *calls("B", "history"),
    ],
    "continuation of a text that was cut": [
        *BOTH,
        *calls("A", "persist", [user("u1"), assistant("a1", {"type": "text", "text": "half ", "state": "streaming"})]),
        *until_type("B", "cf_agent_chat_messages"),
        *calls("A", "go_on", {"then": reply("a sentence")}),
        *until_done("B"),
        *HISTORY,
    ],
    "continuation that repeats a finished call": [
        *asked(
            then=reply([*tool_call(), {"type": "tool-output-available", "toolCallId": "call-1", "output": 9}], "so")
        ),
        *tool_result("A", output=1, autoContinue=True),
        *until_done("B"),
        *calls("B", "history"),
    ],
    "next request instead of a result": [
        *asked(),
        *asks("A", "r2", user("u1"), user("u2"), script=text("never mind")),
        *until_done("A", "r2"),
        *HISTORY,
    ],
    # approvals
    "approval": [*asked(APPROVAL), *approval("A", approved=True), *updated("A", "B"), *quiet("A", "B"), *HISTORY],
    "approval of another tab": [*asked(APPROVAL), *approval("B", approved=True), *updated("A", "B")],
    "denial": [*asked(APPROVAL), *approval("A", approved=False), *updated("A", "B"), *quiet("A", "B"), *HISTORY],
    "approval that goes on": [
        *asked(
            APPROVAL,
            then=[{"type": "tool-output-available", "toolCallId": "call-1", "output": "done"}, *AFTER],
        ),
        *approval("A", approved=True, autoContinue=True),
        *continued(),
    ],
    "denial that goes on": [
        *asked(APPROVAL, then=AFTER),
        *approval("A", approved=False, autoContinue=True),
        *continued(),
    ],
    "approval after a denial": [
        *asked(APPROVAL),
        *approval("A", approved=False),
        *updated("A"),
        *approval("A", approved=True),
        *quiet("A"),
        *HISTORY,
    ],
    "denial after an approval": [
        *asked(APPROVAL),
        *approval("A", approved=True),
        *updated("A"),
        *approval("A", approved=False),
        *quiet("A"),
        *HISTORY,
    ],
    "approval of a call that asks for none": [*asked(), *approval("A", approved=True), *quiet("A"), *HISTORY],
    "result of a call that was denied": [
        *asked(APPROVAL),
        *approval("A", approved=False),
        *updated("A"),
        *tool_result("A", output=1),
        *quiet("A"),
        *HISTORY,
    ],
    "result of a call that was approved": [
        *asked(APPROVAL),
        *approval("A", approved=True),
        *updated("A"),
        *tool_result("A", output=1),
        *updated("A"),
        *HISTORY,
    ],
    "result of a call that waits for approval": [
        *asked(APPROVAL),
        *tool_result("A", state="output-error"),
        *updated("A"),
        *HISTORY,
    ],
    "approval while the stream is open": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=reply(APPROVAL, text("wait", gate("g")))),
        *skips("A", body={"type": "text-delta"}),
        *skips("B", body={"type": "text-delta"}),
        *approval("A", approved=True),
        *updated("A", "B"),
        *calls("A", "open", "g"),
        *until_done("A"),
        *until_done("B"),
        *HISTORY,
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_tools(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "tools", driver, server)

    assert seen == kept
