"""MCP asks who a client is as every other way in does, and a session stays with whom it was begun by."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from edgeagents_mcp import create_mcp_handler

from edgeagents import Identity, Request, hookimpl
from edgeagents.runtime import Runtime
from edgeagents.testing import agent_runtime

from .loopback import quiet
from .test_mcp_agent import HEADERS, INITIALIZE, Counter, Http

KEYS = {"a": Identity("ann"), "b": Identity("bob")}


class Guard:
    __name__ = "guard"

    @hookimpl
    def authorise(self, request: Request) -> Identity | None:
        return KEYS.get(request.headers.get("key", ""))


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Counter, plugins=[Guard()]) as runtime:
        yield runtime


async def begun(runtime: Runtime, key: str, transport: str = "streamable-http") -> Http:
    http = Http(runtime, Counter.serve("/mcp"))
    response = await http.send("POST", INITIALIZE, key=key)
    assert response.status == 200
    http.session = response.headers["mcp-session-id"]
    return http


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_whom_nobody_knows_reaches_no_session(runtime: Runtime, method: str) -> None:
    http = await begun(runtime, "a")
    response = await http.send(method, INITIALIZE if method == "POST" else None)
    assert response.status == 401
    assert response.headers["access-control-allow-origin"] == "*"


async def test_a_preflight_asks_nobody(runtime: Runtime) -> None:
    assert (await Http(runtime).send("OPTIONS")).status == 200


async def test_a_session_is_for_whom_it_was_begun_by(runtime: Runtime) -> None:
    http = await begun(runtime, "a")
    tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await http.send("POST", tools, key="b")).status == 404
    assert (await http.send("GET", key="b")).status == 404
    assert (await http.send("DELETE", key="b")).status == 404
    assert (await http.send("POST", tools, key="a")).status == 200
    assert (await http.send("DELETE", key="a")).status == 204


async def test_a_server_without_sessions_asks_too(runtime: Runtime) -> None:
    handler = create_mcp_handler(lambda: quiet("plain", version="1"), route="/mcp")
    ask = {**INITIALIZE}
    with runtime.in_context():
        refused = await handler.fetch(Request("http://localhost/mcp", method="POST", headers=HEADERS, json=ask))
        headers = {**HEADERS, "key": "a"}
        taken = await handler.fetch(Request("http://localhost/mcp", method="POST", headers=headers, json=ask))
    assert (refused.status, taken.status) == (401, 200)
