"""A page's agent with servers: one with tools, one that asks, one that wants to be authorized."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from plugins.mcp.tests.authorization import Protected
from tests.examples import CallFailed, Tab, commands_of, http_client, run_command
from tests.servers import Server

from .servers import asking, pushing

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare("Workers", "Cloudflare's example `mcp-client`", "same; its page is our own"),
]


@pytest.fixture(params=[asking, pushing], ids=["stateless", "pushed"])
async def asker(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A server that asks: each protocol has a way of its own."""
    async with request.param() as url:
        yield url


def agent(name: str) -> str:
    return f"/agents/my-agent/{name}"


def servers_of(tab: Tab) -> Any:
    """Return what was last told of servers."""
    return [frame["mcp"] for frame in tab.frames if frame["type"] == "cf_agent_mcp_servers"][-1]


async def until_server(tab: Tab, is_wanted: Callable[[Any], object]) -> Any:
    """Return the one server, once it is as wanted."""

    def fits(frame: Any) -> bool:
        servers = frame["mcp"]["servers"].values() if frame["type"] == "cf_agent_mcp_servers" else ()
        return any(is_wanted(server) for server in servers)

    (server,) = (await tab.until(fits))["mcp"]["servers"].values()
    return server


async def added(tab: Tab, url: str) -> str:
    """Add a server and return its id."""
    assert await tab.call("addServer", "server", url) is None
    (id,) = servers_of(tab)["servers"]
    return id


def text_of(result: Any) -> Any:
    return result["content"][0]["text"]


async def test_a_server_is_added_used_and_removed(emulator: Server, counter: Server) -> None:
    async with Tab(emulator, agent("use")) as tab:
        id = await added(tab, f"{counter.url}/mcp")
        mcp = servers_of(tab)
        result = await tab.call("callTool", id, "add", {"a": 4})
        assert await tab.call("disconnectServer", id) is None

    assert {name: mcp["servers"][id][name] for name in ("name", "server_url", "state", "auth_url", "error")} == {
        "name": "server",
        "server_url": f"{counter.url}/mcp",
        "state": "ready",
        "auth_url": None,
        "error": None,
    }
    assert [(tool["name"], tool["serverId"]) for tool in mcp["tools"]] == [("add", id)]
    assert [resource["uri"] for resource in mcp["resources"]] == ["mcp://resource/counter"]
    assert (result["isError"], text_of(result)) == (False, "Added 4, total is now 5")
    assert servers_of(tab) == {"servers": {}, "tools": [], "prompts": [], "resources": []}


async def test_a_tool_that_fails_is_an_answer(emulator: Server, counter: Server) -> None:
    async with Tab(emulator, agent("fail")) as tab:
        id = await added(tab, f"{counter.url}/mcp")
        result = await tab.call("callTool", id, "add", {"a": "four"})

    assert result["isError"] is True
    assert "four" in text_of(result)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/mcp", "Failed to connect to MCP server at http://127.0.0.1:1/mcp"),
        ("http://10.0.0.1/mcp", "Blocked URL: http://10.0.0.1/mcp"),
        ("no url", "Invalid URL: 'no url'"),
    ],
)
async def test_a_server_that_cannot_be_added_is_an_error(emulator: Server, url: str, error: str) -> None:
    async with Tab(emulator, agent(f"bad-{len(url)}")) as tab:
        with pytest.raises(CallFailed, match=error):
            await tab.call("addServer", "server", url)


async def test_a_server_that_is_not_there_cannot_be_used(emulator: Server) -> None:
    async with Tab(emulator, agent("nothing")) as tab:
        with pytest.raises(CallFailed, match="no connection to an MCP server 'nobody'"):
            await tab.call("callTool", "nobody", "add", {})
        assert await tab.call("disconnectServer", "nobody") is None


async def test_servers_are_known_after_a_kill(emulator: Server, counter: Server) -> None:
    async with Tab(emulator, agent("kill")) as tab:
        id = await added(tab, f"{counter.url}/mcp")
    await asyncio.to_thread(emulator.kill)
    await asyncio.to_thread(emulator.start)

    async with Tab(emulator, agent("kill")) as tab:
        assert (await until_server(tab, lambda server: server["state"] == "ready"))["name"] == "server"
        assert text_of(await tab.call("callTool", id, "add", {"a": 1})).startswith("Added 1, ")


# Being asked


async def asked(tab: Tab, id: str, tool: str) -> dict[str, Any]:
    """Call a tool, and return what is asked because of that."""
    await tab.send({"type": "rpc", "id": "asked", "method": "callTool", "args": [id, tool, {}]})
    return await tab.until_type("mcp-elicitation")


async def answered(tab: Tab, question: dict[str, Any], answer: Any) -> Any:
    """Answer, and return what became of the call of ``asked``."""
    await tab.send({"type": "rpc", "id": "answer", "method": "respondToElicitation", "args": [question["id"], answer]})
    answers: dict[str, Any] = {}

    def have_both_ended(frame: Any) -> bool:
        if frame["type"] == "rpc":
            answers[frame["id"]] = frame
        return {"asked", "answer"} <= answers.keys()

    await tab.until(have_both_ended)
    assert answers["answer"]["success"] is True
    return answers["asked"]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"action": "accept", "content": {"guests": 4}}, "a table for 4"),
        ({"action": "decline", "content": {}}, "decline"),
        ({"action": "cancel"}, "cancel"),
    ],
)
async def test_a_server_asks_and_the_browser_answers(emulator: Server, asker: str, answer: Any, result: str) -> None:
    async with Tab(emulator, agent(f"ask-{uuid4()}")) as tab:
        id = await added(tab, asker)
        question = await asked(tab, id, "book")
        ended = await answered(tab, question, answer)

    assert text_of(ended["result"]) == result
    assert question == {"type": "mcp-elicitation", "id": question["id"], "serverId": id, "params": question["params"]}
    params = question["params"]
    assert (params["mode"], params["message"]) == ("form", "How many guests?")
    assert params["requestedSchema"]["properties"] == {"guests": {"title": "Guests", "type": "integer"}}


async def test_a_server_asks_for_a_visit_elsewhere(emulator: Server) -> None:
    async with pushing() as url, Tab(emulator, agent("url")) as tab:
        question = await asked(tab, await added(tab, url), "pay")
        answer = await answered(tab, question, {"action": "accept", "content": {}})

    params = question["params"]
    assert (params["mode"], params["message"], params["url"]) == ("url", "Pay here", "https://pay.example/")
    assert text_of(answer["result"]) == "accept"


async def test_whoever_looks_may_answer_and_the_first_counts(emulator: Server) -> None:
    async with asking() as url, Tab(emulator, agent("many")) as tab, Tab(emulator, agent("many")) as other:
        question = await asked(tab, await added(tab, url), "book")
        heard = await other.until_type("mcp-elicitation")
        await other.call("respondToElicitation", heard["id"], {"action": "decline"})
        answer = await answered(tab, question, {"action": "accept", "content": {"guests": 2}})

    assert heard == question
    assert text_of(answer["result"]) == "decline"


async def test_an_answer_that_is_none_fails_the_call_and_no_more(emulator: Server, asker: str) -> None:
    async with Tab(emulator, agent(f"none-{uuid4()}")) as tab:
        id = await added(tab, asker)
        refused = await answered(tab, await asked(tab, id, "book"), {"action": "perhaps"})
        taken = await answered(tab, await asked(tab, id, "book"), {"action": "accept", "content": {"guests": 1}})

    assert refused["success"] is False
    assert text_of(taken["result"]) == "a table for 1"


async def test_a_question_ends_with_the_process(emulator: Server) -> None:
    async with asking() as url:
        async with Tab(emulator, agent("gone")) as tab:
            id = await added(tab, url)
            question = await asked(tab, id, "book")
        await asyncio.to_thread(emulator.kill)
        await asyncio.to_thread(emulator.start)
        async with Tab(emulator, agent("gone")) as tab:
            await until_server(tab, lambda server: server["state"] == "ready")
            assert await tab.call("respondToElicitation", question["id"], {"action": "decline"}) is None
            answer = await answered(tab, await asked(tab, id, "book"), {"action": "accept", "content": {"guests": 5}})

    assert text_of(answer["result"]) == "a table for 5"


# Being authorized


async def authorized(url: str) -> str:
    """Return where the authorization server sends a browser after its user has decided."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        response = await http.get(url)
    assert response.status_code == 302
    return response.headers["location"]


async def visited(emulator: Server, url: str) -> httpx2.Response:
    async with http_client(emulator) as http:
        return await http.get(url)


async def test_the_user_authorizes_the_agent_in_a_popup(emulator: Server, guarded: str) -> None:
    async with Tab(emulator, agent("popup")) as tab:
        id = await added(tab, guarded)
        server = servers_of(tab)["servers"][id]
        back = await authorized(server["auth_url"])
        popup = await visited(emulator, back)
        ready = await until_server(tab, lambda server: server["state"] == "ready")
        result = await tab.call("callTool", id, "add", {"a": 1, "b": 2})

    assert server["state"] == "authenticating"
    assert back.startswith(f"{emulator.url}/agents/my-agent/popup/callback?")
    assert (popup.status_code, popup.headers["content-type"]) == (200, "text/html")
    assert popup.text == "<script>window.close();</script>"
    assert ready["auth_url"] is None
    assert text_of(result) == "3"


async def test_a_user_may_authorize_after_a_kill(emulator: Server, guarded: str, protected: Protected) -> None:
    async with Tab(emulator, agent("later")) as tab:
        id = await added(tab, guarded)
        auth_url = servers_of(tab)["servers"][id]["auth_url"]
    await asyncio.to_thread(emulator.kill)
    await asyncio.to_thread(emulator.start)

    popup = await visited(emulator, await authorized(auth_url))

    assert popup.text == "<script>window.close();</script>"
    async with Tab(emulator, agent("later")) as tab:
        await until_server(tab, lambda server: server["state"] == "ready")
        assert text_of(await tab.call("callTool", id, "add", {"a": 1, "b": 2})) == "3"
    assert len(protected.registered) == 1


async def test_a_user_who_refuses_is_told_so_in_plain_text(
    emulator: Server, guarded: str, protected: Protected
) -> None:
    protected.refuses = True
    async with Tab(emulator, agent("refuse")) as tab:
        id = await added(tab, guarded)
        popup = await visited(emulator, await authorized(servers_of(tab)["servers"][id]["auth_url"]))
        failed = await until_server(tab, lambda server: server["state"] == "failed")

    assert (popup.status_code, popup.headers["content-type"]) == (400, "text/plain")
    assert popup.text == "Authentication Failed: access_denied: No <b>way</b>"
    assert failed["error"] == "access_denied: No <b>way</b>"


async def test_a_callback_that_was_made_up_changes_nothing(emulator: Server, guarded: str) -> None:
    async with Tab(emulator, agent("forged")) as tab:
        id = await added(tab, guarded)
        popup = await visited(emulator, f"/agents/my-agent/forged/callback?code=x&state=made-up.{id}")
        assert (popup.status_code, popup.text) == (400, "Authentication Failed: State not found or already used")
        await visited(emulator, await authorized(servers_of(tab)["servers"][id]["auth_url"]))
        await until_server(tab, lambda server: server["state"] == "ready")


# The rest


def test_the_readmes_command_does_what_it_says(emulator: Server, counter: Server) -> None:
    (command,) = commands_of("mcp-client")

    said = run_command(command.replace("127.0.0.1:8001", f"127.0.0.1:{counter.port}"), emulator)

    assert said.splitlines() == ["add of counter", "Added 4, total is now 5"]


async def test_pages_of_other_origins_may_ask(emulator: Server) -> None:
    async with http_client(emulator) as http:
        asked = await http.options("/agents/my-agent/any", headers={"origin": "https://page.example"})
        page, elsewhere = await http.get("/"), await http.get("/agents/nobody")

    assert asked.headers["access-control-allow-origin"] == "*"
    assert "<title>MCP client</title>" in page.text
    assert elsewhere.status_code == 404
