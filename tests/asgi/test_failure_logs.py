"""What the log says when an agent's code raises: once, whose it was, and the program's own lines first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from edgeagents import Agent, AgentsMiddleware, callable
from edgeagents.agents import Connection
from edgeagents.http import Request


class Clumsy(Agent):
    def stumble(self) -> None:
        raise ValueError("over my own feet")

    async def on_request(self, request: Request) -> None:
        self.stumble()

    @callable()
    async def walk(self) -> None:
        self.stumble()

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        self.stumble()

    @callable()
    async def run(self, ways: str) -> None:
        async def work() -> None:
            self.stumble()

        if ways == "spawn":
            self.ctx.spawn(work(), name="the work")
        else:
            self.ctx.wait_until(work())


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nothing but agents is asked for here")


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = AgentsMiddleware(nothing, agents=[Clumsy], storage=None, discover_plugins=False)
    with TestClient(app) as client:
        yield client


def call(client: TestClient, frame: Any) -> None:
    with client.websocket_connect("/agents/clumsy/ann") as socket:
        socket.send_json(frame)
        # What is answered after it: the failure was logged before.
        socket.send_json({"type": "rpc", "id": "end", "method": "nope", "args": []})
        while socket.receive_json().get("id") != "end":
            pass


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    formatter = logging.Formatter()
    return [formatter.format(record) for record in caplog.records if record.levelno >= logging.WARNING]


def rpc(method: str, *args: str) -> dict[str, Any]:
    return {"type": "rpc", "id": "1", "method": method, "args": list(args)}


def test_a_request_that_fails(client: TestClient, caplog: pytest.LogCaptureFixture):
    client.get("/agents/clumsy/ann")

    (said,) = failures(caplog)
    assert said.startswith("GET /agents/clumsy/ann: the handler failed\nTraceback (most recent call last):\n  File ")
    assert said.splitlines()[2].endswith("in on_request")
    assert said.endswith(
        "ValueError: over my own feet\nIn Clumsy 'ann'. Override on_error(self, error, connection=None)."
    )


@pytest.mark.parametrize(
    ("frame", "title", "first"),
    [
        (rpc("walk"), "Clumsy 'ann': the callable walk failed", "in walk"),
        ({"type": "mine"}, "Clumsy 'ann': a message from <Connection", "in on_message"),
        (rpc("run", "spawn"), "Clumsy 'ann': the work failed", "in work"),
        (rpc("run", "wait"), "Clumsy 'ann': what was given to wait_until() failed", "in work"),
    ],
    ids=["callable", "message", "spawn", "wait_until"],
)
def test_what_a_client_sets_off(
    client: TestClient, caplog: pytest.LogCaptureFixture, frame: Any, title: str, first: str
):
    call(client, frame)

    (said,) = failures(caplog)
    assert said.startswith(title)
    assert said.splitlines()[2].endswith(first)
    assert "ValueError: over my own feet" in said
