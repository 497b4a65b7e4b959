"""An agent of Pydantic AI as the whole answer, and what its own tools are in the place of a model's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from edgeagents_openai.testing import ChatVendor
from edgeagents_pydantic_ai import pydantic_ai_model, stream_agent
from edgeagents_pydantic_ai.history import read_conversation
from edgeagents_pydantic_ai.plugin import register_model_providers
from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, ImageUrl, RunContext
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset

from edgeagents.errors import ModelError
from edgeagents.http import AbortController
from edgeagents.models import (
    AbortPart,
    Finish,
    FinishStep,
    ModelRegistry,
    Part,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    stream_text,
)
from edgeagents.testing.vendor import VendorServer, says

Scripted = str | list[DeltaToolCall]


class Script:
    """A model that says one script a response, and keeps what it was told."""

    def __init__(self, *responses: Scripted) -> None:
        self.responses = list(responses)
        self.told: list[list[ModelMessage]] = []
        self.infos: list[AgentInfo] = []

    async def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        self.told.append(messages)
        self.infos.append(info)
        response = self.responses.pop(0)
        if isinstance(response, str):
            for word in response.split(" "):
                yield word
        else:
            for index, call in enumerate(response):
                yield {index: call}

    @property
    def model(self) -> FunctionModel:
        return FunctionModel(stream_function=self)


def call(name: str, arguments: str, call_id: str = "c1") -> DeltaToolCall:
    return DeltaToolCall(name=name, json_args=arguments, tool_call_id=call_id)


def without_usage(parts: list[Part]) -> list[Part]:
    return [FinishStep(part.finish_reason) if isinstance(part, FinishStep) else part for part in parts]


async def parts_of(result: Any) -> list[Part]:
    return [part async for part in result.full_stream]


def remover(script: Script, removed: list[str]) -> Agent[None, Any]:
    agent = Agent(script.model, system_prompt="Be careful.")

    @agent.tool_plain(requires_approval=True)
    def remove(path: str) -> str:
        removed.append(path)
        return f"{path} is gone"

    return agent


def ui_messages(**tool: Any) -> list[dict[str, Any]]:
    """Return a browser's chat in which the agent asked to remove a file."""
    part = {"type": "tool-remove", "toolCallId": "c1", "input": {"path": "a.txt"}, **tool}
    return [
        {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Remove a.txt"}]},
        {"id": "a", "role": "assistant", "parts": [{"type": "step-start"}, part]},
    ]


# The whole answer


async def test_a_run_is_a_stream_of_steps() -> None:
    script = Script([call("add", '{"a":1,"b":2}')], "It is 3")
    agent = Agent(script.model)

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    result = stream_agent(agent, "What is 1 and 2?")
    assert without_usage(await parts_of(result))[:-1] == [
        Start(),
        StartStep(),
        ToolInputStart("c1", "add"),
        ToolInputDelta("c1", '{"a":1,"b":2}'),
        ToolCall("c1", "add", {"a": 1, "b": 2}),
        ToolResult("c1", "add", {"a": 1, "b": 2}, 3),
        FinishStep("tool-calls"),
        StartStep(),
        TextStart("txt-0"),
        TextDelta("txt-0", "It"),
        TextDelta("txt-0", "is"),
        TextDelta("txt-0", "3"),
        TextEnd("txt-0"),
        FinishStep("stop"),
    ]
    assert await result.text == "Itis3"
    assert await result.finish_reason == "stop"
    assert [step.finish_reason for step in await result.steps] == ["tool-calls", "stop"]
    assert (await result.total_usage).output_tokens


async def test_it_answers_a_request() -> None:
    response = stream_agent(Agent(Script("Hello you").model), "hi").to_ui_message_stream_response()
    body = await response.text()
    assert '{"type":"text-delta","id":"txt-0","delta":"Hello"}' in body
    assert body.endswith("data: [DONE]\n\n")


async def test_tools_are_given_what_they_depend_on() -> None:
    agent = Agent(Script([call("whoami", "{}")], "x").model, deps_type=str)

    @agent.tool
    def whoami(ctx: RunContext[str]) -> str:
        return ctx.deps

    result = stream_agent(agent, "hi", deps="ann")
    (answer,) = [part for part in await parts_of(result) if isinstance(part, ToolResult)]
    assert answer.output == "ann"


async def test_a_tool_that_asks_for_another_try_is_an_error_of_the_tool() -> None:
    script = Script([call("add", '{"a":"x"}')], [call("add", '{"a":1}', "c2")], "done")
    agent = Agent(script.model)

    @agent.tool_plain
    def add(a: int) -> int:
        return a

    parts = await parts_of(stream_agent(agent, "hi"))
    (failed,) = [part for part in parts if isinstance(part, ToolError)]
    (made,) = [part for part in parts if isinstance(part, ToolResult)]
    assert (failed.tool_call_id, made.tool_call_id, made.output) == ("c1", "c2", 1)
    assert [part.error is None for part in parts if isinstance(part, ToolCall)] == [False, True]


async def test_the_agents_system_prompt_is_told_and_a_browser_cannot_change_it() -> None:
    script = Script("x")
    chat = [
        {"role": "user", "parts": [{"type": "text", "text": "one"}]},
        {"role": "assistant", "parts": [{"type": "text", "text": "two"}]},
        {"role": "user", "parts": [{"type": "text", "text": "three"}]},
    ]
    await stream_agent(Agent(script.model, system_prompt="Be careful."), chat).consume_stream()
    (told,) = script.told
    prompts = [part.content for m in told for part in m.parts if isinstance(part, SystemPromptPart | UserPromptPart)]
    assert prompts == ["Be careful.", ["one"], ["three"]]


async def test_an_abort_ends_the_run_and_closes_the_connection() -> None:
    controller = AbortController()
    async with VendorServer(ChatVendor()) as server, AsyncOpenAI(base_url=server.url, api_key="k") as client:
        server.answers = [says("Hel", ending="open")]
        agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)))
        result = stream_agent(agent, "hi", abort_signal=controller.signal)
        async for _ in result.text_stream:
            controller.abort("enough")
        await asyncio.wait_for(server.left.wait(), 5)
    assert (await parts_of(result))[-1] == AbortPart("enough")
    assert await result.text == "Hel"


async def test_a_client_that_leaves_ends_the_run() -> None:
    async with VendorServer(ChatVendor()) as server, AsyncOpenAI(base_url=server.url, api_key="k") as client:
        server.answers = [says("Hel", ending="open")]
        agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)))
        chunks = stream_agent(agent, "hi").to_text_stream_response().stream()
        assert await anext(chunks) == b"Hel"
        await chunks.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.left.wait(), 5)


async def test_a_failed_run_is_an_error_of_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        raise ModelHTTPError(529, "m", {"error": {"message": "overloaded"}}, headers={"retry-after": "3"})
        yield ""

    result = stream_agent(Agent(FunctionModel(stream_function=say)), "hi")
    with pytest.raises(ModelError, match=r"^overloaded$") as raised:
        await result.text
    assert (raised.value.status, raised.value.retryable, raised.value.retry_after) == (529, True, 3)
    assert "overloaded" in caplog.text


# Leave


async def test_a_call_that_needs_leave_ends_the_run() -> None:
    removed: list[str] = []
    agent = remover(Script([call("remove", '{"path":"a.txt"}')]), removed)
    parts = without_usage(await parts_of(stream_agent(agent, "Remove a.txt")))
    assert parts[-4:-1] == [
        ToolCall("c1", "remove", {"path": "a.txt"}),
        ToolApprovalRequest("c1", "c1"),
        FinishStep("tool-calls"),
    ]
    assert isinstance(parts[-1], Finish)
    assert removed == []


async def test_an_allowed_call_is_made_when_the_chat_goes_on() -> None:
    removed: list[str] = []
    script = Script("Done")
    agent = remover(script, removed)
    chat = ui_messages(state="approval-responded", approval={"id": "c1", "approved": True})
    parts = await parts_of(stream_agent(agent, chat))
    assert removed == ["a.txt"]
    assert [part for part in parts if isinstance(part, ToolCall | ToolResult)] == [
        ToolResult("c1", "remove", None, "a.txt is gone")
    ]
    assert await stream_agent(remover(Script("Done"), []), chat).text == "Done"
    returned = script.told[0][-1].parts[-1]
    assert isinstance(returned, ToolReturnPart)
    assert returned.content == "a.txt is gone"


@pytest.mark.parametrize("state", ["output-denied", "approval-responded"])
async def test_a_denied_call_is_told_to_the_model(state: str) -> None:
    removed: list[str] = []
    script = Script("All right")
    approval = {"id": "c1", "approved": False, "reason": "It is mine."}
    result = stream_agent(remover(script, removed), ui_messages(state=state, approval=approval))
    assert await result.text == "Allright"
    assert removed == []
    (returned,) = [p for m in script.told[0] for p in m.parts if isinstance(p, ToolReturnPart)]
    assert (returned.tool_call_id, returned.content, returned.outcome) == ("c1", "It is mine.", "failed")


async def test_one_call_is_allowed_while_another_is_answered() -> None:
    removed: list[str] = []
    script = Script("Done")
    chat = ui_messages(state="approval-responded", approval={"id": "c1", "approved": True})
    look = {"type": "tool-look", "toolCallId": "c2", "input": {}, "state": "output-available", "output": "a.txt"}
    chat[1]["parts"].append(look)
    agent = remover(script, removed)

    @agent.tool_plain
    def look_up() -> str:
        return "x"

    assert await stream_agent(agent, chat).text == "Done"
    assert removed == ["a.txt"]
    returned = [p.tool_call_id for m in script.told[0] for p in m.parts if isinstance(p, ToolReturnPart)]
    assert sorted(returned) == ["c1", "c2"]


async def test_a_clients_tool_is_answered_by_the_client() -> None:
    script = Script([call("where", "{}")], "In Rome")
    agent = Agent(script.model, toolsets=[ExternalToolset([ToolDefinition(name="where")])])
    parts = without_usage(await parts_of(stream_agent(agent, "Where am I?")))
    assert parts[-3:-1] == [ToolCall("c1", "where", {}), FinishStep("tool-calls")]
    part = {"type": "tool-where", "toolCallId": "c1", "input": {}, "state": "output-available", "output": "Rome"}
    chat = [
        {"role": "user", "parts": [{"type": "text", "text": "Where am I?"}]},
        {"role": "assistant", "parts": [part]},
    ]
    assert await stream_agent(agent, chat).text == "InRome"


# In the place of a model


async def test_its_own_tools_run_inside_of_its_answer() -> None:
    script = Script([call("add", '{"a":1,"b":2}')], "It is 3")
    agent = Agent(script.model)

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    result = stream_text(model=pydantic_ai_model(agent), prompt="hi", max_steps=5)
    assert await result.text == "Itis3"
    (step,) = await result.steps
    assert [(each.tool_name, each.provider_executed) for each in step.tool_calls] == [("add", True)]
    assert [each.output for each in step.tool_results] == [3]
    assert len(script.told) == 2


async def test_the_tools_of_stream_text_are_called_and_its_own_work_is_not_forgotten() -> None:
    script = Script([call("own", "{}")], [call("own", "{}", "c2"), call("outer", "{}", "c3")], "Both")
    agent = Agent(script.model, system_prompt="A secret.")

    @agent.tool_plain
    def own() -> str:
        return "mine"

    def outer() -> str:
        return "yours"

    result = stream_text(model=pydantic_ai_model(agent), prompt="hi", tools=[outer], max_steps=3)
    parts = await parts_of(result)
    assert await result.text == "Both"
    assert [step.finish_reason for step in await result.steps] == ["tool-calls", "stop"]
    told = script.told[-1]
    assert [p.tool_call_id for m in told for p in m.parts if isinstance(p, ToolCallPart)] == ["c1", "c2", "c3"]
    returned = {p.tool_call_id: p.content for m in told for p in m.parts if isinstance(p, ToolReturnPart)}
    assert returned == {"c1": "mine", "c2": "mine", "c3": "yours"}
    # What goes to a log, and to a browser, holds no prompts.
    assert "A secret." not in repr(parts)


async def test_a_models_name_is_enough_for_a_bare_agent() -> None:
    registry = ModelRegistry(register_model_providers())
    assert await stream_text(model="pydantic_ai:test", prompt="hi", models=registry).text == "success (no tool calls)"


async def test_a_model_that_is_not_set_up_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    registry = ModelRegistry(register_model_providers())
    model = "pydantic_ai:openai:gpt-5"
    result = stream_text(model=model, prompt="hi", models=registry, on_error=lambda part: None)
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        await result.text


def test_an_agent_is_not_found_again_by_name() -> None:
    handle = pydantic_ai_model(Agent("test", name="helper"))
    assert (handle.name, handle.is_reopenable) == ("pydantic_ai:helper", False)


# What an agent is told


def test_messages_become_a_history() -> None:
    told = read_conversation(
        [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image", "image": "data:image/png;base64,iVBORw=="},
                    {"type": "image", "image": "https://example.com/a.png"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "reasoning", "text": "of another model"},
                    {"type": "reasoning", "text": "hm", "provider_metadata": {"pydantic_ai": {"signature": "s"}}},
                    {"type": "text", "text": "ok"},
                    {"type": "tool-call", "tool_call_id": "c", "tool_name": "add", "input": {"a": 1}},
                ],
            },
            {
                "role": "tool",
                "content": [{"type": "tool-result", "tool_call_id": "c", "tool_name": "add", "output": {"n": 1}}],
            },
            {"role": "user", "content": "and?"},
        ]
    )
    assert (told.system, told.prompt, told.decided) == ("be brief", ["and?"], None)
    asked, said, returned = told.history
    assert isinstance(asked, ModelRequest)
    assert isinstance(asked.parts[0], UserPromptPart)
    text, image, link = asked.parts[0].content
    assert (text, link) == ("look", ImageUrl("https://example.com/a.png", media_type="image/png"))
    assert isinstance(image, BinaryContent)
    assert (image.data, image.media_type) == (b"\x89PNG", "image/png")
    assert isinstance(said, ModelResponse)
    assert list(said.parts) == [
        ThinkingPart("hm", signature="s"),
        TextPart("ok"),
        ToolCallPart("add", {"a": 1}, "c"),
    ]
    assert isinstance(returned.parts[0], ToolReturnPart)
    assert returned.parts[0].content == {"n": 1}
