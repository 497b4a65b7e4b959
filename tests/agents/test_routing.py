from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from edgeagents.agents import Agent, AgentRouter, RouteInfo, RoutingRetry, get_agent_by_name, route_agent_request
from edgeagents.errors import ConfigError
from edgeagents.http import Request, Response
from edgeagents.runtime import Runtime
from edgeagents.testing import TestSocket, agent_runtime

pytestmark = [
    pytest.mark.cloudflare(
        "Durable Objects", "jurisdictions", "same; they are other objects, and nothing is placed anywhere"
    ),
    pytest.mark.cloudflare("Agents", "URLs, CORS, `onBeforeConnect`, `onBeforeRequest`, `basePath`, props", "same"),
]


class Echo(Agent):
    """Says what it was asked."""

    props: Any = "never started"

    async def on_start(self, props: Mapping[str, Any] | None) -> None:
        self.props = props

    async def on_request(self, request: Request) -> Any:
        return {
            "name": self.name,
            "url": request.url,
            "method": request.method,
            "headers": dict(request.headers),
            "props": self.props,
        }


class MyAgent(Agent):
    async def on_request(self, request: Request) -> Response:
        return Response("mine", headers={"access-control-allow-origin": "https://theirs.example", "x-own": "1"})


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Echo, MyAgent) as runtime:
        yield runtime


async def route(runtime: Runtime, url: str, init: Mapping[str, Any] | None = None, **options: Any) -> Response | None:
    return await route_agent_request(Request(url, **(init or {})), runtime.env, **options)


async def told(runtime: Runtime, url: str, init: Mapping[str, Any] | None = None, **options: Any) -> Any:
    response = await route(runtime, url, init, **options)
    assert response is not None
    assert response.status == 200
    return await response.json()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/agents/echo/x", "x"),
        ("/agents/echo/x/", "x"),
        ("/agents/echo/x/c/d?q=1", "x"),
        ("//agents//echo//x/", "x"),
        ("/agents/echo/a%20b/c/d?q=1", "a%20b"),  # The name is the segment as it was sent.
        ("/agents/echo/a%2Fb", "a%2Fb"),
        ("/agents/echo/gr%C3%BC%C3%9Fe", "gr%C3%BC%C3%9Fe"),
        ("/agents/echo/grüße", "gr%C3%BC%C3%9Fe"),
        ("/agents/echo/..", ".."),  # A name is data and never part of a path.
        ("/agents/echo/%2e%2e", "%2e%2e"),
        ("/agents/echo/..%2F..%2Fetc", "..%2F..%2Fetc"),
        ("/agents/echo/%00", "%00"),
        ("/agents/echo/" + "n" * 300, "n" * 300),
        ("/agents/echo/x#fragment", "x"),
    ],
)
async def test_path_reaches_the_agent_of_that_name(runtime: Runtime, path: str, name: str) -> None:
    assert (await told(runtime, path))["name"] == name


async def test_agent_sees_the_url_as_it_was_sent(runtime: Runtime) -> None:
    url = "https://example.com/agents/echo/a%20b/c/d?q=1&q=%20"
    assert (await told(runtime, url))["url"] == url


@pytest.mark.parametrize("path", ["/", "/agents", "/agents/echo", "/agents/echo/", "/other/echo/x", "/Agents/echo/x"])
async def test_path_of_another_shape_is_not_ours(runtime: Runtime, path: str) -> None:
    assert await route(runtime, path) is None
    assert not runtime.router.claims(path)


@pytest.mark.parametrize("path", ["/agents/echo/x", "//agents//echo//x/", "/agents/zzz/x", "/agents/echo/x/y"])
def test_claims_a_path_that_route_answers(path: str) -> None:
    assert AgentRouter({}).claims(path)


async def test_class_is_found_by_its_kebab_name(runtime: Runtime) -> None:
    response = await route(runtime, "/agents/my-agent/x")
    assert response is not None
    assert await response.text() == "mine"


@pytest.mark.parametrize("path", ["/agents/zzz/x", "/agents/Echo/x", "/agents/MyAgent/x", "/agents/myagent/x"])
@pytest.mark.parametrize("init", [{}, {"method": "OPTIONS"}, {"headers": {"upgrade": "websocket"}}])
async def test_unknown_class_is_400_without_cors(runtime: Runtime, path: str, init: dict[str, Any]) -> None:
    response = await route(runtime, path, init, cors=True)
    assert response is not None
    assert (response.status, await response.text()) == (400, "Invalid request")
    assert dict(response.headers) == {"content-type": "text/plain;charset=UTF-8"}


async def test_name_of_2048_bytes_is_the_longest(runtime: Runtime) -> None:
    assert (await told(runtime, "/agents/echo/" + "n" * 2048))["name"] == "n" * 2048
    response = await route(runtime, "/agents/echo/" + "n" * 2049)
    assert response is not None
    assert response.status == 400
    assert "2048" in await response.text()


@pytest.mark.parametrize("prefix", ["api/v1/agents", "/api/v1/agents/"])
async def test_prefix_may_have_several_parts(runtime: Runtime, prefix: str) -> None:
    assert (await told(runtime, "/api/v1/agents/echo/x", prefix=prefix))["name"] == "x"
    assert await route(runtime, "/api/v2/agents/echo/x", prefix=prefix) is None
    assert await route(runtime, "/agents/echo/x", prefix=prefix) is None


async def test_mount_point_is_not_part_of_the_path(runtime: Runtime) -> None:
    assert (await told(runtime, "/app/agents/echo/x", {"root_path": "/app"}))["name"] == "x"


async def test_env_may_be_any_mapping_and_names_are_those_of_bindings(runtime: Runtime) -> None:
    env = {"LOUD_ECHO": runtime.namespaces["Echo"], "SECRET": "s", "URL": None}
    response = await route_agent_request(Request("/agents/loud-echo/x"), env)
    assert response is not None
    assert response.status == 200


# CORS


async def test_without_cors_options_reaches_the_agent(runtime: Runtime) -> None:
    assert (await told(runtime, "/agents/echo/x", {"method": "OPTIONS"}))["method"] == "OPTIONS"


async def test_preflight_is_answered_before_any_hook(runtime: Runtime) -> None:
    response = await route(
        runtime, "/agents/echo/x", {"method": "OPTIONS"}, cors=True, on_before_request=lambda *_: Response("no")
    )
    assert response is not None
    assert (response.status, await response.bytes()) == (200, b"")
    assert dict(response.headers) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST, HEAD, OPTIONS",
        "Access-Control-Allow-Headers": "*",
        "Access-Control-Max-Age": "86400",
    }


async def test_own_cors_headers_replace_the_set(runtime: Runtime) -> None:
    cors = {"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Credentials": "true"}
    response = await route(runtime, "/agents/echo/x", {"method": "OPTIONS"}, cors=cors)
    assert response is not None
    assert dict(response.headers) == cors


async def test_cors_headers_overwrite_the_agents_own(runtime: Runtime) -> None:
    response = await route(runtime, "/agents/my-agent/x", cors=True)
    assert response is not None
    assert response.headers.getlist("access-control-allow-origin") == ["*"]
    assert response.headers["x-own"] == "1"


async def test_cors_headers_are_added_to_a_hooks_refusal(runtime: Runtime) -> None:
    response = await route(
        runtime, "/agents/echo/x", cors=True, on_before_request=lambda *_: Response("no", status=401)
    )
    assert response is not None
    assert (response.status, response.headers["access-control-allow-origin"]) == (401, "*")


async def test_no_cors_headers_on_a_handshake(runtime: Runtime) -> None:
    response = await route(runtime, "/agents/echo/x", {"headers": {"Upgrade": "WebSocket"}}, cors=True)
    assert response is not None
    assert response.status == 101
    assert "access-control-allow-origin" not in response.headers
    TestSocket(response).close()


# Hooks


async def test_hook_learns_where_the_request_is_going(runtime: Runtime) -> None:
    seen: list[Any] = []

    def hook(request: Request, route: RouteInfo) -> None:
        seen.append((request.url, route.class_name, route.name))

    await told(runtime, "/agents/echo/a%20b", on_before_request=hook)
    assert seen == [("http://localhost/agents/echo/a%20b", "Echo", "a%20b")]


async def test_hooks_see_either_requests_or_upgrades(runtime: Runtime) -> None:
    async def deny(request: Request, route: RouteInfo) -> Response:
        return Response("no", status=401)

    upgrade = {"headers": {"upgrade": "websocket"}}
    denied = await route(runtime, "/agents/echo/x", upgrade, on_before_connect=deny)
    assert denied is not None
    assert (denied.status, await denied.text(), denied.websocket) == (401, "no", None)
    assert (await told(runtime, "/agents/echo/x", on_before_connect=deny))["name"] == "x"
    accepted = await route(runtime, "/agents/echo/x", upgrade, on_before_request=deny)
    assert accepted is not None
    assert accepted.status == 101


async def test_hook_may_change_the_request_but_not_its_target(runtime: Runtime) -> None:
    async def hook(request: Request, route: RouteInfo) -> Request:
        return Request("https://example.com/agents/echo/other", headers={"x-user": "u1"})

    seen = await told(runtime, "/agents/echo/x", on_before_request=hook)
    assert (seen["name"], seen["url"]) == ("x", "https://example.com/agents/echo/other")
    assert {name.lower(): value for name, value in seen["headers"].items()}["x-user"] == "u1"


async def test_sync_hook_does_not_block_the_event_loop(runtime: Runtime) -> None:
    def hook(request: Request, route: RouteInfo) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()

    await told(runtime, "/agents/echo/x", on_before_request=hook)


async def test_hook_that_returns_something_else_is_an_error(runtime: Runtime) -> None:
    with pytest.raises(TypeError, match="returned a str"):
        await route(runtime, "/agents/echo/x", on_before_request=lambda *_: "no")


# Props and headers


async def test_props_reach_the_start_of_the_agent_that_the_request_wakes(runtime: Runtime) -> None:
    assert (await told(runtime, "/agents/echo/x", props={"plan": "pro"}))["props"] == {"plan": "pro"}
    assert (await told(runtime, "/agents/echo/x", props={"plan": "free"}))["props"] == {"plan": "pro"}
    assert (await told(runtime, "/agents/echo/y"))["props"] is None


@pytest.mark.parametrize("header", ["x-agents-lifecycle-props", "X-CF-Agents-Subagent-URL", "cf-mcp-method"])
async def test_internal_headers_of_a_client_are_dropped(runtime: Runtime, header: str) -> None:
    seen = await told(runtime, "/agents/echo/x", {"headers": {header: '{"admin":true}', "x-keep": "1"}})
    assert {name.lower() for name in seen["headers"]} == {"x-keep"}
    assert seen["props"] is None


# Options


async def test_jurisdictions_have_agents_of_their_own(runtime: Runtime) -> None:
    await told(runtime, "/agents/echo/x", props={"at": "home"})
    there = await told(runtime, "/agents/echo/x", props={"at": "eu"}, jurisdiction="eu")
    assert there["props"] == {"at": "eu"}


async def test_location_hint_is_accepted(runtime: Runtime) -> None:
    assert (await told(runtime, "/agents/echo/x", location_hint="weur"))["name"] == "x"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_attempts": 0}, "routing_retry.max_attempts must be >= 1"),
        ({"max_attempts": float("nan")}, "routing_retry.max_attempts must be >= 1"),
        ({"max_attempts": 1.5}, "routing_retry.max_attempts must be an integer"),
        ({"base_delay_ms": 0}, "routing_retry.base_delay_ms must be > 0"),
        ({"max_delay_ms": -1}, "routing_retry.max_delay_ms must be > 0"),
        ({"base_delay_ms": 900}, "routing_retry.base_delay_ms must be <= max_delay_ms"),
    ],
)
async def test_retry_options_are_checked(runtime: Runtime, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        await route(runtime, "/agents/echo/x", routing_retry=options)
    with pytest.raises(ConfigError, match=words):
        await get_agent_by_name(runtime.namespaces["Echo"], "x", routing_retry=options)


async def test_retry_can_be_configured_or_switched_off(runtime: Runtime) -> None:
    for option in (False, {"max_attempts": 5}, RoutingRetry(max_attempts=1)):
        assert (await told(runtime, "/agents/echo/x", routing_retry=option))["name"] == "x"


# By name


async def test_agent_by_class_is_the_one_of_the_url(runtime: Runtime) -> None:
    agent = await get_agent_by_name(Echo, "x", props={"plan": "pro"})
    response = await agent.fetch(Request("https://example.com/user"))
    assert await response.json() == {
        "name": "x",
        "url": "https://example.com/user",
        "method": "GET",
        "headers": {},
        "props": {"plan": "pro"},
    }
    assert (await told(runtime, "/agents/echo/x"))["props"] == {"plan": "pro"}


async def test_agent_by_namespace_and_jurisdiction(runtime: Runtime) -> None:
    home = await get_agent_by_name(runtime.env.Echo, "x")
    abroad = await get_agent_by_name(runtime.env.Echo, "x", jurisdiction="eu")
    assert home.id != abroad.id  # pyright: ignore[reportAttributeAccessIssue]


async def test_class_of_no_runtime_is_explained() -> None:
    with pytest.raises(ConfigError, match="no runtime is known"):
        await get_agent_by_name(Echo, "x")


async def test_class_of_another_runtime_is_explained(runtime: Runtime) -> None:
    class Stranger(Agent):
        pass

    with runtime.in_context(), pytest.raises(ConfigError, match="Stranger is not among the agents"):
        await get_agent_by_name(Stranger, "x")


@pytest.mark.parametrize("what", ["Echo", None, 5], ids=repr)
async def test_what_is_no_class_and_no_namespace_is_named(runtime: Runtime, what: Any) -> None:
    with pytest.raises(TypeError, match=rf"an agent class, or a namespace out of env, not {what!r}\."):
        await get_agent_by_name(what, "x")


@pytest.mark.parametrize("name", [1, None, b"x"], ids=repr)
async def test_a_name_is_a_str(runtime: Runtime, name: Any) -> None:
    with pytest.raises(TypeError, match=rf"The name of an agent is a str, not {type(name).__name__}: {name!r}"):
        await get_agent_by_name(Echo, name)


async def test_name_for_a_program_has_the_same_limit(runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="2048"):
        await get_agent_by_name(runtime.namespaces["Echo"], "ü" * 1025)


async def test_hundred_callers_share_one_start() -> None:
    starts: list[str] = []

    class Slow(Agent):
        async def on_start(self) -> None:
            await asyncio.sleep(0)
            starts.append(self.name)

    async with agent_runtime(Slow) as runtime:
        await asyncio.gather(*(get_agent_by_name(runtime.namespaces["Slow"], "x") for _ in range(100)))
    assert starts == ["x"]


def test_two_classes_of_one_segment_are_refused() -> None:
    other = type("echo", (Agent,), {})
    with pytest.raises(ConfigError, match="'Echo' and 'echo' are both 'echo' in a URL"):
        agent_runtime(Echo, other)
