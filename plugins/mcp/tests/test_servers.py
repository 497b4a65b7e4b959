"""McpAgent on the ASGI servers: streams arrive as they are made, and a session goes on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from tests.servers import SERVERS, Server, serving

HERE = Path(__file__).parent
HEADERS = {"accept": "application/json, text/event-stream"}


def options(server: str, tmp_path: Path) -> dict[str, Any]:
    return {
        "server": server,
        "cwd": HERE,
        "env": {"STATE_FOLDER": str(tmp_path)},
        "pythonpath": [HERE, HERE.parent],
        "ready": "/mcp",
    }


@pytest.mark.server
@pytest.mark.parametrize("server", SERVERS)
async def test_the_official_client_is_served(server: str, tmp_path: Path) -> None:
    with serving("served_app:app", **options(server, tmp_path)) as running:
        async with Client(f"{running.url}/mcp") as client:
            assert (await client.call_tool("add", {"by": 2})).structured_content == {"result": 2}
        async with Client(sse_client(f"{running.url}/mcp")) as client:
            assert (await client.call_tool("add", {"by": 3})).structured_content == {"result": 3}


async def post(running: Server, session: str | None, body: dict[str, Any]) -> httpx2.Response:
    headers = {**HEADERS, "mcp-session-id": session} if session else HEADERS
    async with httpx2.AsyncClient() as http:
        return await http.post(f"{running.url}/mcp", json={"jsonrpc": "2.0", **body}, headers=headers)


@pytest.mark.server
async def test_a_session_goes_on_after_a_kill(tmp_path: Path) -> None:
    with serving("served_app:app", **options("uvicorn", tmp_path)) as running:
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        begun = await post(running, None, {"id": 0, "method": "initialize", "params": about})
        session = begun.headers["mcp-session-id"]
        call = {"id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"by": 2}}}
        assert '"result":2' in (await post(running, session, call)).text
        running.kill()
        running.start()
        assert '"result":4' in (await post(running, session, call)).text
