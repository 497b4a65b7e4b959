"""McpAgent: sessions of the official client, and what a client is answered over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from edgeagents_mcp import McpAgent
from edgeagents_mcp.serve import McpHandler
from fastapi import FastAPI
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.server.mcpserver import Context
from mcp_types import ElicitResult
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from edgeagents import AgentsMiddleware, Request, Response, WorkerEntrypoint, get_current_agent, hookimpl
from edgeagents.asgi import WorkerApp
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.objects import ObjectId
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from edgeagents.worker import Worker

from .loopback import Frames, quiet, serving

pytestmark = pytest.mark.cloudflare(
    "MCP", "`McpAgent.serve`: streamable HTTP and SSE, answers, sessions, props, state", "same"
)


class Answer(BaseModel):
    colour: str


class Counter(McpAgent):
    initial_state = {"n": 0}
    started = 0
    gate: asyncio.Event

    async def init(self) -> None:
        Counter.started += 1
        self.server = server = quiet("counter", version="1")

        @server.tool()
        async def add(by: int) -> int:
            self.set_state({"n": self.state["n"] + by})
            return self.state["n"]

        @server.tool()
        def add_in_thread(by: int) -> str:
            self.set_state({"n": self.state["n"] + by})
            return threading.current_thread().name

        @server.tool()
        async def whoami() -> dict[str, Any]:
            current = get_current_agent()
            assert current.agent is self
            return {"name": self.name, "props": dict(self.props or {}), "session": self.get_session_id()}

        @server.tool()
        async def announce(ctx: Context[Any, Any]) -> None:
            await ctx.session.send_tool_list_changed()

        @server.tool()
        async def leave(ctx: Context[Any, Any]) -> str:
            await ctx.close_sse_stream()
            return "done later"

        @server.tool()
        async def header(ctx: Context[Any, Any]) -> str:
            return (ctx.headers or {}).get("x-colour", "none")

        @server.tool()
        async def ask(ctx: Context[Any, Any]) -> str:
            result = await ctx.elicit("Which colour?", Answer)
            return result.data.colour if result.action == "accept" else result.action

        @server.tool()
        async def wait(ctx: Context[Any, Any]) -> str:
            await ctx.report_progress(1, 2, "waiting")
            await Counter.gate.wait()
            return "waited"

        @server.resource("count://now")
        def now() -> str:
            return f"{self.state['n']} in {threading.current_thread().name}"

        @server.prompt()
        def say() -> str:
            return f"Say {self.state['n']}"


@pytest.fixture(autouse=True)
def gate() -> asyncio.Event:
    Counter.gate = asyncio.Event()
    return Counter.gate


class Departures:
    """A plugin that notes who left memory, and how."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str]] = []

    @hookimpl
    def object_left(self, object_id: ObjectId, reason: str) -> None:
        self.seen.append((object_id.name, reason))


@pytest.fixture
def departures() -> Departures:
    return Departures()


@pytest.fixture
async def runtime(departures: Departures) -> AsyncIterator[Runtime]:
    async with agent_runtime(Counter, clock=ManualClock(), plugins=[departures]) as runtime:
        yield runtime


HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


class Http:
    """A client that sends single requests to a handler, as they are on the wire."""

    def __init__(self, runtime: Runtime, handler: McpHandler | None = None) -> None:
        self.runtime, self.handler = runtime, handler or Counter.serve("/mcp")
        self.session: str | None = None

    async def send(self, method: str, body: Any = None, path: str = "/mcp", **headers: str | None) -> Response:
        given = {**HEADERS, "mcp-session-id": self.session, **{k.replace("_", "-"): v for k, v in headers.items()}}
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        request = Request(path, method=method, headers={k: v for k, v in given.items() if v is not None}, body=text)
        with self.runtime.in_context():
            return await self.handler.fetch(request)

    async def begin(self) -> Http:
        response = await self.send("POST", INITIALIZE)
        assert response.status == 200
        self.session = response.headers["mcp-session-id"]
        (event,) = await events(response)
        assert event["data"]["result"]["serverInfo"]["name"] == "counter"
        assert (await self.notify("notifications/initialized")).status == 202
        return self

    async def notify(self, method: str, **params: Any) -> Response:
        return await self.send("POST", {"jsonrpc": "2.0", "method": method, "params": params})

    async def call(self, tool: str, *, id: int | str = 1, **arguments: Any) -> Response:
        return await self.send("POST", call(tool, id=id, **arguments))


def call(tool: str, *, id: int | str = 1, **arguments: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": id,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, "_meta": {"progressToken": id}},
    }


def parsed(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


async def events(response: Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    return parsed(await response.text())


async def first_event(stream: AsyncIterator[bytes]) -> dict[str, Any]:
    (event,) = parsed((await anext(stream)).decode())
    return event


# The official client


@pytest.fixture
async def url(runtime: Runtime) -> AsyncIterator[str]:
    app = Starlette(routes=[Mount("/", Counter.serve("/mcp", transport="auto"))])
    async with serving(AgentsMiddleware(app, runtime=runtime)) as url:
        yield url


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
async def test_a_tool_changes_the_state_that_browsers_see(runtime: Runtime, url: str, transport: str) -> None:
    async with Client(sse_client(f"{url}/mcp") if transport == "sse" else f"{url}/mcp") as client:
        who = (await client.call_tool("whoami", {})).structured_content
        assert who is not None
        assert who["name"] == f"{transport}:{who['session']}"
        browser = Frames(await connect(runtime, f"/agents/counter/{who['name']}"))
        result = await client.call_tool("add", {"by": 2})
        assert result.structured_content == {"result": 2}
        frame = await browser.next(lambda frame: frame.get("state") == {"n": 2})
        assert frame["type"] == "cf_agent_state"


async def test_functions_that_are_not_async_run_in_the_agents_thread(url: str) -> None:
    async with Client(f"{url}/mcp") as client:
        assert "Counter-" in str((await client.call_tool("add_in_thread", {"by": 3})).structured_content)
        assert "3 in Counter-" in str((await client.read_resource("count://now")).contents)
        assert "Say 3" in str((await client.get_prompt("say")).messages)


async def test_each_session_has_an_agent_of_its_own(url: str) -> None:
    async with Client(f"{url}/mcp") as one, Client(f"{url}/mcp") as other:
        await one.call_tool("add", {"by": 5})
        assert (await other.call_tool("add", {"by": 1})).structured_content == {"result": 1}


async def test_a_tool_can_ask_its_user(url: str) -> None:
    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"colour": params.message.split()[-1]})

    async with Client(f"{url}/mcp", elicitation_callback=answer) as client:
        assert (await client.call_tool("ask", {})).structured_content == {"result": "colour?"}


async def test_progress_comes_with_the_answer_to_its_request(url: str) -> None:
    told: list[Any] = []

    async def note(*progress: Any) -> None:
        told.append(progress)
        Counter.gate.set()

    async with Client(f"{url}/mcp") as client:
        result = await client.call_tool("wait", {}, progress_callback=note)
        assert result.structured_content == {"result": "waited"}
    assert told == [(1.0, 2.0, "waiting")]


async def test_a_session_leaves_memory_while_its_client_listens_and_goes_on_when_it_is_called(
    runtime: Runtime, departures: Departures
) -> None:
    http = await Http(runtime).begin()
    listening = (await http.send("GET")).stream()
    await events(await http.call("add", by=1))
    begun = Counter.started
    await runtime.clock.advance(60)  # type: ignore[attr-defined]
    assert departures.seen == [(f"streamable-http:{http.session}", "hibernated")]
    (event,) = await events(await http.call("add", by=1))
    assert event["data"]["result"]["structuredContent"] == {"result": 2}
    assert Counter.started == begun + 1
    await events(await http.call("announce"))
    assert (await first_event(listening))["data"]["method"] == "notifications/tools/list_changed"
    await listening.aclose()  # type: ignore[attr-defined]


async def test_a_session_stays_in_memory_while_it_works(runtime: Runtime, departures: Departures) -> None:
    http = await Http(runtime).begin()
    stream = (await http.call("wait")).stream()
    await first_event(stream)
    await runtime.clock.advance(600)  # type: ignore[attr-defined]
    assert departures.seen == []
    Counter.gate.set()
    assert (await first_event(stream))["data"]["id"] == 1


async def test_a_closed_session_is_destroyed(runtime: Runtime, url: str) -> None:
    async with Client(f"{url}/mcp") as client:
        name = (await client.call_tool("whoami", {})).structured_content["name"]  # type: ignore[index]
    http = Http(runtime)
    http.session = name.partition(":")[2]
    assert (await http.call("add", by=1)).status == 404


# Where it is served


async def test_it_is_mounted_in_fastapi_under_a_path(runtime: Runtime) -> None:
    app = FastAPI()
    app.mount("/tools", Counter.serve("/mcp", transport="auto", props=lambda request: {"from": request.path}))
    app.add_middleware(AgentsMiddleware, runtime=runtime)
    async with serving(app) as url:
        async with Client(f"{url}/tools/mcp") as client:
            assert (await client.call_tool("whoami", {})).structured_content["props"] == {"from": "/mcp"}  # type: ignore[index]
        async with Client(sse_client(f"{url}/tools/mcp")) as client:
            assert (await client.call_tool("add", {"by": 4})).structured_content == {"result": 4}


async def test_a_worker_serves_it_with_its_binding_and_its_props() -> None:
    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            self.ctx.props = {"user": "ada"}
            return await Counter.serve("/mcp", transport="auto").fetch(request, self.env, self.ctx)

    binding = BindingDeclaration("MCP_OBJECT", "durable_object_namespace", {"class_name": "Counter"})
    worker = Worker(classes={"Counter": Counter}, bindings=[binding], entrypoint=Default)
    runtime = Runtime(worker, storage=None, discover_plugins=False)
    async with serving(WorkerApp(runtime)) as url, Client(f"{url}/mcp") as client:
        assert (await client.call_tool("whoami", {})).structured_content["props"] == {"user": "ada"}  # type: ignore[index]


async def test_a_session_and_its_props_outlive_the_server(tmp_path: Path) -> None:
    handler = Counter.serve("/mcp", props={"user": "ada"})
    async with agent_runtime(Counter, storage=tmp_path, durability="full") as runtime:
        http = await Http(runtime, handler).begin()
        await events(await http.call("add", by=2))
    async with agent_runtime(Counter, storage=tmp_path, durability="full") as runtime:
        again = Http(runtime, Counter.serve("/mcp"))
        again.session = http.session
        (event,) = await events(await again.call("add", by=2))
        assert event["data"]["result"]["structuredContent"] == {"result": 4}
        (event,) = await events(await again.call("whoami"))
        assert event["data"]["result"]["structuredContent"]["props"] == {"user": "ada"}


async def test_where_there_is_no_namespace_it_says_so(runtime: Runtime) -> None:
    with pytest.raises(ConfigError, match="found no binding 'NOWHERE'"):
        await Counter.serve("/mcp", binding="NOWHERE").fetch(Request("/mcp", method="POST", headers=HEADERS))


async def test_an_agent_without_a_server_says_what_to_do() -> None:
    class Empty(McpAgent):
        pass

    async with agent_runtime(Empty) as runtime:
        http = Http(runtime, Empty.serve("/mcp"))
        with pytest.raises(Exception, match="Empty has no MCP server"):
            await http.send("POST", INITIALIZE)


# HTTP, as it is on the wire


@pytest.mark.parametrize(
    ("headers", "body", "status", "code", "text"),
    [
        ({"accept": "application/json"}, INITIALIZE, 406, -32000, "Client must accept both"),
        ({"accept": None}, INITIALIZE, 406, -32000, "Client must accept both"),
        ({"content_type": "text/plain"}, INITIALIZE, 415, -32000, "Content-Type must be application/json"),
        ({}, " " * (4 * 1024 * 1024 + 1), 413, -32000, "Maximum size is 4194304 bytes"),
        ({}, "{", 400, -32700, "Parse error: Invalid JSON"),
        ({}, {"id": 1}, 400, -32700, "Parse error: Invalid JSON-RPC message"),
        ({}, call("add"), 400, -32000, "Mcp-Session-Id header is required"),
        ({"mcp_session_id": "nowhere"}, call("add"), 404, -32001, "Session not found"),
        ({"mcp_session_id": "x"}, INITIALIZE, 400, -32600, "must not include a sessionId"),
        ({}, [INITIALIZE, call("add")], 400, -32600, "Only one initialization request"),
        # What is no proper beginning begins nothing, under whatever id.
        ({"mcp_session_id": "mine"}, {**INITIALIZE, "params": {}}, 404, -32001, "Session not found"),
        # A client of 2026 looks whether there is a server of its kind: it falls back after this.
        ({"mcp_protocol_version": "2026-07-28"}, call("add"), 400, -32000, "Unsupported protocol version: 2026-07-28"),
        ({"mcp_protocol_version": "x"}, call("add"), 400, -32000, "(supported versions: 2025-11-25, 2025-06-18,"),
    ],
)
async def test_a_post_that_cannot_be_served(
    runtime: Runtime, headers: dict[str, str | None], body: Any, status: int, code: int, text: str
) -> None:
    response = await Http(runtime).send("POST", body, **headers)
    error = await response.json()
    assert (response.status, error["error"]["code"], error["id"]) == (status, code, None)
    assert text in error["error"]["message"]
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("GET", {"accept": "application/json"}, 406, -32000),
        ("GET", {}, 400, -32000),
        ("GET", {"mcp_session_id": "nowhere"}, 404, -32001),
        ("GET", {"mcp_session_id": "x", "mcp_protocol_version": "x"}, 400, -32000),
        ("DELETE", {}, 400, -32000),
        ("DELETE", {"mcp_session_id": "nowhere"}, 404, -32001),
        ("DELETE", {"mcp_session_id": "x", "mcp_protocol_version": "x"}, 400, -32000),
        ("PUT", {}, 404, -32000),
    ],
)
async def test_another_request_that_cannot_be_served(
    runtime: Runtime, method: str, headers: dict[str, str | None], status: int, code: int
) -> None:
    response = await Http(runtime).send(method, **headers)
    assert (response.status, (await response.json())["error"]["code"]) == (status, code)


async def test_another_path_is_not_found_and_a_preflight_is_answered(runtime: Runtime) -> None:
    http = Http(runtime, Counter.serve("/mcp", cors_options={"origin": "https://a.example"}))
    assert (await http.send("POST", INITIALIZE, "/other")).status == 404
    response = await http.send("OPTIONS")
    assert response.status == 200
    assert response.headers["access-control-allow-origin"] == "https://a.example"
    assert response.headers["access-control-expose-headers"] == "mcp-session-id"


async def test_what_needs_no_answer_is_accepted(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    response = await http.notify("notifications/roots/list_changed")
    assert (response.status, await response.text()) == (202, "")


async def test_several_requests_at_once_are_answered_on_one_stream(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    response = await http.send("POST", [call("add", id=1, by=1), call("add", id="1", by=1)])
    assert {repr(event["data"]["id"]) for event in await events(response)} == {"1", "'1'"}


async def test_a_tool_sees_the_headers_of_its_request(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    (event,) = await events(await http.send("POST", call("header"), x_colour="red"))
    assert event["data"]["result"]["structuredContent"] == {"result": "red"}


async def test_delete_ends_the_session_at_once(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    listening = (await http.send("GET")).stream()
    response = await http.send("DELETE")
    assert response.status == 204
    assert (await http.call("add", by=1)).status == 404
    assert (await http.send("DELETE")).status == 404
    with pytest.raises(StopAsyncIteration):
        await anext(listening)


async def test_a_stream_that_broke_is_resumed_after_its_last_event(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    stream = (await http.call("wait")).stream()
    progress = await first_event(stream)
    assert progress["data"]["method"] == "notifications/progress"
    await stream.aclose()  # type: ignore[attr-defined]
    resumed = await http.send("GET", last_event_id=progress["id"])
    Counter.gate.set()
    (answer,) = await events(resumed)
    assert answer["data"]["result"]["structuredContent"] == {"result": "waited"}


@pytest.mark.cloudflare(
    "MCP",
    "resuming an answer with `Last-Event-ID`",
    "same; the last event can be had too, for ten minutes",
)
async def test_an_answer_that_nobody_heard_is_kept_for_a_while(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    response = await http.call("wait")
    stream = response.stream()
    progress = await first_event(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    Counter.gate.set()
    await settle()
    (answer,) = await events(await http.send("GET", last_event_id=progress["id"]))
    assert answer["data"]["id"] == 1


async def test_clients_of_2025_11_can_resume_before_anything_came(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    response = await http.send("POST", call("wait"), mcp_protocol_version="2025-11-25")
    text = (await anext(response.stream())).decode()
    assert text.startswith("event: message\nid: ")
    assert text.endswith("\ndata: \n\n")


async def test_a_tool_may_end_its_stream_before_it_answers(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    response = await http.send("POST", call("leave"), mcp_protocol_version="2025-11-25")
    text = await response.text()
    assert "done later" not in text
    last = text.partition("id: ")[2].partition("\n")[0]
    (answer,) = await events(await http.send("GET", last_event_id=last))
    assert answer["data"]["result"]["structuredContent"] == {"result": "done later"}


async def test_the_standalone_stream_is_one_and_the_latest_has_it(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    first = (await http.send("GET")).stream()
    second = (await http.send("GET")).stream()
    with pytest.raises(StopAsyncIteration):
        await anext(first)
    await second.aclose()  # type: ignore[attr-defined]


async def test_a_cancelled_request_ends_its_stream(runtime: Runtime) -> None:
    http = await Http(runtime).begin()
    stream = (await http.call("wait", id=7)).stream()
    await first_event(stream)
    assert (await http.notify("notifications/cancelled", requestId=7)).status == 202
    last = await first_event(stream)
    assert last["data"] == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32800, "message": "Request cancelled"}}
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_older_transport_names_where_messages_go(runtime: Runtime) -> None:
    http = Http(runtime, Counter.serve_sse("/sse"))
    stream = (await http.send("GET", path="/sse?room=a%20b")).stream()
    first = (await anext(stream)).decode()
    assert first.startswith("event: endpoint\ndata: /sse/message?room=a+b&sessionId=")
    target = first.partition("data: ")[2].strip()
    response = await http.send("POST", INITIALIZE, target)
    assert (response.status, await response.text()) == (202, "Accepted")
    event = await first_event(stream)
    assert event["data"]["result"]["serverInfo"]["name"] == "counter"
    assert "id" not in event
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/sse/message", {}, INITIALIZE, 400),
        ("/sse/message?sessionId=x", {"content_type": "text/plain"}, INITIALIZE, 400),
        ("/sse/message?sessionId=x", {}, "{", 400),
        ("/sse/message?sessionId=x", {}, " " * (4 * 1024 * 1024 + 1), 400),
        ("/sse", {}, INITIALIZE, 404),
    ],
)
async def test_a_message_that_the_older_transport_cannot_take(
    runtime: Runtime, path: str, headers: dict[str, str | None], body: Any, status: int
) -> None:
    assert (await Http(runtime, Counter.serve_sse("/sse")).send("POST", body, path, **headers)).status == status


@pytest.mark.cloudflare("MCP", "comments that keep a stream of `McpAgent` alive", "same; in a worker every 15 seconds")
async def test_a_silent_stream_shows_every_25_seconds_that_it_lives(runtime: Runtime) -> None:
    from dataclasses import replace

    http = await Http(runtime).begin()
    clock = ManualClock()
    http.handler.settings = replace(http.handler.settings, clock=clock)
    sent: asyncio.Queue[bytes] = asyncio.Queue()
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            sent.put_nowait(message["body"])

    headers = {**HEADERS, "mcp-session-id": http.session or ""}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    with runtime.in_context():
        serving_it = asyncio.create_task(http.handler(scope, receive, send))
    await settle()
    await clock.advance(24)
    assert sent.empty()
    await clock.advance(2)
    assert (await sent.get()).startswith(b":")
    gone.set()
    await serving_it


async def test_a_session_that_is_unknown_makes_the_official_client_fail(url: str) -> None:
    async with Client(f"{url}/mcp") as client:
        name = (await client.call_tool("whoami", {})).structured_content["name"]  # type: ignore[index]
        import httpx2

        async with httpx2.AsyncClient() as http:
            ended = await http.delete(f"{url}/mcp", headers={"mcp-session-id": name.partition(":")[2]})
        assert ended.status_code == 204
        with pytest.raises(MCPError, match="Session not found"):
            await client.call_tool("add", {"by": 1})
