"""The transcript of a chat agent: reading, clearing, replacing, regenerating, saving, and what is kept."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    Step,
    asks,
    assistant,
    calls,
    connects,
    gate,
    gets,
    opens,
    perform,
    quiet,
    resumes,
    sends,
    skips_done,
    text,
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
        "transcript: history, clear, set, save, regenerate, sanitising",
        "same; the rows that differ on purpose stand in `tests/clients/README.md`",
    ),
]

BOTH = [*connects("A"), *connects("B")]
HISTORY = calls("A", "history")
READ = gets("/agents/chat/NAME/get-messages")
TOOL = {"type": "tool-locate", "toolCallId": "c1", "state": "input-available", "input": {}}
DONE = {**TOOL, "state": "output-available", "output": {"lat": 1}}


def sets(who: str, *messages: object) -> list[Step]:
    return sends(who, {"type": "cf_agent_chat_messages", "messages": list(messages)})


def clears(who: str) -> list[Step]:
    return sends(who, {"type": "cf_agent_chat_clear"})


def turn(id: str, *messages: object, **body: object) -> list[Step]:
    """A turn that A asks for, without the frames of it."""
    return [*asks("A", id, *messages, **{"script": text(f"answer to {id}"), **body}), *skips_done("A", id)]


def gist(who: str = "A") -> list[Step]:
    return calls(who, "gist")


ROWS: dict[str, list[Step]] = {
    "get messages of an agent that has none": READ,
    "get messages by any method": [*connects("A"), *calls("A", "persist", [user("u1")]), *gets(READ[0][2], "POST")],
    "get messages at any depth": [
        *connects("A"),
        *calls("A", "persist", [user("u1")]),
        *gets("/agents/chat/NAME/a/b/get-messages?q=1"),
        *gets("/agents/chat/NAME/get-messages/"),
        *gets("/agents/chat/NAME/Get-Messages"),
        *gets("/agents/chat/NAME/get-messages/more"),
    ],
    "get messages of an agent that does not chat": gets("/agents/keeper/NAME/get-messages"),
    "get messages after a reconnection": [*connects("A"), *turn("r1", user("u1")), *READ],
    # clearing
    "clear": [
        *BOTH,
        *turn("r1", user("u1")),
        *skips_done("B"),
        *clears("A"),
        *quiet("A", "B"),
        *HISTORY,
        *READ,
        *resumes("A"),
        *quiet("A"),
    ],
    "clear of nothing": [*BOTH, *clears("A"), *quiet("A", "B")],
    "clear while a turn runs": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=text("a", gate("g"), "b")),
        *until_chunk("A", type="text-delta"),
        *until_chunk("B", type="text-delta"),
        *clears("A"),
        *calls("A", "stable", 5000),
        *quiet("A", "B"),
        *HISTORY,
    ],
    "clear while a turn waits": [
        *BOTH,
        *asks("A", "r1", user("u1"), script=text("a", gate("g"))),
        *until_chunk("A", type="text-delta"),
        *asks("A", "r2", user("u1"), user("u2"), script=text("b")),
        *calls("A", "ping"),
        *clears("B"),
        *calls("B", "stable", 5000),
        *quiet("A"),
        *HISTORY,
        *calls("A", "turns"),
    ],
    "turn after a clear": [
        *connects("A"),
        *turn("r1", user("u1")),
        *clears("A"),
        *turn("r2", user("u2")),
        *gist(),
    ],
    "clear forgets the body": [
        *connects("A"),
        *turn("r1", user("u1"), colour="blue"),
        *clears("A"),
        *calls("A", "persist", [user("u2"), assistant("a2", "two")]),
        *calls("A", "go_on"),
        *calls("A", "turns"),
    ],
    # replacing
    "set messages": [*BOTH, *sets("A", user("u9", "new")), *quiet("A", "B"), *HISTORY],
    "set messages keeps what it does not name": [
        *connects("A"),
        *turn("r1", user("u1")),
        *sets("A", user("u9", "new")),
        *quiet("A"),
        *gist(),
    ],
    "set messages changes what it names": [
        *BOTH,
        *sets("A", user("u1", "old"), user("u2", "two")),
        *sets("A", user("u1", "changed")),
        *quiet("A", "B"),
        *gist(),
    ],
    "set messages to nothing": [*BOTH, *turn("r1", user("u1")), *skips_done("B"), *sets("A"), *quiet("B"), *gist()],
    "set messages of an old form": [
        *BOTH,
        *sets("A", {"id": "u1", "role": "user", "content": "old words"}),
        *quiet("A", "B"),
        *HISTORY,
    ],
    "set messages of tool calls of an old form": [
        *BOTH,
        *sets(
            "A",
            {
                "id": "a1",
                "role": "assistant",
                "content": "look",
                "toolInvocations": [
                    {"toolCallId": "c1", "toolName": "locate", "state": "result", "args": {"x": 1}, "result": 5}
                ],
            },
        ),
        *quiet("B"),
        *HISTORY,
    ],
    # regenerating
    "regenerate": [
        *BOTH,
        *turn("r1", user("u1")),
        *skips_done("B"),
        *asks("A", "r2", user("u1"), trigger="regenerate-message", script=text("better")),
        *until_done("A"),
        *until_done("B"),
        *quiet("A", "B"),
        *gist(),
        *calls("A", "turns"),
    ],
    "regenerate in the middle": [
        *connects("A"),
        *turn("r1", user("u1")),
        *turn("r2", user("u1"), user("u2")),
        *turn("r3", user("u1"), trigger="regenerate-message"),
        *gist(),
    ],
    "edit of a message": [
        *connects("A"),
        *turn("r1", user("u1", "old")),
        *turn("r2", user("u1", "new")),
        *gist(),
    ],
    "shorter list with a new message deletes nothing": [
        *connects("A"),
        *turn("r1", user("u1")),
        *turn("r2", user("u1"), user("u2")),
        *turn("r3", user("u3")),
        *gist(),
    ],
    "empty list": [*connects("A"), *turn("r1", user("u1")), *turn("r2"), *gist()],
    # reconciling
    "known assistant message comes back": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", "kept")]),
        *turn("r1", user("u1"), assistant("a1", "kept"), user("u2")),
        *gist(),
    ],
    "assistant message under another id": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", "same words")]),
        *turn("r1", user("u1"), assistant("from-the-client", "same words"), user("u2")),
        *HISTORY,
    ],
    "stale tool part loses": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", DONE)]),
        *turn("r1", user("u1"), assistant("a1", TOOL), user("u2")),
        *HISTORY,
    ],
    "tool result in a message of the client": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", TOOL)]),
        *turn("r1", user("u1"), assistant("a1", DONE), user("u2")),
        *HISTORY,
    ],
    "tool call under another message id": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", TOOL)]),
        *turn("r1", user("u1"), assistant("from-the-client", DONE), user("u2")),
        *HISTORY,
    ],
    "tool call that was never answered": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", TOOL)]),
        *turn("r1", user("u1"), assistant("a1", TOOL), user("u2")),
        *HISTORY,
    ],
    # persisting
    "persist": [
        *BOTH,
        *calls("A", "persist", [user("u1"), assistant("a1", "one")]),
        *quiet("A", "B"),
        *HISTORY,
        *calls("A", "turns"),
    ],
    "persist again": [
        *connects("A"),
        *calls("A", "persist", [user("u1"), assistant("a1", "one")]),
        *calls("A", "persist", [user("u1", "changed"), user("u2")]),
        *quiet("A"),
        *HISTORY,
    ],
    "persist of metadata and files": [
        *connects("A"),
        *calls(
            "A",
            "persist",
            [
                {
                    **user("u1"),
                    "metadata": {"deep": [{"a": None}]},
                    "parts": [{"type": "file", "mediaType": "image/png", "url": "data:,x", "filename": "x.png"}],
                },
                {"id": "s1", "role": "system", "parts": [{"type": "text", "text": "be kind"}]},
            ],
        ),
        *HISTORY,
    ],
    "only the last messages are kept": [
        *connects("A", "/agents/short-chat/NAME"),
        *calls("A", "persist", [user("u1"), assistant("a1", "one"), user("u2"), assistant("a2", "two"), user("u3")]),
        *quiet("A"),
        *gist(),
        *gets("/agents/short-chat/NAME/get-messages"),
    ],
    "only the last messages are kept after a turn": [
        *connects("A", "/agents/short-chat/NAME"),
        *turn("r1", user("u1")),
        *turn("r2", user("u1"), user("u2")),
        *gist(),
        *calls("A", "turns"),
    ],
    "messages are made discreet": [
        *connects("A", "/agents/discreet-chat/NAME"),
        *connects("B", "/agents/discreet-chat/NAME"),
        *asks("A", "r1", user("u1", "my secret"), script=text("your secret")),
        *until_done("A"),
        *until_done("B"),
        *HISTORY,
    ],
    "a message too large is made smaller": [
        *connects("A"),
        *asks(
            "A",
            "r1",
            user("u1"),
            script=[
                {"type": "tool-input-available", "toolCallId": "c1", "toolName": "read", "input": {}},
                {"type": "tool-output-available", "toolCallId": "c1", "output": {"text": "x" * 2_000_000}},
                *text("read"),
            ],
        ),
        *skips_done("A"),
        *HISTORY,
    ],
    "connect does not carry the transcript": [*connects("A"), *turn("r1", user("u1")), *opens("B"), *quiet("B")],
}


@pytest.mark.parametrize("row", ROWS)
def test_history(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "history", driver, server)

    assert seen == kept
