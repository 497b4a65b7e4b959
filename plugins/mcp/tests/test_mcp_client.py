"""An agent's MCP servers: official ones on loopback, over both transports."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from edgeagents_mcp import normalize_server_id, plugin
from mcp.server.mcpserver import Context
from mcp_types import ElicitRequestURLParams
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from edgeagents import Agent, Request, callable, hookimpl
from edgeagents.objects import ObjectId
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, ScriptedModel, agent_runtime, call_tool, connect, settle

from .loopback import Frames, calculator, quiet, serving, until

pytestmark = pytest.mark.cloudflare(
    "MCP", "`addMcpServer`, `removeMcpServer`, `getMcpServers`, `agent.mcp`, restoring, frames, events", "same"
)


class User(Agent):
    """Lets a test use its servers."""

    asked: list[Any] = []
    answers: Any = None

    async def on_start(self) -> None:
        if User.answers is not None:
            self.mcp.configure_elicitation_handlers(form=self.answer, url=self.answer)

    async def answer(self, params: Any, server_id: str) -> Any:
        User.asked.append((params, server_id))
        return User.answers

    @callable()
    async def add(self, url: str, options: dict[str, Any] | None = None) -> Any:
        return await self.add_mcp_server("server", url, **(options or {}))

    @callable()
    async def add_named(self, name: str, url: str, id: str | None = None) -> Any:
        return await self.add_mcp_server(name, url, id=id)

    @callable()
    async def drop(self, id: str) -> None:
        await self.remove_mcp_server(id)

    @callable()
    async def servers(self) -> Any:
        return self.get_mcp_servers()

    @callable()
    async def tool(self, id: str, name: str, arguments: dict[str, Any] | None = None) -> Any:
        result = await self.mcp.call_tool(id, name, arguments)
        return result.structured_content or [each.model_dump() for each in result.content]

    @callable()
    async def ai_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        tool = self.mcp.get_ai_tools()[name]
        return await tool.execute(**tool.read(arguments))

    @callable()
    async def ai_tools(self) -> Any:
        return {name: tool.description for name, tool in self.mcp.get_ai_tools(state="ready").items()}

    @callable()
    async def offered(self) -> Any:
        mcp = self.mcp
        return [
            [server["name"] for server in mcp.list_servers()],
            [str(each["uri"]) for each in mcp.list_resources()],
            [each["uriTemplate"] for each in mcp.list_resource_templates()],
            [each["name"] for each in mcp.list_prompts(server_name="server")],
            mcp.list_prompts(server_name="another"),
        ]

    @callable()
    async def read(self, id: str, uri: str) -> Any:
        result = await self.mcp.read_resource(id, uri)
        return result.contents[0].text  # type: ignore[union-attr]

    @callable()
    async def prompt(self, id: str, what: str) -> Any:
        result = await self.mcp.get_prompt(id, "sum_up", {"what": what})
        return result.messages[0].content.text  # type: ignore[union-attr]

    @callable()
    async def wait(self, seconds: float | None = None) -> Any:
        await self.mcp.wait_for_connections(seconds)
        return {id: server["state"] for id, server in self.get_mcp_servers()["servers"].items()}

    @callable()
    async def reconnect(self, id: str) -> Any:
        return await self.mcp.connect_to_server(id)

    @callable()
    async def tables(self) -> Any:
        return [row["name"] for row in self.sql("select name from sqlite_master where name like 'cf_agents_mcp%'")]

    @callable()
    async def rows(self) -> Any:
        return self.sql("select id, name, server_url, callback_url, client_id, auth_url from cf_agents_mcp_servers")

    @callable()
    async def keep(self) -> None:
        self.set_state({"kept": True})

    async def on_error(self, error: Exception, connection: object = None) -> None:
        """Tests look at what is answered."""


@pytest.fixture(autouse=True)
def nobody_was_asked() -> None:
    User.asked, User.answers = [], None


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(User, plugins=[plugin]) as runtime:
        yield runtime


@pytest.fixture
async def user(runtime: Runtime) -> Frames:
    return Frames(await connect(runtime, "/agents/user/a"))


@pytest.fixture(params=["streamable-http", "sse"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    server = calculator()
    if request.param == "sse":
        async with serving(server.sse_app()) as url:
            yield f"{url}/sse"
    else:
        async with serving(server.streamable_http_app()) as url:
            yield f"{url}/mcp"


async def answered(frames: Frames, method: str, *args: Any) -> Any:
    frame = await frames.call(method, *args)
    assert frame["success"], frame
    return frame["result"]


# Using a server


async def test_a_server_that_is_added_is_ready_and_its_tools_can_be_used(url: str, user: Frames) -> None:
    added = await answered(user, "add", url)
    assert added["state"] == "ready"
    id = added["id"]
    assert await answered(user, "tool", id, "add", {"a": 1, "b": 2}) == {"result": 3}
    assert await answered(user, "tool", id, f"{id}.add", {"a": 1, "b": 2}) == {"result": 3}
    assert await answered(user, "read", id, "math://pi") == "3.14159"
    assert await answered(user, "prompt", id, "all") == "Sum up all."


async def test_what_a_server_offers_is_listed(url: str, user: Frames) -> None:
    await answered(user, "add", url)
    assert await answered(user, "offered") == [["server"], ["math://pi"], ["math://square/{n}"], ["sum_up"], []]


async def test_clients_are_told_each_state_and_what_is_offered(url: str, user: Frames) -> None:
    id = (await answered(user, "add", url))["id"]
    assert user.states() == ["connecting", "connected", "discovering", "ready"]
    mcp = user.seen[-2]["mcp"]
    server = mcp["servers"][id]
    assert server.pop("capabilities")["tools"] is not None
    assert server == {
        "auth_url": None,
        "error": None,
        "instructions": "Count on it.",
        "name": "server",
        "server_url": url,
        "state": "ready",
    }
    assert [tool["name"] for tool in mcp["tools"]] == ["add", "fail", "learn"]
    assert mcp["tools"][0]["serverId"] == id
    assert mcp["tools"][0]["inputSchema"]["required"] == ["a", "b"]
    assert [resource["uri"] for resource in mcp["resources"]] == ["math://pi"]
    assert [prompt["name"] for prompt in mcp["prompts"]] == ["sum_up"]


async def test_who_connects_later_is_greeted_with_the_servers(url: str, runtime: Runtime, user: Frames) -> None:
    id = (await answered(user, "add", url))["id"]
    later = Frames(await connect(runtime, "/agents/user/a"))
    assert (await later.mcp())["servers"][id]["state"] == "ready"


@pytest.mark.cloudflare("MCP", "tools of servers for models: `getAITools`", "same")
async def test_tools_are_given_to_models_under_names_with_the_servers_id(url: str, user: Frames) -> None:
    await answered(user, "add", url, {"id": "My Server-1"})
    tools = await answered(user, "ai_tools")
    assert tools["tool_myserver1_add"] == "Add two numbers."
    result = await answered(user, "ai_tool", "tool_myserver1_add", {"a": 2, "b": 3})
    assert result["structuredContent"] == {"result": 5}
    failed = await user.call("ai_tool", "tool_myserver1_fail", {})
    assert failed["error"] == "Error executing tool fail: no such number"


async def test_tools_that_are_learned_are_told(user: Frames) -> None:
    async with serving(calculator().streamable_http_app()) as url:
        id = (await answered(user, "add", f"{url}/mcp"))["id"]
        await user.call("tool", id, "learn")
        mcp = await user.mcp(lambda mcp: len(mcp["tools"]) == 4)
        assert mcp["tools"][-1]["name"] == "multiply"


async def test_a_server_with_sessions_tells_of_its_tools_too(user: Frames) -> None:
    server = quiet("learning")

    @server.tool()
    async def learn(ctx: Context[Any, Any]) -> str:
        """Learn another tool."""

        async def multiply(a: int, b: int) -> int:
            return a * b

        server.add_tool(multiply)
        await ctx.session.send_tool_list_changed()
        return "learned"

    async with serving(server.sse_app()) as url:
        id = (await answered(user, "add", f"{url}/sse", {"client": {"mode": "legacy"}}))["id"]
        await user.call("tool", id, "learn")
        mcp = await user.mcp(lambda mcp: len(mcp["tools"]) == 2)
        assert mcp["tools"][-1]["name"] == "multiply"


async def test_a_model_calls_a_servers_tool(url: str) -> None:
    model = ScriptedModel(
        lambda request: (
            str(request.messages[-1]) if request.messages[-1].role == "tool" else call_tool("tool_calc_add", a=20, b=22)
        )
    )

    class Asking(Agent):
        async def on_request(self, request: Request) -> str:
            await self.add_mcp_server("calc", url, id="calc")
            tools = self.mcp.get_ai_tools()
            return await self.stream_text(model="scripted:x", prompt="20 + 22?", tools=tools, max_steps=2).text

    async with agent_runtime(Asking, plugins=[plugin, model]) as runtime:
        response = await runtime.route(Request("/agents/asking/a"))
        assert response is not None
        assert "42" in await response.text()
    assert [tool.name for tool in model.requests[0].tools] == ["tool_calc_add", "tool_calc_fail", "tool_calc_learn"]


# Adding and removing


async def test_the_same_name_and_url_are_one_server(url: str, user: Frames) -> None:
    first = await answered(user, "add", url)
    second = await answered(user, "add", url.replace("http://127", "HTTP://127"))
    assert first == second
    assert len(await answered(user, "rows")) == 1
    other = await answered(user, "add_named", "another", url)
    assert other["id"] != first["id"]


async def test_a_server_gets_the_id_that_is_asked_for_later(url: str, user: Frames) -> None:
    old = (await answered(user, "add", url))["id"]
    assert (await answered(user, "add", url, {"id": "calc"}))["id"] == "calc"
    servers = (await answered(user, "servers"))["servers"]
    assert list(servers) == ["calc"]
    assert old not in servers
    assert await answered(user, "tool", "calc", "add", {"a": 1, "b": 1}) == {"result": 2}
    taken = await user.call("add_named", "another", url, "calc")
    assert f'MCP server id "calc" is already in use by server "server" ({url})' in taken["error"]


async def test_a_server_that_is_removed_is_forgotten(url: str, user: Frames) -> None:
    id = (await answered(user, "add", url))["id"]
    await answered(user, "drop", id)
    assert (await answered(user, "servers")) == {"prompts": [], "resources": [], "servers": {}, "tools": []}
    assert await answered(user, "rows") == []
    assert f"There is no connection to an MCP server '{id}'" in (await user.call("tool", id, "add"))["error"]


async def test_headers_are_sent_with_every_request(user: Frames) -> None:
    seen: list[str | None] = []
    server = calculator()

    class Noting:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                seen.append(dict(scope["headers"]).get(b"x-key", b"").decode())
            await self.app(scope, receive, send)

    async with serving(Noting(server.streamable_http_app())) as url:
        await answered(user, "add", f"{url}/mcp", {"transport": {"headers": {"x-key": "k"}}})
    assert set(seen) == {"k"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"transport": {"typ": "sse"}}, "has 'typ', which is not known. Known: headers, type"),
        ({"transport": {"type": "rpc"}}, "is one of auto, streamable-http, sse, not 'rpc'"),
        ({"client": {"x": 1}}, "client= of add_mcp_server() has 'x'"),
        ({"retry": {"max_attempts": 0}}, "retry.maxAttempts must be >= 1"),
    ],
)
async def test_options_that_there_are_not_are_refused(user: Frames, options: dict[str, Any], text: str) -> None:
    assert text in (await user.call("add", "http://127.0.0.1:9/", options))["error"]
    assert await answered(user, "tables") == []


@pytest.mark.parametrize("url", ["nothing", "/mcp", "http://", "http://[x/"])
async def test_what_is_no_url_is_refused(url: str, user: Frames) -> None:
    assert "Invalid URL" in (await user.call("add", url))["error"]


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("my-supplied-id", "my-supplied-id"),
        ("GitHub MCP!", "github-mcp"),
        ("42-things", "id-42-things"),
        ("--a--b--", "a-b"),
        ("", "id"),
        ("x" * 70, "x" * 64),
        ("Ünicode", "nicode"),
    ],
)
def test_ids_have_one_spelling(given: str, normal: str) -> None:
    assert normalize_server_id(given) == normal


# Failing


@pytest.mark.cloudflare(
    "MCP",
    "what clients are told of a server that cannot be reached",
    "different: why, in `error`, which the SDK leaves null",
)
async def test_a_server_that_is_not_there_fails_and_stays_known(user: Frames) -> None:
    async with serving(Starlette()) as gone:
        pass
    failed = await user.call("add", f"{gone}/mcp")
    assert failed["error"].startswith(f"Failed to connect to MCP server at {gone}/mcp: ")
    assert user.states() == ["connecting", "failed"]
    (server,) = (await answered(user, "servers"))["servers"].values()
    assert server["error"]
    again = await user.call("add", f"{gone}/mcp")
    assert again["error"].startswith('MCP server "server" is in failed state: ')


async def test_a_failed_server_can_be_connected_to_again(user: Frames) -> None:
    async with serving(Starlette()) as gone:
        pass
    await user.call("add", f"{gone}/mcp", {"id": "calc"})
    async with serving(calculator().streamable_http_app(), int(gone.rpartition(":")[2])):
        assert await answered(user, "reconnect", "calc") == {"state": "connected"}
        assert await answered(user, "tool", "calc", "add", {"a": 1, "b": 1}) == {"result": 2}


async def test_what_a_server_says_is_cut_and_stripped_before_clients_see_it(user: Frames) -> None:
    async def answer(request: StarletteRequest) -> JSONResponse:
        body = await request.json()
        error = {"code": -32603, "message": "\x07bad\x00" + "!" * 600}
        return JSONResponse({"jsonrpc": "2.0", "id": body.get("id"), "error": error}, status_code=400)

    async with serving(Starlette(routes=[Route("/mcp", answer, methods=["POST", "GET"])])) as url:
        await user.call("add", f"{url}/mcp", {"transport": {"type": "streamable-http"}})
    (server,) = (await answered(user, "servers"))["servers"].values()
    assert server["error"] == "bad" + "!" * 497 + "..."


async def test_a_server_with_sse_alone_is_found_after_404(user: Frames) -> None:
    async with serving(calculator().sse_app()) as url:
        assert (await answered(user, "add", f"{url}/sse"))["state"] == "ready"
        other = await user.call("add_named", "another", f"{url}/nowhere")
        assert "404" in other["error"]


async def test_a_server_that_forgot_its_session_is_asked_in_another(user: Frames) -> None:
    async with serving(calculator().streamable_http_app()) as url:
        id = (await answered(user, "add", f"{url}/mcp", {"client": {"mode": "legacy"}}))["id"]
    async with serving(calculator().streamable_http_app(), int(url.rpartition(":")[2])):
        assert await answered(user, "tool", id, "add", {"a": 1, "b": 1}) == {"result": 2}


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3/mcp",
        "http://172.16.0.1/",
        "http://192.168.1.1:8080/mcp",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/",
        "http://0.0.0.0:1/",
        "http://[::]/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://[febf::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::ffff:a00:1]/",
        "http://[64:ff9b::a00:1]/",
        "http://167772161/",
        "http://0xa.1/",
        "http://metadata.google.internal/",
        "ftp://example.com/",
        "http://intranet.example/mcp",
    ],
)
async def test_private_networks_are_out_of_reach(user: Frames, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        return real("192.168.7.7" if host == "intranet.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    failed = await user.call("add", url)
    assert failed["error"] == (
        f"Blocked URL: {url} — MCP client connections to private/internal addresses are not allowed"
    )
    assert await answered(user, "tables") == []


@pytest.mark.cloudflare(
    "MCP",
    "addresses that an agent may connect to",
    "different: names are resolved too, again at each connection, and no special network is left out",
)
async def test_a_name_that_leads_elsewhere_after_it_was_looked_at_is_not_followed(
    user: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real = socket.getaddrinfo
    asked: list[str] = []

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in ("rebound.example", b"rebound.example"):
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    failed = await user.call("add", "http://rebound.example:9/mcp")
    assert "Blocked URL: rebound.example" in failed["error"]
    assert len(asked) > 1


async def test_a_private_network_can_be_allowed(user: Frames) -> None:
    # Nothing is ever sent to this address: to connect to it fails at once.
    url = "http://255.255.255.255:9/"
    assert "Blocked URL" in (await user.call("add", url))["error"]
    allowed = await user.call("add", url, {"allow_private_network": True})
    assert allowed["error"].startswith(f"Failed to connect to MCP server at {url}: ")
    assert "Blocked" not in allowed["error"]


# Waking


async def test_an_agent_without_servers_has_nothing_of_this(tmp_path: Path) -> None:
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path) as runtime:
        quiet_one = Frames(await connect(runtime, "/agents/user/a"))
        assert (await answered(quiet_one, "servers"))["servers"] == {}
        assert not [name for _, _, names in os.walk(tmp_path / "objects") for name in names if "sqlite" in name]
        await answered(quiet_one, "keep")
        assert await answered(quiet_one, "tables") == []


async def remember(url: str, storage: Path) -> None:
    """Let an agent know a server, and be gone."""
    async with agent_runtime(User, plugins=[plugin], storage=storage) as runtime:
        await answered(Frames(await connect(runtime, "/agents/user/a")), "add", url, {"id": "calc"})


async def test_servers_are_connected_to_again_when_the_agent_wakes(tmp_path: Path, url: str) -> None:
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path) as runtime:
        id = (await answered(Frames(await connect(runtime, "/agents/user/a")), "add", url, {"id": "calc"}))["id"]
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        assert (await user.mcp())["servers"][id]["state"] == "connecting"
        assert await answered(user, "wait") == {"calc": "ready"}
        assert user.states() == ["connecting", "connected", "discovering", "ready"]
        assert await answered(user, "tool", id, "add", {"a": 1, "b": 2}) == {"result": 3}


async def test_on_start_may_wait_for_the_servers(tmp_path: Path, url: str) -> None:
    class Waiting(Agent):
        async def on_start(self) -> None:
            await self.add_mcp_server("calc", url, id="calc")
            await self.mcp.wait_for_connections()
            self.tools = list(self.mcp.get_ai_tools())

        @callable()
        async def known(self) -> Any:
            return self.tools

    for _ in range(2):
        async with agent_runtime(Waiting, plugins=[plugin], storage=tmp_path) as runtime:
            waiting = Frames(await connect(runtime, "/agents/waiting/a"))
            assert await answered(waiting, "known") == ["tool_calc_add", "tool_calc_fail", "tool_calc_learn"]


async def test_a_server_that_is_gone_is_tried_three_times(tmp_path: Path) -> None:
    async with serving(calculator().streamable_http_app()) as url:
        await remember(f"{url}/mcp", tmp_path)
    clock = ManualClock()
    failures: list[Any] = []
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path, clock=clock) as runtime:
        runtime.events.subscribe("agents:mcp", lambda event: failures.append(event.payload.get("state")))
        user = Frames(await connect(runtime, "/agents/user/a"))
        await until(lambda: failures.count("failed") >= 1, "the first attempt")
        await clock.advance(2)
        await until(lambda: failures.count("failed") >= 2, "the second attempt")
        await clock.advance(4)
        await until(lambda: failures.count("failed") >= 3, "the third attempt")
        assert await answered(user, "wait") == {"calc": "failed"}
        assert failures.count("failed") == 3


async def test_waiting_for_connections_has_an_end(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def hang(request: StarletteRequest) -> PlainTextResponse:
        await release.wait()
        return PlainTextResponse("late", status_code=500)

    clock = ManualClock()
    async with serving(calculator().streamable_http_app()) as url:
        await remember(f"{url}/mcp", tmp_path)
    app = Starlette(routes=[Route("/mcp", hang, methods=["POST"])])
    async with (
        serving(app, int(url.rpartition(":")[2])),
        agent_runtime(User, plugins=[plugin], storage=tmp_path, clock=clock) as runtime,
    ):
        user = Frames(await connect(runtime, "/agents/user/a"))
        assert await answered(user, "wait", 0) == {"calc": "connecting"}
        waiting = asyncio.create_task(answered(user, "wait", 10))
        await settle()
        await clock.advance(10)
        assert await waiting == {"calc": "connecting"}
        release.set()


class Departures:
    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def object_left(self, object_id: ObjectId, reason: str) -> None:
        self.seen.append(reason)


@pytest.mark.cloudflare(
    "MCP",
    "a session with a server that is not used",
    "different: it ends after a minute, so that the agent may leave memory; the next call opens another",
)
async def test_an_idle_session_ends_and_its_agent_leaves_memory(url: str) -> None:
    clock, departures, closed = ManualClock(), Departures(), []
    async with agent_runtime(User, plugins=[plugin, departures], clock=clock) as runtime:
        runtime.events.subscribe("agents:mcp", lambda event: closed.append(event.type))
        user = Frames(await connect(runtime, "/agents/user/a"))
        await answered(user, "add", url, {"id": "calc"})
        await clock.advance(59)
        assert departures.seen == []
        await clock.advance(2)
        await until(lambda: "mcp:client:close" in closed, "the session to end")
        assert await answered(user, "wait") == {"calc": "ready"}
        # The next call opens another session.
        assert await answered(user, "tool", "calc", "add", {"a": 1, "b": 1}) == {"result": 2}
        closed.clear()
        await clock.advance(61)
        await until(lambda: "mcp:client:close" in closed, "the session to end")
        await clock.advance(20)
        assert departures.seen == ["hibernated"]


async def test_what_happens_is_told_to_observers(url: str, runtime: Runtime, user: Frames) -> None:
    seen: list[tuple[str, Any]] = []
    runtime.events.subscribe("agents:mcp", lambda event: seen.append((event.type, dict(event.payload))))
    id = (await answered(user, "add", url))["id"]
    await answered(user, "drop", id)
    kind = "sse" if url.endswith("/sse") else "streamable-http"
    assert seen == [
        ("mcp:client:connect", {"url": url, "transport": kind, "state": "connected"}),
        ("mcp:client:discover", {"url": url}),
        ("mcp:client:close", {"url": url, "transport": kind, "state": "closed"}),
    ]


# Being asked


class Colour(BaseModel):
    colour: str


def asking() -> Any:
    server = quiet("asking")

    @server.tool()
    async def ask(ctx: Context[Any, Any]) -> str:
        result = await ctx.elicit("Which colour?", Colour)
        return result.data.colour if result.action == "accept" else result.action

    @server.tool()
    async def ask_url(ctx: Context[Any, Any]) -> str:
        return (await ctx.elicit_url("Pay here", "https://pay.example/", "e1")).action

    return server


@pytest.mark.parametrize(
    ("tool", "answer", "result"),
    [
        ("ask", {"action": "accept", "content": {"colour": "red"}}, "red"),
        ("ask", {"action": "decline"}, "decline"),
        ("ask_url", {"action": "accept"}, "accept"),
    ],
)
async def test_a_server_may_ask_the_agent(tool: str, answer: Any, result: str) -> None:
    User.answers = answer
    async with serving(asking().sse_app()) as url, agent_runtime(User, plugins=[plugin]) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        await answered(user, "add", f"{url}/sse", {"id": "asking", "client": {"mode": "legacy"}})
        assert await answered(user, "tool", "asking", tool) == {"result": result}
    ((params, server_id),) = User.asked
    assert server_id == "asking"
    assert isinstance(params, ElicitRequestURLParams) == (tool == "ask_url")


class Silent(User):
    """Is asked and does not answer."""

    limit: dict[str, Any] = {}

    async def on_start(self) -> None:
        self.mcp.configure_elicitation_handlers(form=self.ponder, **Silent.limit)

    async def ponder(self, params: Any, server_id: str) -> Any:
        User.asked.append((params, server_id))
        await asyncio.Event().wait()


@pytest.mark.parametrize(("limit", "seconds"), [({}, 60), ({"timeout": 300}, 300)], ids=["by default", "as it is said"])
async def test_a_server_is_told_when_nobody_answers(limit: dict[str, Any], seconds: int) -> None:
    Silent.limit, clock = limit, ManualClock()
    async with serving(asking().sse_app()) as url, agent_runtime(Silent, plugins=[plugin], clock=clock) as runtime:
        user = Frames(await connect(runtime, "/agents/silent/a"))
        await answered(user, "add", f"{url}/sse", {"id": "asking", "client": {"mode": "legacy"}})
        call = asyncio.create_task(answered(user, "tool", "asking", "ask"))
        await until(lambda: User.asked, "the question")
        await clock.advance(seconds - 1)
        assert not call.done()
        await clock.advance(1)
        assert await call == {"result": "cancel"}


async def test_without_handlers_a_server_is_told_that_it_cannot_ask(user: Frames) -> None:
    async with serving(asking().sse_app()) as url:
        await answered(user, "add", f"{url}/sse", {"id": "asking", "client": {"mode": "legacy"}})
        frame = await user.call("tool", "asking", "ask")
        assert "elicitation" in json.dumps(frame).lower()
