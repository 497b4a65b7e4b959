"""A model that says what a test wants: as a vendor's would, in agents, in an app, in a turn of several steps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, TypedDict

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from edgeagents import Agent, AgentsMiddleware, AIChatAgent, callable, convert_to_model_messages, get_agent_by_name
from edgeagents.errors import ModelError
from edgeagents.models import FinishStep, ModelRegistry, ModelRequest, ToolCall, Usage, generate_object, stream_text
from edgeagents.testing import ScriptedModel, agent_runtime, call_tool, settle, think


def asked(model: ScriptedModel, **options: Any) -> Any:
    return stream_text(model="scripted:m", prompt="Say hi", models=ModelRegistry([model]), **options)


class Assistant(AIChatAgent):
    async def on_chat_message(self) -> Any:
        return self.stream_text(
            model="scripted:m",
            messages=convert_to_model_messages(self.messages),
            tools=[self.weather],
            max_steps=3,
        )

    async def weather(self, city: str) -> str:
        """Say what the weather is."""
        return f"rain in {city}"

    async def say(self, text: str) -> list[dict[str, Any]]:
        message = {"id": f"u{len(self.messages)}", "role": "user", "parts": [{"type": "text", "text": text}]}
        await self.save_messages([*self.messages, message])
        return [*self.messages[-1]["parts"]]


async def test_an_agents_tool_is_called_and_its_result_is_seen_by_the_model():
    model = ScriptedModel([call_tool("weather", city="Rome"), ["It ", "rains."]])
    async with agent_runtime(Assistant, plugins=[model]):
        assistant = await get_agent_by_name(Assistant, "a")
        parts = await assistant.say("What is it like in Rome?")

    assert [part["output"] for part in parts if part["type"] == "tool-weather"] == ["rain in Rome"]
    assert parts[-1]["text"] == "It rains."
    first, second = model.requests
    assert [tool.name for tool in first.tools] == ["weather"]
    assert second.messages[-1].role == "tool"


async def test_a_function_answers_by_what_it_is_asked():
    async def answer(request: ModelRequest) -> str:
        return request.messages[-1].text.upper()

    assert await asked(ScriptedModel(answer)).text == "SAY HI"


async def test_it_thinks_says_what_it_used_and_ends_as_it_is_told():
    result = asked(ScriptedModel([[think("hm"), "Hello", Usage(10, 2, 12)]]))
    (step,) = await result.steps
    assert (step.reasoning_text, step.text, step.usage.total_tokens) == ("hm", "Hello", 12)

    cut = asked(ScriptedModel([["Hel", FinishStep("length")]]))
    assert await cut.finish_reason == "length"


async def test_each_call_has_an_id_of_its_own_and_one_of_the_test_keeps_its():
    model = ScriptedModel([[call_tool("a"), call_tool("a", name="x"), ToolCall("mine", "a", {})], "Done."])

    def a(name: str = "") -> str:
        """Do something."""
        return name

    steps = await asked(model, tools=[a], max_steps=2).steps
    assert [(call.tool_call_id, call.input) for call in steps[0].tool_calls] == [
        ("call_1_1", {}),
        ("call_1_2", {"name": "x"}),
        ("mine", {}),
    ]


async def test_an_error_comes_after_what_was_said_before_it():
    model = ScriptedModel([["Hel", ModelError("down", status=503)]])
    with pytest.raises(ModelError, match="down"):
        await asked(model).text


async def test_what_can_be_tried_again_is_and_goes_on_where_it_stopped():
    failure = ModelError("lost", retryable=True, retry_after=0)
    model = ScriptedModel([["Hel", failure], "lo"], continues=True)
    assert await asked(model).text == "Hello"
    assert [request.prefix for request in model.requests] == ["", "Hel"]


async def test_an_answer_waits_for_the_test():
    gate = asyncio.Event()
    result = asked(ScriptedModel([["Hel", gate, "lo"]]))
    text = asyncio.ensure_future(result.text)
    await settle()
    assert not text.done()
    gate.set()
    assert await text == "Hello"


class Town(TypedDict):
    name: str


async def test_a_dict_is_the_object_that_is_asked_for():
    models = ModelRegistry([ScriptedModel([{"name": "Rome"}])])
    result = await generate_object(model="scripted:m", schema=Town, prompt="Which?", models=models)
    assert result.object == {"name": "Rome"}
    with pytest.raises(ModelError, match="answers generate_object only"):
        await asked(ScriptedModel([{"name": "Rome"}])).text


async def test_a_model_that_is_asked_too_often_says_what_it_was_asked():
    model = ScriptedModel(["One."])
    await asked(model).text
    with pytest.raises(ModelError, match=r"has 1 answers and is asked once more, after: user: 'Say hi'"):
        await asked(model).text


@pytest.mark.parametrize("answers", ["Hello", {"name": "Rome"}])
def test_one_answer_is_no_list_of_answers(answers: Any):
    with pytest.raises(TypeError, match="a list of answers"):
        ScriptedModel(answers)


async def test_what_no_model_can_say_is_refused():
    with pytest.raises(ModelError, match="cannot say 5"):
        await asked(ScriptedModel([[5]])).text  # type: ignore[list-item]
    with pytest.raises(ModelError, match="ends with its FinishStep"):
        await asked(ScriptedModel([[FinishStep("stop"), "more"]])).text


class Poet(Agent):
    @callable()
    async def write(self) -> str:
        return await self.stream_text(model="openai:gpt-4o", prompt="A line, please.").text


def test_it_takes_a_vendors_place_in_an_app(tmp_path: Path):
    app = Starlette()
    model = ScriptedModel(["The fog comes."], name="openai")
    # Where the plugin of that vendor is installed: plugins=[ScriptedModel([...])], model_fallback="scripted".
    app.add_middleware(AgentsMiddleware, agents=[Poet], storage=tmp_path, plugins=[model], discover_plugins=False)
    with TestClient(app) as client, client.websocket_connect("/agents/poet/ann") as socket:
        socket.send_text(json.dumps({"type": "rpc", "id": "1", "method": "write", "args": []}))
        while (frame := json.loads(socket.receive_text())).get("type") != "rpc":
            pass
    assert frame["result"] == "The fog comes."


async def test_it_answers_for_a_vendor_whose_key_is_missing(monkeypatch: pytest.MonkeyPatch):
    plugin = pytest.importorskip("edgeagents_openai.plugin")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    model = ScriptedModel(["The fog comes."])
    async with agent_runtime(Poet, plugins=[plugin, model], model_fallback="scripted"):
        assert await (await get_agent_by_name(Poet, "ann")).write() == "The fog comes."
    assert model.requests[0].stands_in_for == "openai:gpt-4o"
