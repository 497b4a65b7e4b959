"""The counter on a real server: routes, sockets and a restart."""

from __future__ import annotations

import asyncio
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
    server = Server("main:app", server="uvicorn", cwd=EXAMPLE, env={"STATE": str(tmp_path / "state")})
    yield server.start()
    server.close()


async def bump(server: Server, query: str = "") -> int:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
        return (await http.post(f"/bump/a{query}")).json()["n"]


async def test_the_apps_own_pages_are_untouched(server: Server) -> None:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert (await http.get("/")).json() == {"hello": "from FastAPI"}
        assert (await http.get("/nothing")).status_code == 404


async def test_a_route_calls_an_agent(server: Server) -> None:
    assert [await bump(server), await bump(server, "?by=2")] == [1, 3]


async def test_a_hundred_calls_at_once_count_to_a_hundred(server: Server) -> None:
    await asyncio.gather(*(bump(server) for _ in range(99)))

    assert await bump(server) == 100


async def test_who_watches_sees_what_a_route_did(server: Server) -> None:
    async with websockets.connect(f"{server.ws_url}/agents/counter/a", proxy=None) as socket:
        for _ in range(3):
            await socket.recv()

        await bump(server, "?by=7")

        assert json.loads(await socket.recv()) == {"type": "cf_agent_state", "state": {"n": 7}}


async def test_the_counter_goes_on_after_a_kill(server: Server) -> None:
    await bump(server, "?by=41")

    server.kill()
    server.start()

    assert await bump(server) == 42
