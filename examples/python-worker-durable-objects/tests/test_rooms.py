"""The requests of the README, against the emulator, and the sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

from tests.examples import commands_of, http_client, run_command, serving_example
from tests.servers import Server

pytestmark = pytest.mark.server

NAME = "python-worker-durable-objects"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving_example(NAME, tmp_path) as server:
        yield server


def test_the_readme_says_what_happens(server: Server) -> None:
    kitchen, cellar = (run_command(command, server) for command in commands_of(NAME))
    assert kitchen == '{"number": 1}{"number": 2}["hello", "anybody here?"]'
    assert cellar == "[]"


async def test_who_listens_hears_what_is_said(server: Server) -> None:
    async with (
        websockets.connect(f"{server.ws_url}/kitchen", proxy=None) as one,
        websockets.connect(f"{server.ws_url}/kitchen", proxy=None) as other,
        http_client(server) as http,
    ):
        await one.send("from a socket")
        assert [await asyncio.wait_for(socket.recv(), 30) for socket in (one, other)] == ["from a socket"] * 2
        await http.post("/kitchen", content="from a request")
        assert await asyncio.wait_for(other.recv(), 30) == "from a request"


async def test_a_room_goes_on_after_a_kill(server: Server) -> None:
    async with http_client(server) as http:
        await http.post("/kitchen", content="before")
    server.kill()
    server.start()
    async with http_client(server) as http:
        assert (await http.post("/kitchen", content="after")).json() == {"number": 2}
        assert (await http.get("/kitchen")).json() == ["before", "after"]
