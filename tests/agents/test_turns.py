"""Turns and streams of real agents, through the runtime, across its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from edgeagents.agents import Agent
from edgeagents.http import Request, Response
from edgeagents.models import FinishStep, tool_call
from edgeagents.runtime import Runtime
from tests.models.fakes import ScriptedProvider, said


class Writer(Agent):
    def price(self, item: str) -> int:
        """Return the price of an item."""
        return len(item)

    def on_request(self, request: Request) -> Response:
        """Not async on purpose: the turn is asked for in the agent's own thread."""
        if request.method == "GET":
            return self.resume_stream(request)
        call = {"tool_name": "price", "input": {"item": "abc"}}
        return self.stream_text(
            model="offline:x",
            prompt="hello",
            tools=[self.price],
            max_steps=2,
            provider_options={"offline": {"pause_ms": 1, "words": 60, "tool_calls": [call]}},
        ).to_text_stream_response()


def runtime(storage: Path | None) -> Runtime:
    return Runtime(agents=[Writer], storage=storage, discover_plugins=False)


async def answer(runtime: Runtime, path: str = "/agents/writer/a", **more: Any) -> Response:
    response = await runtime.route(Request(path, **more))
    assert response is not None
    return response


async def test_a_sync_handler_answers_with_a_stream_and_its_tool_runs_in_its_thread() -> None:
    async with runtime(None) as running:
        text = await (await answer(running, method="POST", body="")).text()
        assert "The tool price answered: 3." in text
        assert await (await answer(running)).text() == text


async def test_a_turn_goes_on_after_the_runtimes_end(tmp_path: Path) -> None:
    async with runtime(tmp_path) as first:
        chunks = (await answer(first, method="POST", body="")).stream()
        got = b""
        for _ in range(20):
            got += await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]
    async with runtime(tmp_path) as second:
        rest = await (await answer(second, f"/agents/writer/a?cursor={len(got)}")).bytes()
        whole = await (await answer(second)).bytes()
    assert got + rest == whole
    assert len(whole.split()) == 60
    assert b"The tool price answered: 3." in whole


class Asks(Agent):
    async def on_request(self, request: Request) -> str:
        return await self.stream_text(model="scripted:m", prompt="hi", tools=[self.price], max_steps=2).text

    async def price(self, item: str) -> int:
        """Return the price of an item."""
        return len(item)


async def test_an_agent_finds_the_models_of_a_provider() -> None:
    provider = ScriptedProvider([tool_call("c", "price", '{"item": "ab"}'), *said(reason="tool-calls")], said("Two."))
    async with Runtime(agents=[Asks], storage=None, discover_plugins=False) as running:
        running.models.add(provider)
        assert await (await answer(running, "/agents/asks/a")).text() == "Two."
    assert provider.requests[1].messages[-1].content[0].output == 2  # type: ignore[union-attr]


class Order(TypedDict):
    item: str
    count: int


class Reads(Agent):
    async def on_request(self, request: Request) -> Order:
        return (await self.generate_object(model="scripted:m", schema=Order, prompt=await request.text())).object


async def test_an_agent_asks_for_an_object() -> None:
    provider = ScriptedProvider([tool_call("c", "json", '{"item": "tea", "count": 2}'), FinishStep("tool-calls")])
    async with Runtime(agents=[Reads], storage=None, discover_plugins=False) as running:
        running.models.add(provider)
        asked = await answer(running, "/agents/reads/a", method="POST", body="Two teas, please")
        assert await asked.json() == {"item": "tea", "count": 2}
    assert provider.requests[0].messages[-1].text == "Two teas, please"
