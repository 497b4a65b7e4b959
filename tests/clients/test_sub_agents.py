"""Sub-agents, as clients see them: their URLs, their state, who may reach them, and how they end."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    Step,
    calls,
    closed,
    closes,
    connects,
    gets,
    hears,
    opens,
    perform,
    quiet,
    sends,
    starts,
    until,
)
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Sub-agents",
        "Their paths, state, calls and endings, as clients see them",
        "same",
    ),
]

PARENT = "/agents/parent/NAME"
CHILD = f"{PARENT}/sub/child/ann"
MCP = {"type": "cf_agent_mcp_servers"}
STATE = "cf_agent_state"


def comes(who: str, path: str = CHILD) -> list[Step]:
    return [*opens(who, path), *until(who, **MCP)]


def greeted(who: str, path: str = CHILD) -> list[Step]:
    return [*connects(who, path), *hears(who, "hello from ann", "hello from the parent")]


ROWS: dict[str, list[Step]] = {
    "connect": [*comes("C"), *hears("C", "hello from ann"), *quiet("C")],
    "name is decoded": comes("C", f"{PARENT}/sub/child/a%20b%2Fc"),
    "name is unicode": comes("C", f"{PARENT}/sub/child/%E6%97%A5%E6%9C%AC"),
    "name that cannot be decoded": opens("C", f"{PARENT}/sub/child/%ff"),
    "grandchild": [*comes("C", f"{CHILD}/sub/child/bob"), *calls("C", "family")],
    "family": [*greeted("C"), *calls("C", "family")],
    "path and query reach the child": [
        *gets(f"{CHILD}/a/b?q=1"),
        *gets(CHILD),
        *gets(f"{CHILD}/"),
        *gets(f"{PARENT}/sub/child/a%20b/x%20y"),
    ],
    "path and query of a connection": [*greeted("C", f"{CHILD}/a/b?q=1&_pk=me"), *calls("C", "who")],
    "unknown class": [*opens("C", f"{PARENT}/sub/nothing/ann"), *gets(f"{PARENT}/sub/nothing/ann")],
    "wrong case": [*opens("C", f"{PARENT}/sub/Child/ann"), *gets(f"{PARENT}/sub/Child/ann")],
    "path without a name": gets(f"{PARENT}/sub/child"),
    "sub stands anywhere": [*comes("C", f"{PARENT}/rooms/7/sub/child/ann"), *gets(f"{PARENT}/x/sub/child/ann/y")],
    # state and calls
    "state is the child's own": [
        *greeted("P", PARENT),
        *greeted("C"),
        *greeted("D"),
        *sends("C", {"type": STATE, "state": {"n": 5}}),
        *until("D", type=STATE),
        *calls("C", "add", 2),
        *until("D", type=STATE),
        *quiet("C", "D", "P"),
        *calls("P", "add", 1),
        *quiet("P", "C"),
    ],
    "state of two children": [
        *greeted("C"),
        *connects("E", f"{PARENT}/sub/child/eve"),
        *hears("E", "hello from eve"),
        *calls("C", "add", 1),
        *quiet("E"),
    ],
    "state is kept": [
        *greeted("C"),
        *calls("C", "add", 3),
        *closes("C"),
        *comes("D"),
    ],
    "broadcast stays in the child": [
        *greeted("P", PARENT),
        *greeted("C"),
        *greeted("D"),
        *calls("C", "shout", "to all"),
        *quiet("C", "D", "P"),
    ],
    "broadcast of the parent stays there": [
        *greeted("P", PARENT),
        *greeted("C"),
        *calls("P", "shout", "to all"),
        *quiet("P", "C"),
        *calls("P", "connections"),
    ],
    "messages": [
        *greeted("C"),
        *sends("C", "hi"),
        *sends("C", '{"type":"other"}'),
        *hears("C", "child:hi"),
        *quiet("C"),
    ],
    "call errors": [*greeted("C"), *calls("C", "nope"), *calls("C", "onStart")],
    "parent calls the child": [
        *greeted("P", PARENT),
        *greeted("C"),
        *calls("P", "tell_child", "ann", 4),
        *until("C", type=STATE),
    ],
    "child calls the parent": [
        *greeted("P", PARENT),
        *greeted("C"),
        *calls("C", "call_parent", 4),
        *until("P", type=STATE),
    ],
    "children are listed": [
        *greeted("P", PARENT),
        *calls("P", "list"),
        *calls("P", "has", "ann"),
        *greeted("C"),
        *calls("P", "tell_child", "eve", 1),
        *calls("P", "list"),
        *calls("P", "has", "ann"),
        *calls("P", "has", "nobody"),
    ],
    "schedule of a child": [*greeted("C"), *calls("C", "later", 0, "x"), *hears("C", "child ran x")],
    # who may come
    "connection that is refused": [
        *opens("C", f"{CHILD}?status=401"),
        *closed("C"),
        *opens("D", f"{CHILD}?status=403"),
        *closed("D"),
        *opens("E", f"{CHILD}?status=500"),
        *closed("E"),
        *opens("F", f"{CHILD}?status=302"),
        *closed("F"),
    ],
    "request that is refused": [*gets(f"{CHILD}?status=401"), *gets(f"{CHILD}?status=503")],
    "request that is changed": gets(f"{CHILD}/a?mark=1"),
    "refused child is not made": [
        *greeted("P", PARENT),
        *gets(f"{PARENT}/sub/child/refused?status=404"),
        *calls("P", "has", "refused"),
    ],
    # endings
    "deleted child": [
        *greeted("P", PARENT),
        *greeted("C"),
        *calls("C", "add", 5),
        *calls("P", "forget", "ann"),
        *closed("C"),
        *calls("P", "has", "ann"),
        *quiet("P"),
        *comes("D"),
    ],
    "deleted child that never was": [*greeted("P", PARENT), *calls("P", "forget", "nobody")],
    "aborted child keeps what it kept": [
        *greeted("P", PARENT),
        *greeted("C"),
        *calls("C", "add", 5),
        *calls("P", "restart", "ann"),
        *calls("P", "tell_child", "ann", 1),
    ],
    "child that closes its connection": [*greeted("C"), *starts("C", "close_me", 4001), *closed("C")],
    "child is told of a close": [
        *greeted("C"),
        *greeted("D"),
        *closes("C", 4321),
        *calls("D", "noted"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_sub_agent(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "sub_agents", driver, server)
    if server.server == "hypercorn":
        # It does not tell an app with which code a client closed.
        kept = kept.replace('["closed", 4321]', '["closed", 1006]')

    assert seen == kept
