"""A chat's turn that the end of the server has cut has the tools of its MCP servers again when it goes on."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeagents_mcp import plugin
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edgeagents import AIChatAgent, callable
from edgeagents.models import ModelRequest
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, ScriptedModel, agent_runtime, call_tool
from tests.agents.chat.talk import ask, chunks, hear_turn, hear_until, tab, user
from tests.agents.frames import answer

from .loopback import calculator, serving

pytestmark = pytest.mark.cloudflare(
    "MCP", "tools of MCP servers in a turn that a restart has cut", "same: connections are restored first"
)

PATH = "/agents/counting/x"


class Scripted(ScriptedModel):
    """Says half a sentence and hangs; asked again it uses the tool that it is offered, and tells the result."""

    def __init__(self) -> None:
        super().__init__(self._say, continues=True)

    def _say(self, request: ModelRequest) -> Any:
        if len(self.requests) == 1:
            return ["Let me count: ", asyncio.Event()]
        if request.tools and len(self.requests) == 2:
            return call_tool(request.tools[0].name, a=20, b=22)
        return "so it is."

    @property
    def offered(self) -> list[list[str]]:
        return [[tool.name for tool in request.tools] for request in self.requests]


class Counting(AIChatAgent):
    @callable()
    async def know(self, url: str) -> Any:
        return await self.add_mcp_server("calc", url, id="calc")

    @callable()
    async def parts(self) -> Any:
        return self.messages[-1]["parts"]

    async def on_chat_message(self, on_finish: Any, options: Any) -> Any:
        tools = {"count": self.mcp.get_ai_tools()["tool_calc_add"]}
        return self.stream_text(model="scripted:x", prompt="20 + 22?", tools=tools, max_steps=5)


class Asking(Counting):
    """Its tool needs leave, which the server's tool knows nothing of."""

    async def on_chat_message(self, on_finish: Any, options: Any) -> Any:
        found = self.mcp.get_ai_tools()["tool_calc_add"]
        tools = {"count": replace(found, needs_approval=True)}
        return self.stream_text(model="scripted:x", prompt="20 + 22?", tools=tools, max_steps=5)


def running(agent: type, model: Scripted, storage: Path, **options: Any) -> Any:
    return agent_runtime(agent, plugins=[plugin, model], storage=storage, **options)


async def begin(runtime: Runtime, path: str, url: str) -> None:
    """Let a turn begin that is in the middle of an answer when the server ends."""
    a = await tab(runtime, "A", path)
    await answer(a, "know", url)
    ask(a, "r1", user("u1"))
    while not any(chunk["type"] == "text-delta" for chunk in chunks(await hear_until(a, "cf_agent_use_chat_response"))):
        pass


async def test_the_turn_goes_on_with_its_tools(tmp_path: Path) -> None:
    model = Scripted()
    async with serving(calculator().streamable_http_app()) as url:
        async with running(Counting, model, tmp_path) as runtime:
            await begin(runtime, PATH, f"{url}/mcp")
        async with running(Counting, model, tmp_path) as runtime:
            b = await tab(runtime, "B", PATH)
            parts = await turn_of(b)

    assert model.offered == [["count"]] * 3
    (call,) = [part for part in parts if part["type"] == "tool-count"]
    assert (call["state"], call["output"]["structuredContent"]) == ("output-available", {"result": 42})
    assert [part["text"] for part in parts if part["type"] == "text"] == ["Let me count: ", "so it is."]


async def test_a_tool_that_needed_leave_still_does(tmp_path: Path) -> None:
    model = Scripted()
    async with serving(calculator().streamable_http_app()) as url:
        async with running(Asking, model, tmp_path) as runtime:
            await begin(runtime, "/agents/asking/x", f"{url}/mcp")
        async with running(Asking, model, tmp_path) as runtime:
            parts = await turn_of(await tab(runtime, "B", "/agents/asking/x"))

    (call,) = [part for part in parts if part["type"] == "tool-count"]
    assert call["state"] == "approval-requested"


async def test_a_server_that_does_not_answer_holds_the_turn_up_for_ten_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, clock, asked = Scripted(), ManualClock(), asyncio.Event()

    async def hang(request: StarletteRequest) -> PlainTextResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async with serving(calculator().streamable_http_app()) as url, running(Counting, model, tmp_path) as runtime:
        await begin(runtime, PATH, f"{url}/mcp")
    silent = Starlette(routes=[Route("/mcp", hang, methods=["POST"])])
    async with (
        serving(silent, int(url.rpartition(":")[2])),
        running(Counting, model, tmp_path, clock=clock) as runtime,
    ):
        b = await tab(runtime, "B", PATH)
        await asyncio.wait_for(asked.wait(), 20)
        assert len(model.offered) == 1
        with caplog.at_level(logging.WARNING):
            await clock.advance(10)
            parts = await turn_of(b)

    assert model.offered == [["count"], []]
    assert "The tool count is not found any more" in caplog.text
    assert "".join(part["text"] for part in parts if part["type"] == "text") == "Let me count: so it is."


async def turn_of(socket: Any) -> list[Any]:
    """Return the parts of the answer, once the turn has come to its end."""
    await hear_turn(socket, "r1")
    return (await answer(socket, "parts"))["result"]
