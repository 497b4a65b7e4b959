"""The chat room on a real server: Django's views and the sockets see the same room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import websockets

from tests.servers import Server

pytestmark = pytest.mark.server

EXAMPLE = Path(__file__).parents[1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server("chatroom.asgi:application", cwd=EXAMPLE, env={"STATE": str(tmp_path / "state")})
    yield server.start()
    server.close()


def client(server: Server) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.url, trust_env=False)


async def test_what_a_view_says_is_kept_and_heard(server: Server) -> None:
    async with (
        websockets.connect(f"{server.ws_url}/agents/chat-room/lobby", proxy=None) as socket,
        client(server) as http,
    ):
        said = await http.post("/rooms/lobby/say", data={"name": "Ada", "text": "Hello"})
        heard = [await socket.recv() for _ in range(5)]
        history = await http.get("/rooms/lobby/")

    assert said.json() == {"id": 1}
    assert heard[-1] == "Ada: Hello"
    assert history.json() == {"said": [{"id": 1, "name": "Ada", "text": "Hello"}]}


async def test_the_state_says_how_many_are_there(server: Server) -> None:
    url = f"{server.ws_url}/agents/chat-room/hall"
    async with websockets.connect(url, proxy=None) as first:
        frames = [json.loads(await first.recv()) for _ in range(4)]
        async with websockets.connect(url, proxy=None):
            two = json.loads(await first.recv())
        one = json.loads(await first.recv())

    assert frames[-1] == {"type": "cf_agent_state", "state": {"people": 1}}
    assert [two["state"], one["state"]] == [{"people": 2}, {"people": 1}]


async def test_rooms_do_not_hear_each_other(server: Server) -> None:
    async with client(server) as http:
        await http.post("/rooms/lobby/say", data={"name": "Ada", "text": "Hello"})
        elsewhere = await http.get("/rooms/attic/")

    assert elsewhere.json() == {"said": []}


async def test_history_is_there_after_a_kill(server: Server) -> None:
    async with client(server) as http:
        await http.post("/rooms/lobby/say", data={"name": "Ada", "text": "Hello"})
    server.kill()
    server.start()
    async with client(server) as http:
        history = await http.get("/rooms/lobby/")

    assert history.json() == {"said": [{"id": 1, "name": "Ada", "text": "Hello"}]}
