"""create_mcp_handler: MCP without sessions, and who may reach it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from edgeagents_mcp import McpAuthContext, create_mcp_handler, get_mcp_auth_context
from edgeagents_mcp.stateless import StatelessMcpHandler
from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from starlette.applications import Starlette
from starlette.routing import Mount

from edgeagents import Request, Response
from edgeagents.errors import ConfigError
from edgeagents.worker import ExecutionContext

from .loopback import quiet, serving

pytestmark = pytest.mark.cloudflare("MCP", "`createMcpHandler`, `getMcpAuthContext`", "same")

made: list[MCPServer[Any]] = []


def factory() -> MCPServer[Any]:
    server = quiet("stateless", version="1")
    made.append(server)

    @server.tool()
    async def whoami() -> dict[str, Any]:
        context = get_mcp_auth_context()
        return dict(context.props) if context is not None else {}

    @server.tool()
    async def count(ctx: Context[Any, Any]) -> str:
        await ctx.report_progress(1, 2)
        return "counted"

    return server


async def async_factory() -> MCPServer[Any]:
    return factory()


@pytest.fixture(autouse=True)
def none_made() -> None:
    made.clear()


async def ask(handler: StatelessMcpHandler, url: str = "http://localhost/mcp", **headers: str) -> Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}
    given = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await handler.fetch(Request(url, method="POST", headers=given, json=body))


def result_of(text: str) -> Any:
    data = text if text.startswith("{") else next(line[6:] for line in text.splitlines() if line.startswith("data: {"))
    return json.loads(data)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("make", [factory, async_factory])
@pytest.mark.parametrize("response_mode", ["auto", "json"])
async def test_the_official_client_of_either_era_is_served(mode: str, make: Any, response_mode: Any) -> None:
    handler = create_mcp_handler(make, auth_context={"user": "ada"}, response_mode=response_mode)
    app = Starlette(routes=[Mount("/", handler)])
    async with serving(app) as url, Client(f"{url}/mcp", mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        assert (await client.call_tool("whoami", {})).structured_content == {"user": "ada"}
        assert (await client.call_tool("count", {})).structured_content == {"result": "counted"}
    assert len(made) > 2


async def test_props_of_the_worker_are_who_asks() -> None:
    handler = create_mcp_handler(factory)
    request = Request(
        "http://localhost/mcp",
        method="POST",
        headers={"accept": "application/json, text/event-stream", "content-type": "application/json"},
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}},
    )
    response = await handler.fetch(request, {}, ExecutionContext(lambda awaitable: None, {"user": "bob"}))
    assert result_of(await response.text())["result"]["structuredContent"] == {"user": "bob"}
    assert get_mcp_auth_context() is None


async def test_nobody_in_particular_asks_without_props() -> None:
    response = await ask(create_mcp_handler(factory))
    assert result_of(await response.text())["result"]["structuredContent"] == {}
    given = await ask(create_mcp_handler(factory, auth_context=McpAuthContext({"user": "c"})))
    assert result_of(await given.text())["result"]["structuredContent"] == {"user": "c"}


async def test_another_path_is_not_found() -> None:
    handler = create_mcp_handler(factory, route="/tools")
    assert (await ask(handler)).status == 404
    assert (await ask(handler, "http://localhost/tools")).status == 200


@pytest.mark.parametrize(
    ("options", "url", "headers", "status"),
    [
        ({}, "http://localhost/mcp", {}, 200),
        ({}, "http://127.0.0.1:8000/mcp", {"host": "127.0.0.1:8000"}, 200),
        ({}, "http://localhost/mcp", {"host": "evil.example"}, 403),
        ({}, "https://mcp.example/mcp", {}, 200),
        ({"allowed_hostnames": ["mcp.example"]}, "https://mcp.example/mcp", {}, 200),
        ({"allowed_hostnames": ["mcp.example"]}, "https://other.example/mcp", {}, 403),
        ({"allowed_hostnames": ["mcp.example"]}, "http://localhost/mcp", {}, 403),
        ({}, "http://localhost/mcp", {"origin": "http://localhost:5173"}, 200),
        ({}, "http://localhost/mcp", {"origin": "http://[::1]:1"}, 200),
        ({}, "http://localhost/mcp", {"origin": "https://evil.example"}, 403),
        ({}, "http://localhost/mcp", {"origin": "null"}, 403),
        ({}, "https://mcp.example/mcp", {"origin": "https://evil.example"}, 403),
        ({"cors_options": {"origin": "https://app.example"}}, "https://m/mcp", {"origin": "https://app.example"}, 200),
        ({"cors_options": {"origin": "*"}}, "https://m/mcp", {"origin": "https://app.example"}, 403),
        ({"allowed_origin_hostnames": ["a.example"]}, "https://m/mcp", {"origin": "https://a.example"}, 200),
        ({"allowed_origin_hostnames": ["a.example"]}, "https://m/mcp", {"origin": "http://localhost"}, 403),
        ({"allowed_origin_hostnames": "*"}, "https://m/mcp", {"origin": "https://evil.example"}, 200),
    ],
)
async def test_who_may_ask(options: dict[str, Any], url: str, headers: dict[str, str], status: int) -> None:
    response = await ask(create_mcp_handler(factory, **options), url, **headers)
    assert response.status == status
    if status == 403:
        assert made == []
        assert (await response.json())["error"]["code"] == -32000


async def test_browsers_are_told_what_they_may_send_unless_that_is_turned_off() -> None:
    request = Request("http://localhost/mcp", method="OPTIONS")
    allowed = await create_mcp_handler(factory).fetch(request)
    assert "Mcp-Method, Mcp-Name" in allowed.headers["access-control-allow-headers"]
    silent = await ask(create_mcp_handler(factory, cors_options=False))
    assert "access-control-allow-origin" not in silent.headers


async def test_clients_of_before_2026_can_be_refused() -> None:
    response = await ask(create_mcp_handler(factory, legacy="reject"))
    assert response.status == 400
    assert (await response.json())["error"]["data"]["supported"] == ["2026-07-28"]
    app = Starlette(routes=[Mount("/", create_mcp_handler(factory, legacy="reject"))])
    async with serving(app) as url, Client(f"{url}/mcp") as client:
        assert client.protocol_version == "2026-07-28"


async def test_a_factory_that_fails_is_an_error_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> MCPServer[Any]:
        raise RuntimeError("no server today")

    response = await ask(create_mcp_handler(broken))
    assert response.status == 500
    assert (await response.json())["error"] == {"code": -32603, "message": "Internal server error"}
    assert "no server today" in caplog.text


@pytest.mark.parametrize(
    "make",
    [
        lambda: create_mcp_handler(factory, legacy="x"),  # type: ignore[arg-type]
        lambda: create_mcp_handler(factory, response_mode="x"),  # type: ignore[arg-type]
    ],
)
def test_a_choice_that_there_is_not_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match="not 'x'"):
        make()
