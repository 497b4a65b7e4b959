"""Turns that are asked for while another runs: what each strategy does with them."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    Step,
    answered,
    asks,
    assistant,
    calls,
    connects,
    gate,
    perform,
    quiet,
    skips,
    skips_done,
    starts,
    text,
    tool_call,
    until_done,
    user,
)
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare("Chat", "`messageConcurrency`", "same"),
]

KINDS = {
    "queue": "chat",
    "latest": "latest-chat",
    "merge": "merging-chat",
    "drop": "dropping-chat",
    "debounce": "patient-chat",
}


def busy(kind: str) -> list[Step]:
    """A and B are there, and a turn of A stands at the gate ``g``."""
    path = f"/agents/{kind}/NAME"
    return [
        *connects("A", path),
        *connects("B", path),
        *asks("A", "r1", user("u1", "one"), script=text("a", gate("g"), "b")),
        *skips("A", body={"type": "text-delta"}),
        *skips("B", body={"type": "text-delta"}),
    ]


def two_more(kind: str) -> list[Step]:
    return [
        *busy(kind),
        *asks("A", "r2", user("u1", "one"), user("u2", "two"), script=text("2")),
        *calls("A", "ping"),
        *asks("A", "r3", user("u1", "one"), user("u2", "two"), user("u3", "three"), script=text("3")),
        *calls("A", "ping"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("A", "B"),
        *calls("A", "gist"),
        *calls("A", "turns"),
    ]


def one_after_another(kind: str) -> list[Step]:
    path = f"/agents/{kind}/NAME"
    return [
        *connects("A", path),
        *asks("A", "r1", user("u1", "one"), script=text("1")),
        *until_done("A"),
        *asks("A", "r2", user("u1", "one"), user("u2", "two"), script=text("2")),
        *until_done("A"),
        *quiet("A"),
        *calls("A", "gist"),
    ]


ROWS: dict[str, list[Step]] = {
    **{f"{name} two more while one runs": two_more(kind) for name, kind in KINDS.items()},
    **{f"{name} one after another": one_after_another(kind) for name, kind in KINDS.items()},
    "drop a request of another tab": [
        *busy("dropping-chat"),
        *asks("B", "r2", user("u1", "one"), user("u2", "two"), script=text("2")),
        *quiet("B"),
        *calls("A", "open", "g"),
        *until_done("A"),
        *quiet("A", "B"),
        *calls("A", "gist"),
    ],
    "drop does not drop a regeneration": [
        *busy("dropping-chat"),
        *asks("A", "r2", user("u1", "one"), trigger="regenerate-message", script=text("2")),
        *calls("A", "ping"),
        *calls("A", "open", "g"),
        *until_done("A", "r2"),
        *quiet("A"),
        *calls("A", "gist"),
    ],
    "drop does not drop saved messages": [
        *busy("dropping-chat"),
        *starts("A", "save", [user("u1", "one"), user("u2", "two")]),
        *calls("A", "open", "g"),
        *answered("A"),
        *calls("A", "gist"),
    ],
    "latest of two tabs": [
        *busy("latest-chat"),
        *asks("B", "r2", user("u1", "one"), user("u2", "two"), script=text("2")),
        *calls("B", "ping"),
        *asks("A", "r3", user("u1", "one"), user("u3", "three"), script=text("3")),
        *calls("A", "ping"),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
        *quiet("A", "B"),
        *calls("A", "gist"),
    ],
    "debounce lets only the last one through": [
        *busy("patient-chat"),
        *calls("A", "open", "g"),
        *asks("A", "r2", user("u1", "one"), user("u2", "two"), script=text("2")),
        *calls("A", "ping"),
        *calls("A", "stable", 5000),
        *calls("A", "gist"),
    ],
    "reset ends the turn that runs and skips those that wait": [
        *busy("chat"),
        *asks("A", "r2", user("u1", "one"), user("u2", "two"), script=text("2")),
        *calls("A", "ping"),
        *calls("A", "reset"),
        *calls("A", "stable", 5000),
        *quiet("A", "B"),
        *calls("A", "gist"),
        *asks("A", "r3", user("u1", "one"), user("u2", "two"), user("u3", "three"), script=text("3")),
        *until_done("A", "r3"),
    ],
    "saved messages that a reset skips": [
        *busy("chat"),
        *starts("A", "save", [user("u1", "one"), user("u2", "two")]),
        *calls("A", "ping"),
        *calls("A", "reset"),
        *answered("A"),
    ],
    "stable while nothing runs": [*connects("A"), *calls("A", "stable", 5000), *calls("A", "pending")],
    "stable gives up in time": [
        *busy("chat"),
        *calls("A", "stable", 30),
        *calls("A", "open", "g"),
        *calls("A", "stable", 5000),
    ],
    "stable waits for the last of a queue": [
        *busy("chat"),
        *asks("A", "r2", user("u1", "one"), user("u2", "two"), script=text("2", gate("h"))),
        *calls("A", "ping"),
        *starts("A", "stable", 5000),
        *calls("A", "open", "g"),
        *calls("A", "reached", "h"),
        *calls("A", "open", "h"),
        *answered("A"),
        *calls("A", "gist"),
    ],
    "pending while a tool waits for its client": [
        *connects("A"),
        *asks("A", "r1", user("u1"), script=tool_call(), clientTools=[{"name": "locate"}]),
        *skips_done("A"),
        *calls("A", "pending"),
        *calls("A", "stable", 30),
        *calls("A", "persist", [user("u1"), assistant("a1", "words")]),
        *calls("A", "pending"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_concurrency(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "concurrency", driver, server)

    assert seen == kept
