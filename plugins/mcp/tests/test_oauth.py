"""OAuth with an MCP server: an agent that its user has to authorize first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from edgeagents_mcp import AgentOAuthProvider, OAuthResult, plugin

from edgeagents import Agent, AgentsMiddleware, Request, Response, callable
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect

from .authorization import Protected
from .loopback import Frames, serving

pytestmark = pytest.mark.cloudflare(
    "MCP", "OAuth with servers: registration, PKCE, callback, redirects, custom provider", "same"
)

HOST = "http://agents.example"
CALLBACK = f"{HOST}/agents/user/a/callback"


class User(Agent):
    config: dict[str, Any] = {}

    async def on_start(self) -> None:
        if User.config:
            self.mcp.configure_oauth_callback(**User.config)

    async def on_request(self, request: Request) -> str:
        return f"not a callback: {request.path}"

    @callable()
    async def add(self, url: str, options: dict[str, Any] | None = None) -> Any:
        return await self.add_mcp_server("server", url, **{"id": "calc", "callback_host": HOST, **(options or {})})

    @callable()
    async def add_here(self, url: str) -> Any:
        return await self.add_mcp_server("server", url, id="calc")

    @callable()
    async def sum(self, a: int, b: int) -> Any:
        await self.mcp.wait_for_connections()
        return (await self.mcp.call_tool("calc", "add", {"a": a, "b": b})).structured_content

    @callable()
    async def states(self) -> Any:
        await self.mcp.wait_for_connections()
        return {id: (each["state"], each["error"]) for id, each in self.get_mcp_servers()["servers"].items()}

    @callable()
    async def kept(self) -> Any:
        return sorted(await self.ctx.storage.list(prefix="/a/"))

    @callable()
    async def drop(self) -> None:
        await self.remove_mcp_server("calc")

    async def on_error(self, error: Exception, connection: object = None) -> None:
        """Tests look at what is answered."""


@pytest.fixture(autouse=True)
def no_configuration() -> None:
    User.config = {}


@pytest.fixture
def protected() -> Protected:
    return Protected()


@pytest.fixture
async def url(protected: Protected) -> AsyncIterator[str]:
    async with serving(protected.app) as url:
        yield f"{url}/mcp"


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(User, plugins=[plugin]) as runtime:
        yield runtime


@pytest.fixture
async def user(runtime: Runtime) -> Frames:
    return Frames(await connect(runtime, "/agents/user/a"))


async def answered(frames: Frames, method: str, *args: Any) -> Any:
    frame = await frames.call(method, *args)
    assert frame["success"], frame
    return frame["result"]


async def browse(auth_url: str) -> str:
    """Return where the authorization server sends a user who agrees."""
    async with httpx2.AsyncClient() as http:
        response = await http.get(auth_url)
    assert response.status_code == 302
    return response.headers["location"]


async def visit(runtime: Runtime, url: str) -> Response:
    response = await runtime.route(Request(url))
    assert response is not None
    return response


async def test_the_user_is_sent_to_authorize_and_comes_back(
    url: str, runtime: Runtime, user: Frames, protected: Protected
) -> None:
    added = await answered(user, "add", url)
    assert (added["id"], added["state"]) == ("calc", "authenticating")
    query = parse_qs(urlsplit(added["auth_url"]).query)
    assert query["redirect_uri"] == [CALLBACK]
    assert query["code_challenge_method"] == ["S256"]
    nonce, server_id = query["state"][0].split(".")
    assert (len(nonce), server_id) == (21, "calc")
    told = user.seen[-2]["mcp"]["servers"]["calc"]
    assert (told["state"], told["auth_url"]) == ("authenticating", added["auth_url"])

    back = await visit(runtime, await browse(added["auth_url"]))
    assert (back.status, back.headers["location"]) == (302, f"{HOST}/")
    ready = await user.mcp(lambda mcp: mcp["servers"]["calc"]["state"] == "ready")
    assert ready["servers"]["calc"]["auth_url"] is None
    assert [tool["name"] for tool in ready["tools"]] == ["add", "fail", "learn"]
    assert await answered(user, "sum", 1, 2) == {"result": 3}
    (registered,) = protected.registered
    assert registered["redirect_uris"] == [CALLBACK]
    assert registered["token_endpoint_auth_method"] == "none"


async def test_all_of_it_over_http_with_the_host_of_the_connection(url: str, protected: Protected) -> None:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("Nobody asks the app itself.")

    from edgeagents import AgentClient

    app = AgentsMiddleware(nothing, agents=[User], storage=None, plugins=[plugin], discover_plugins=False)
    async with serving(app) as agents, AgentClient("User", "a", host=agents) as client:
        added = await client.call("add_here", [url])
        assert parse_qs(urlsplit(added["auth_url"]).query)["redirect_uri"] == [f"{agents}/agents/user/a/callback"]
        async with httpx2.AsyncClient() as http:
            back = await http.get(await browse(added["auth_url"]))
        assert (back.status_code, back.headers["location"]) == (302, f"{agents}/")
        assert await client.call("sum", [2, 2]) == {"result": 4}


async def test_the_flow_outlives_the_server(url: str, tmp_path: Path, protected: Protected) -> None:
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path) as runtime:
        added = await answered(Frames(await connect(runtime, "/agents/user/a")), "add", url)
    location = await browse(added["auth_url"])
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        assert (await user.mcp())["servers"]["calc"]["state"] == "authenticating"
        # The same flow goes on: it is not begun again.
        assert await answered(user, "add", url) == added
        assert (await visit(runtime, location)).status == 302
        assert await answered(user, "sum", 1, 2) == {"result": 3}
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        assert await answered(user, "sum", 1, 2) == {"result": 3}
    assert len(protected.registered) == 1


@pytest.mark.cloudflare(
    "MCP",
    "the user's way back after the server restarted",
    "same; tokens that ran out meanwhile are renewed",
)
async def test_a_token_that_expired_while_the_agent_slept_is_renewed(
    url: str, tmp_path: Path, protected: Protected
) -> None:
    clock = ManualClock()
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path, clock=clock) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        await visit(runtime, await browse((await answered(user, "add", url))["auth_url"]))
        assert await answered(user, "sum", 1, 2) == {"result": 3}
    protected.tokens.clear()
    later = ManualClock()
    await later.advance(7200)
    async with agent_runtime(User, plugins=[plugin], storage=tmp_path, clock=later) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        assert await answered(user, "sum", 1, 2) == {"result": 3}
    assert protected.refreshed == 1


async def test_a_token_that_was_taken_back_makes_the_user_authorize_again(
    url: str, runtime: Runtime, user: Frames, protected: Protected
) -> None:
    await visit(runtime, await browse((await answered(user, "add", url))["auth_url"]))
    await answered(user, "sum", 1, 2)
    protected.tokens.clear()
    assert not (await user.call("sum", 1, 2))["success"]
    told = user.seen[-2]["mcp"]["servers"]["calc"]
    assert told["state"] == "authenticating"
    auth_url = told["auth_url"]
    await visit(runtime, await browse(auth_url))
    assert await answered(user, "sum", 1, 2) == {"result": 3}


async def test_a_refusal_is_told_to_who_asked(url: str, runtime: Runtime, user: Frames, protected: Protected) -> None:
    protected.refuses = True
    User.config = {"error_redirect": "/failed?from=mcp", "success_redirect": "/done"}
    fresh = Frames(await connect(runtime, "/agents/user/b"))
    added = await answered(fresh, "add", url)
    location = await browse(added["auth_url"])
    assert "/agents/user/b/callback" in location
    back = await visit(runtime, location)
    assert back.headers["location"] == (f"{HOST}/failed?from=mcp&error=access_denied%3A+No+%3Cb%3Eway%3C%2Fb%3E")
    assert await answered(fresh, "states") == {"calc": ["failed", "access_denied: No <b>way</b>"]}


async def test_success_goes_where_it_was_said(url: str, runtime: Runtime) -> None:
    User.config = {"success_redirect": "/done"}
    user = Frames(await connect(runtime, "/agents/user/a"))
    back = await visit(runtime, await browse((await answered(user, "add", url))["auth_url"]))
    assert back.headers["location"] == f"{HOST}/done"


async def test_a_handler_answers_in_place_of_a_redirect(url: str, runtime: Runtime) -> None:
    seen: list[OAuthResult] = []

    def handler(result: OAuthResult) -> str:
        seen.append(result)
        return "<script>close()</script>"

    User.config = {"custom_handler": handler}
    user = Frames(await connect(runtime, "/agents/user/a"))
    back = await visit(runtime, await browse((await answered(user, "add", url))["auth_url"]))
    assert await back.text() == "<script>close()</script>"
    assert [(result.server_id, result.ok) for result in seen] == [("calc", True)]


async def test_a_callback_that_was_made_up_changes_nothing(url: str, runtime: Runtime, user: Frames) -> None:
    added = await answered(user, "add", url)
    await visit(runtime, f"{CALLBACK}?code=x&state=made-up.calc")
    await visit(runtime, f"{CALLBACK}?error=x&state=made-up.calc")
    assert await answered(user, "states") == {"calc": ["authenticating", None]}
    await visit(runtime, await browse(added["auth_url"]))
    assert await answered(user, "sum", 1, 2) == {"result": 3}


async def test_a_callback_is_good_once(url: str, runtime: Runtime, user: Frames, protected: Protected) -> None:
    location = await browse((await answered(user, "add", url))["auth_url"])
    await visit(runtime, location)
    assert await answered(user, "sum", 1, 2) == {"result": 3}
    assert (await visit(runtime, location)).status == 302
    assert await answered(user, "sum", 1, 2) == {"result": 3}
    assert len(protected.tokens) == 1


async def test_a_flow_is_given_up_after_ten_minutes(url: str) -> None:
    clock = ManualClock()
    async with agent_runtime(User, plugins=[plugin], clock=clock) as runtime:
        user = Frames(await connect(runtime, "/agents/user/a"))
        added = await answered(user, "add", url)
        location = await browse(added["auth_url"])
        await clock.advance(601)
        await visit(runtime, location)
        assert await answered(user, "states") == {"calc": ["authenticating", None]}
        again = await answered(user, "add", url)
        assert again["state"] == "authenticating"
        assert again["auth_url"] != added["auth_url"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/agents/user/a/callback?state=x.calc"),
        ("GET", "/agents/user/a/callback"),
        ("GET", "/agents/user/a/callback?state=x.other"),
        ("GET", "/agents/user/a/elsewhere?state=x.calc"),
    ],
)
async def test_other_requests_are_the_agents(url: str, runtime: Runtime, user: Frames, method: str, path: str) -> None:
    await answered(user, "add", url)
    response = await runtime.route(Request(f"{HOST}{path}", method=method))
    assert response is not None
    assert (await response.text()).startswith("not a callback")


async def test_another_host_is_no_callback(url: str, runtime: Runtime, user: Frames) -> None:
    added = await answered(user, "add", url)
    location = (await browse(added["auth_url"])).replace(HOST, "http://evil.example")
    assert (await (await visit(runtime, location)).text()).startswith("not a callback")


async def test_credentials_go_with_the_server(url: str, runtime: Runtime, user: Frames) -> None:
    await visit(runtime, await browse((await answered(user, "add", url))["auth_url"]))
    await answered(user, "sum", 1, 2)
    kept = await answered(user, "kept")
    assert [key.split("/")[3:] for key in kept] == [
        ["client-1", "client_info", ""],
        ["client-1", "token"],
        ["oauth_discovery"],
    ]
    await answered(user, "drop")
    assert await answered(user, "kept") == []


async def test_without_a_callback_host_it_says_what_is_missing(url: str) -> None:
    class Alone(Agent):
        async def on_start(self) -> None:
            self.error = ""
            try:
                await self.add_mcp_server("server", self.env["URL"])
            except Exception as error:
                self.error = str(error)

        async def on_request(self) -> str:
            return self.error

    async with agent_runtime(Alone, plugins=[plugin], env={"URL": url}) as runtime:
        response = await visit(runtime, f"{HOST}/agents/alone/a")
        assert await response.text() == (
            f"Failed to connect to MCP server at {url}: OAuth configuration incomplete: missing auth_url"
        )


async def test_an_agent_that_hides_its_name_needs_a_callback_path(url: str) -> None:
    class Hidden(User):
        options = {"send_identity_on_connect": False}

    async with agent_runtime(Hidden, plugins=[plugin]) as runtime:
        hidden = Frames(await connect(runtime, "/agents/hidden/a"))
        assert "callback_path is required" in (await hidden.call("add", url))["error"]
        added = await answered(hidden, "add", url, {"callback_path": "/mcp-callback"})
        assert parse_qs(urlsplit(added["auth_url"]).query)["redirect_uri"] == [f"{HOST}/mcp-callback"]


async def test_a_class_may_have_clients_that_were_registered_by_hand(url: str, protected: Protected) -> None:
    class ByHand(User):
        def create_mcp_oauth_provider(self, callback_url: str) -> AgentOAuthProvider:
            return AgentOAuthProvider(self.ctx, self.name, callback_url, client_id="mine", client_secret="s")

    async with agent_runtime(ByHand, plugins=[plugin]) as runtime:
        user = Frames(await connect(runtime, "/agents/by-hand/a"))
        added = await answered(user, "add", url)
        assert parse_qs(urlsplit(added["auth_url"]).query)["client_id"] == ["mine"]
        await visit(runtime, await browse(added["auth_url"]))
        assert await answered(user, "sum", 1, 2) == {"result": 3}
    assert protected.registered == []
