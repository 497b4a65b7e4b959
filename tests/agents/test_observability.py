import json
import logging
from datetime import UTC, datetime

import pytest

from edgeagents import Agent, callable, wake
from edgeagents.agents import AgentEvent, Capability, log_events
from edgeagents.testing import agent_runtime, connect, settle

pytestmark = pytest.mark.cloudflare(
    "Observability", "event types and channels", "same; payload fields are in snake_case"
)


class Counter(Agent):
    initial_state = {"n": 0}

    @callable()
    async def add(self, by):
        self.set_state({"n": self.state["n"] + by})

    @callable()
    async def fail(self):
        raise ValueError("no")

    @callable(streaming=True)
    async def stream(self, answer):
        answer.end()


async def call(socket, method, *args):
    socket.send(json.dumps({"type": "rpc", "id": "1", "method": method, "args": args}))
    await settle()


def heard(runtime, channel=None):
    events = []
    runtime.events.subscribe(channel, lambda event: events.append((event.type, dict(event.payload))))
    return events


async def test_calls_and_changes_of_the_state_are_told_in_their_order():
    async with agent_runtime(Counter) as runtime:
        events = heard(runtime)
        socket = await connect(runtime, "/agents/counter/x?_pk=c")
        await call(socket, "add", 1)
        await call(socket, "fail")
        await call(socket, "stream")
    assert events == [
        ("state:update", {}),  # initial_state
        ("connect", {"connection_id": "c"}),
        ("rpc", {"method": "add"}),
        ("state:update", {}),
        ("rpc", {"method": "fail"}),
        ("rpc:error", {"method": "fail", "error": "no"}),
        ("rpc", {"method": "stream", "streaming": True}),
    ]


async def test_a_listener_hears_its_channel_until_it_unsubscribes():
    seen = []
    async with agent_runtime(Counter) as runtime:
        end = runtime.events.subscribe("agents:state", lambda event: seen.append(event.type))
        socket = await connect(runtime, "/agents/counter/x")
        await call(socket, "add", 1)
        end()
        await call(socket, "add", 1)
    assert seen == ["state:update", "state:update"]  # the initial state, and one change


async def test_a_listener_that_fails_is_logged_and_does_not_reach_the_agent(caplog):
    def fail(event):
        raise RuntimeError("a broken listener")

    async with agent_runtime(Counter) as runtime:
        runtime.events.subscribe(None, fail)
        later = heard(runtime)
        socket = await connect(runtime, "/agents/counter/x")
        await call(socket, "add", 1)
        assert socket.closed is None
    assert [kind for kind, _ in later] == ["state:update", "connect", "rpc", "state:update"]
    assert "a broken listener" in caplog.text


@pytest.mark.parametrize(
    ("kind", "channel"),
    [
        ("rpc:error", "agents:rpc"),
        ("connect", "agents:lifecycle"),
        ("queue:retry", "agents:schedule"),
        ("tool:result", "agents:message"),
        ("mcp:client:connect", "agents:mcp"),
        ("chat:recovery:failed", "agents:chat"),
        ("chat:transcript:repaired", "agents:transcript"),
    ],
)
async def test_a_type_has_its_channel(kind, channel):
    class Tells(Capability):
        async def start(self, props):
            self.host.emit(kind, a=1)

    class Teller(Agent):
        capability_types = (Tells,)

    async with agent_runtime(Teller) as runtime:
        seen = []
        runtime.events.subscribe(channel, lambda event: seen.append((event.type, dict(event.payload))))
        await wake(runtime.namespaces["Teller"].get_by_name("x"))
    assert seen == [(kind, {"a": 1})]


async def test_events_can_be_written_to_a_log(caplog):
    caplog.set_level(logging.INFO, logger="edgeagents.events")
    async with agent_runtime(Counter) as runtime:
        runtime.events.subscribe("agents:rpc", log_events())
        socket = await connect(runtime, "/agents/counter/x")
        await call(socket, "fail")
    assert [record.getMessage() for record in caplog.records if record.name == "edgeagents.events"] == [
        "rpc Counter x method='fail'",
        "rpc:error Counter x method='fail' error='no'",
    ]


def test_a_name_makes_no_line_of_its_own(caplog: pytest.LogCaptureFixture):
    event = AgentEvent("rpc", "Room", "a\n[error] all is lost", {"method": "x\ny"}, datetime(2026, 1, 1, tzinfo=UTC))
    with caplog.at_level(logging.INFO, "edgeagents.events"):
        log_events()(event)
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
