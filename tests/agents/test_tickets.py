"""Tickets: a browser comes in with one, to one agent, for a while."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents import Agent, Connection, Identity, Tickets
from edgeagents.errors import ConfigError
from edgeagents.http import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle

SECRET = "a secret of the tests that is long enough"


class Side(Agent):
    async def on_request(self, request: Request) -> str:
        return f"side {self.name}"


class ChatRoom(Agent):
    sub_agents = (Side,)
    options = {"send_identity_on_connect": False}

    async def on_connect(self, connection: Connection) -> None:
        assert connection.identity is not None
        connection.send(f"{connection.identity.subject} at {connection.uri}")

    async def on_request(self, request: Request) -> Any:
        assert request.identity is not None
        return {"who": request.identity.subject, "claims": request.identity.claims, "url": request.url}


class Other(Agent):
    async def on_request(self, request: Request) -> str:
        return "other"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tickets(clock: ManualClock) -> Tickets:
    return Tickets(SECRET, clock=clock)


@pytest.fixture
async def runtime(clock: ManualClock, tickets: Tickets) -> AsyncIterator[Runtime]:
    async with agent_runtime(ChatRoom, Other, clock=clock, plugins=[tickets]) as runtime:
        yield runtime


async def status(runtime: Runtime, path: str, ticket: str) -> int:
    response = await runtime.route(Request(f"{path}?ticket={ticket}"))
    assert response is not None
    return response.status


async def test_a_ticket_lets_a_browser_in_and_is_not_seen_by_the_agent(runtime: Runtime, tickets: Tickets):
    ticket = tickets.issue(ChatRoom, "lobby", Identity("ann", {"role": "admin"}))

    socket = await connect(runtime, f"/agents/chat-room/lobby?_pk=1&ticket={ticket}&x=2")
    await settle()
    assert "ann at http://localhost/agents/chat-room/lobby?_pk=1&x=2" in socket.pending()
    response = await runtime.route(Request(f"/agents/chat-room/lobby/history?ticket={ticket}"))
    assert response is not None
    told = await response.json()
    assert told == {"who": "ann", "claims": {"role": "admin"}, "url": "http://localhost/agents/chat-room/lobby/history"}


@pytest.mark.parametrize(
    "path",
    [
        "/agents/chat-room/attic",
        "/agents/chat-room/Lobby",
        "/agents/chat-room/lobby%20",
        "/agents/other/lobby",
        "/agents/chat-room/lobby/sub/side/x",
        "/agents/chat-room/lobby/files/sub/side/x/more",
        "//agents//chat-room//lobby//sub//side//x",
    ],
)
async def test_it_is_for_one_agent(runtime: Runtime, tickets: Tickets, path: str):
    assert await status(runtime, path, tickets.issue(ChatRoom, "lobby", "ann")) == 401


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a b", "a%20b"),
        ("Köln", "K%C3%B6ln"),
        ("{x}", "%7Bx%7D"),
        ("u@x", "u@x"),
        ("50%", "50%"),
        ("a%20b", "a%20b"),
        ("tea & cake", "tea%20&%20cake"),
    ],
)
async def test_it_opens_the_url_that_a_browser_makes_of_the_name(
    runtime: Runtime, tickets: Tickets, name: str, segment: str
):
    assert await status(runtime, f"/agents/chat-room/{segment}", tickets.issue(ChatRoom, name, "ann")) == 200
    assert tickets.accept(tickets.issue(ChatRoom, name, "ann"), ChatRoom, segment) is not None


@pytest.mark.parametrize("segment", ["a", "a%23b", "a%2520b", "a+b"])
async def test_it_opens_no_url_that_is_another_names(runtime: Runtime, tickets: Tickets, segment: str):
    assert await status(runtime, f"/agents/chat-room/{segment}", tickets.issue(ChatRoom, "a b", "ann")) == 401


async def test_one_for_a_sub_agent_names_the_way(runtime: Runtime, tickets: Tickets):
    ticket = tickets.issue(ChatRoom, "lobby", "ann", sub=[(Side, "a/b")])

    assert await status(runtime, "/agents/chat-room/lobby/sub/side/a%2Fb", ticket) == 200
    assert await status(runtime, "/agents/chat-room/lobby/sub/side/c", ticket) == 401
    assert await status(runtime, "/agents/chat-room/lobby", ticket) == 401
    assert await status(runtime, "/agents/chat-room/lobby/sub/side/a%2Fb/sub/side/c", ticket) == 401


async def test_it_holds_for_a_while(runtime: Runtime, tickets: Tickets, clock: ManualClock):
    ticket = tickets.issue(ChatRoom, "lobby", "ann", seconds=30)
    await clock.advance(29.9)
    assert await status(runtime, "/agents/chat-room/lobby", ticket) == 200

    await clock.advance(0.1)

    assert await status(runtime, "/agents/chat-room/lobby", ticket) == 401


async def test_the_connection_lasts_as_long_as_the_identity(runtime: Runtime, tickets: Tickets, clock: ManualClock):
    identity = Identity("ann", expires_at=clock.now() + timedelta(minutes=10))
    ticket = tickets.issue(ChatRoom, "lobby", identity, seconds=3600)
    socket = await connect(runtime, f"/agents/chat-room/lobby?ticket={ticket}")

    await clock.advance(599)
    assert socket.closed is None
    await clock.advance(1)

    assert socket.closed is not None
    assert socket.closed.code == 4401
    assert await status(runtime, "/agents/chat-room/lobby", ticket) == 401


async def test_one_for_once_lets_in_once(runtime: Runtime, tickets: Tickets):
    ticket = tickets.issue(ChatRoom, "lobby", "ann", once=True)
    again = tickets.issue(ChatRoom, "lobby", "ann", once=True)

    assert await status(runtime, "/agents/chat-room/attic", ticket) == 401  # Not used up by being shown elsewhere.
    assert [await status(runtime, "/agents/chat-room/lobby", each) for each in (ticket, ticket, again)] == [
        200,
        401,
        200,
    ]


async def test_once_is_once_for_all_processes_and_across_a_restart(tmp_path: Path, clock: ManualClock):
    ticket = Tickets(SECRET, clock=clock).issue(ChatRoom, "lobby", "ann", once=True)

    for expected in (200, 401):
        plugins = [Tickets(SECRET, clock=clock)]
        async with agent_runtime(ChatRoom, storage=tmp_path / "state", clock=clock, plugins=plugins) as runtime:
            assert await status(runtime, "/agents/chat-room/lobby", ticket) == expected
    (spent,) = (tmp_path / "state" / "tickets").iterdir()
    assert stat.S_IMODE(spent.stat().st_mode) == 0o600
    assert stat.S_IMODE(spent.parent.stat().st_mode) == 0o700


async def test_what_was_used_is_forgotten_when_it_holds_no_longer(tmp_path: Path, clock: ManualClock):
    tickets = Tickets(SECRET, clock=clock)
    async with agent_runtime(ChatRoom, storage=tmp_path / "state", clock=clock, plugins=[tickets]) as runtime:
        for _ in range(3):
            ticket = tickets.issue(ChatRoom, "lobby", "ann", once=True)
            assert await status(runtime, "/agents/chat-room/lobby", ticket) == 200
            await clock.advance(3600)
    assert len(list((tmp_path / "state" / "tickets").iterdir())) == 1


async def test_strange_files_among_the_used_ones_are_left_alone(tmp_path: Path, clock: ManualClock):
    strange = [".DS_Store", "12", "x-y", f"{'9' * 20}-{'0' * 64}", "1-backup"]
    tickets = Tickets(SECRET, clock=clock)
    async with agent_runtime(ChatRoom, storage=tmp_path / "state", clock=clock, plugins=[tickets]) as runtime:
        folder = tmp_path / "state" / "tickets"
        folder.mkdir()
        for name in strange:
            (folder / name).touch()
        for _ in range(2):
            ticket = tickets.issue(ChatRoom, "lobby", "ann", once=True)
            assert await status(runtime, "/agents/chat-room/lobby", ticket) == 200
            await clock.advance(3600)
    assert len(list(folder.iterdir())) == len(strange) + 1


def test_secrets_are_replaced_without_turning_anybody_away(clock: ManualClock):
    old, new = "the old secret" * 4, "the new secret" * 4
    ticket = Tickets(old, clock=clock).issue("Chat", "a", "ann")
    both = Tickets([new, old], clock=clock)

    assert both.accept(ticket, "Chat", "a") == Identity("ann")
    assert Tickets(new, clock=clock).accept(both.issue("Chat", "a", "ann"), "Chat", "a") == Identity("ann")
    assert Tickets(new, clock=clock).accept(ticket, "Chat", "a") is None


def forged(ticket: str, **changes: Any) -> str:
    content, _, signature = ticket.partition(".")
    told = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    text = json.dumps({**told, **changes}, separators=(",", ":")).encode()
    return f"{base64.urlsafe_b64encode(text).rstrip(b'=').decode()}.{signature}"


def test_a_changed_ticket_is_no_ticket(tickets: Tickets):
    ticket = tickets.issue("Chat", "a", "ann")

    assert tickets.accept(ticket, "Chat", "a") is not None
    assert forged(ticket) == ticket
    assert tickets.accept(forged(ticket, subject="root"), "Chat", "a") is None
    assert tickets.accept(forged(ticket, until=2**40), "Chat", "a") is None
    assert tickets.accept(forged(ticket, to=[["chat", "b"]]), "Chat", "b") is None
    for cut in range(len(ticket)):
        assert tickets.accept(ticket[:cut], "Chat", "a") is None
    for more in ("=", "A", ".", " ", "\n", "\0", "ü"):
        assert tickets.accept(ticket + more, "Chat", "a") is None


@given(st.text(max_size=300))
def test_no_text_is_a_ticket_by_chance(text: str):
    assert Tickets(SECRET).accept(text, "Chat", "a") is None


async def test_two_tickets_are_none(runtime: Runtime, tickets: Tickets):
    ticket = tickets.issue(ChatRoom, "lobby", "ann")
    assert await status(runtime, "/agents/chat-room/lobby", f"{ticket}&ticket={ticket}") == 401


@pytest.mark.parametrize("secret", ["", "short", b"x" * 31, [], [SECRET, "short"]])
def test_a_weak_secret_is_refused(secret: Any):
    with pytest.raises(ConfigError, match=r"token_urlsafe"):
        Tickets(secret)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_ticket_that_makes_no_sense_is_refused(tickets: Tickets, seconds: float):
    with pytest.raises(ValueError, match="lets nobody in"):
        tickets.issue(ChatRoom, "a", "ann", seconds=seconds)


def test_claims_that_do_not_fit_are_refused(tickets: Tickets):
    with pytest.raises(ConfigError, match="JSON"):
        tickets.issue(ChatRoom, "a", Identity("ann", {"x": object()}))
    with pytest.raises(ConfigError, match="too large"):
        tickets.issue(ChatRoom, "a", Identity("ann", {"x": "y" * 10_000}))


def test_the_secret_is_not_shown(tickets: Tickets):
    assert SECRET not in repr(tickets)
    assert repr(Tickets([SECRET, SECRET])) == "<Tickets with 2 secrets>"
