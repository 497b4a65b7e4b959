from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgeagents.http import AbortController
from edgeagents.models import (
    AbortPart,
    Finish,
    FinishStep,
    Message,
    ModelHandle,
    Part,
    Start,
    StartStep,
    StreamTextResult,
    ToolApprovalRequest,
    ToolCall,
    ToolContext,
    ToolError,
    ToolResult,
    convert_to_model_messages,
    stream_text,
    tool,
    tool_call,
)
from edgeagents.models.messages import TextContent, ToolCallContent, ToolResultContent
from edgeagents.models.turn import Turn, run_turn
from tests.models.fakes import ScriptedProvider, said

removed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_removed() -> None:
    removed.clear()


@tool(needs_approval=True)
def remove(path: str) -> str:
    """Remove a file."""
    removed.append(path)
    return f"{path} is gone"


def ask(provider: ScriptedProvider, **more: Any) -> StreamTextResult:
    return stream_text(**{"model": ModelHandle(provider, "m"), "prompt": "Clean up", "max_steps": 5, **more})


def calls(*named: tuple[str, str, str]) -> list[Any]:
    return [*(tool_call(*each) for each in named), FinishStep("tool-calls")]


def answered(state: str, id: str = "c", path: str = "a", **more: Any) -> dict[str, Any]:
    return {"type": "tool-remove", "toolCallId": id, "state": state, "input": {"path": path}, **more}


def chat(*parts: dict[str, Any]) -> tuple[Message, ...]:
    user = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Clean up"}]}
    return convert_to_model_messages([user, {"id": "a", "role": "assistant", "parts": list(parts)}])


ALLOWED = {"approval": {"id": "p", "approved": True}}


async def test_a_tool_that_needs_approval_is_not_called_and_ends_the_turn() -> None:
    provider = ScriptedProvider(calls(("c", "remove", '{"path":"a"}')))
    result = ask(provider, tools=[remove])
    assert [part async for part in result.full_stream] == [
        Start(),
        StartStep(),
        ToolCall("c", "remove", {"path": "a"}),
        ToolApprovalRequest("approval-c", "c"),
        FinishStep("tool-calls"),
        Finish("tool-calls"),
    ]
    assert (removed, len(provider.requests)) == ([], 1)


async def test_other_calls_of_the_step_are_made() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    script = calls(("c", "remove", '{"path":"a"}'), ("d", "add", '{"a":1,"b":2}'))
    [step] = await ask(ScriptedProvider(script), tools=[remove, add]).steps
    assert [result.output for result in step.tool_results] == [3]
    assert step.approval_requests == [ToolApprovalRequest("approval-c", "c")]


async def is_outside(path: str) -> bool:
    return path.startswith("/")


@pytest.mark.parametrize("decide", [is_outside, lambda path: path.startswith("/")])
async def test_a_function_decides_which_calls_need_approval(decide: Any) -> None:
    script = calls(("c", "remove", '{"path":"/etc"}'), ("d", "remove", '{"path":"a"}'))
    guarded = tool(remove.execute, needs_approval=decide)
    [step] = await ask(ScriptedProvider(script), tools=[guarded]).steps
    assert removed == ["a"]
    assert [each.tool_call_id for each in step.approval_requests] == ["c"]


async def test_the_deciding_function_may_know_of_the_call() -> None:
    seen: list[str] = []

    def decide(path: str, context: ToolContext) -> bool:
        seen.append(context.tool_call_id)
        return True

    def erase(path: str, context: ToolContext) -> None:
        removed.append(path)

    script = calls(("c", "erase", '{"path":"a"}'))
    await ask(ScriptedProvider(script), tools=[tool(erase, needs_approval=decide)]).consume_stream()
    assert (seen, removed) == (["c"], [])


async def test_a_call_is_not_made_when_nobody_can_tell_whether_it_may_be() -> None:
    def decide(path: str) -> bool:
        raise RuntimeError("no rules")

    guarded = tool(remove.execute, needs_approval=decide)
    provider = ScriptedProvider(calls(("c", "remove", '{"path":"a"}')), said("Sorry."))
    first, _ = await ask(provider, tools=[guarded]).steps
    assert [error.error for error in first.tool_errors] == ["RuntimeError: no rules"]
    assert removed == []


async def test_a_call_that_was_allowed_is_made_before_the_model_speaks() -> None:
    provider = ScriptedProvider(said("Done."))
    result = ask(provider, prompt=None, messages=chat(answered("approval-responded", **ALLOWED)), tools=[remove])
    parts = [part async for part in result.full_stream]
    assert parts[:3] == [Start(), ToolResult("c", "remove", {"path": "a"}, "a is gone"), StartStep()]
    assert removed == ["a"]
    answer = Message("tool", (ToolResultContent("c", "remove", "a is gone"),))
    assert provider.requests[0].messages == (
        Message("user", (TextContent("Clean up"),)),
        Message("assistant", (ToolCallContent("c", "remove", {"path": "a"}),)),
        answer,
    )
    assert await result.response_messages == [answer, Message("assistant", (TextContent("Done."),))]


async def test_the_answers_of_one_message_s_calls_are_in_one_message() -> None:
    parts = (
        answered("output-available", output="x"),
        answered("approval-responded", "d", "b", **ALLOWED),
        answered("approval-responded", "e", "c", **ALLOWED),
    )
    provider = ScriptedProvider(said("Done."))
    await ask(provider, prompt=None, messages=chat(*parts), tools=[remove]).consume_stream()
    [_, _, told] = provider.requests[0].messages
    ids = [each.tool_call_id for each in told.content if isinstance(each, ToolResultContent)]
    assert (told.role, ids[0], sorted(ids)) == ("tool", "c", ["c", "d", "e"])
    assert sorted(removed) == ["b", "c"]


async def test_a_call_that_was_denied_is_not_made() -> None:
    part = answered("output-denied", approval={"id": "p", "approved": False})
    provider = ScriptedProvider(said("All right."))
    await ask(provider, prompt=None, messages=chat(part), tools=[remove]).consume_stream()
    assert removed == []
    assert provider.requests[0].messages[-1].content == (
        ToolResultContent("c", "remove", "Tool call execution denied.", is_error=True),
    )


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (answered("approval-responded", **ALLOWED) | {"input": {}}, "input.path is missing"),
        (answered("approval-responded", **ALLOWED) | {"type": "tool-rename"}, "There is no tool 'rename'"),
    ],
)
async def test_an_allowed_call_that_cannot_be_made_is_answered_with_why(part: dict[str, Any], error: str) -> None:
    provider = ScriptedProvider(said("Hm."))
    result = ask(provider, prompt=None, messages=chat(part), tools=[remove])
    found = [each.error async for each in result.full_stream if isinstance(each, ToolError)]
    assert len(found) == 1
    assert error in found[0]
    assert removed == []


async def test_a_client_s_own_tool_is_not_made_here() -> None:
    where = tool(None, name="where", input_schema={"type": "object"})
    messages = [Message("user", (TextContent("x"),)), Message("assistant", (ToolCallContent("c", "where", {}),))]
    result = ask(ScriptedProvider(said("Hm.")), prompt=None, messages=messages, tools=[where])
    assert not [part async for part in result.full_stream if isinstance(part, (ToolResult, ToolError))]


async def test_an_allowed_call_can_be_aborted() -> None:
    controller = AbortController()

    async def wait() -> None:
        controller.abort("enough")
        await asyncio.get_running_loop().create_future()

    messages = [Message("user", (TextContent("x"),)), Message("assistant", (ToolCallContent("c", "wait", {}),))]
    more = {"messages": messages, "tools": [wait], "abort_signal": controller.signal}
    result = ask(ScriptedProvider(), prompt=None, **more)
    assert [part async for part in result.full_stream] == [Start(), AbortPart("enough")]


async def resumed(*kept: Part) -> tuple[list[Part], ScriptedProvider]:
    provider = ScriptedProvider(said("Done."))
    model = resolve(provider)
    turn = Turn(model=model, messages=chat(answered("approval-responded", **ALLOWED)), tools={"remove": remove})
    return [part async for part in run_turn(turn, env={}, kept=kept)], provider


def resolve(provider: ScriptedProvider) -> Any:
    return provider.registry().resolve(ModelHandle(provider, "m"), {})


async def test_an_allowed_call_that_may_have_been_made_is_not_made_again() -> None:
    parts, provider = await resumed(Start())
    assert removed == []
    assert isinstance(parts[0], ToolError)
    assert "Whether it had an effect is not known." in parts[0].error
    assert len(provider.requests) == 1


async def test_an_allowed_call_whose_answer_was_kept_is_not_made_again() -> None:
    parts, provider = await resumed(Start(), ToolResult("c", "remove", {"path": "a"}, "a is gone"))
    assert removed == []
    assert parts[0] == StartStep()
    assert provider.requests[0].messages[-1].content == (ToolResultContent("c", "remove", "a is gone"),)


async def test_a_browser_sees_the_question_and_then_the_answer() -> None:
    asked = ask(ScriptedProvider(calls(("c", "remove", '{"path":"a"}'))), tools=[remove])
    text = await asked.to_ui_message_stream_response().text()
    assert '{"type":"tool-approval-request","approvalId":"approval-c","toolCallId":"c"}' in text
    messages = chat(answered("approval-responded", **ALLOWED))
    made = ask(ScriptedProvider(said("Done.")), prompt=None, messages=messages, tools=[remove])
    events = (await made.to_ui_message_stream_response().text()).split("\n\n")
    assert '{"type":"tool-output-available","toolCallId":"c","output":"a is gone"}' in events[1]
    assert '{"type":"start-step"}' in events[2]
