from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from edgeagents.errors import ModelError
from edgeagents.http import AbortController, EventStreamParser
from edgeagents.models import (
    AbortPart,
    ErrorPart,
    FinishStep,
    ModelHandle,
    ModelRegistry,
    ReasoningDelta,
    ReasoningEnd,
    SourcePart,
    StreamTextResult,
    TextDelta,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    has_tool_call,
    step_count_is,
    stream_text,
    tool,
    tool_call,
)
from edgeagents.models.asking import retry_delay
from edgeagents.models.messages import ReasoningContent, TextContent, ToolCallContent
from tests.models.fakes import HandClock, ScriptedProvider, said, settle

pytestmark = pytest.mark.cloudflare("Models", "`streamText`, text and UI message streams", "same")


def ask(provider: ScriptedProvider, **more: Any) -> StreamTextResult:
    return stream_text(**{"model": ModelHandle(provider, "m"), "prompt": "hi", **more})


def calls(*named: tuple[str, str, str]) -> list[Any]:
    return [*(tool_call(*each) for each in named), FinishStep("tool-calls", Usage(1, 1, 2))]


def add(a: int, b: int) -> int:
    return a + b


async def test_an_answer_can_be_read_in_many_ways() -> None:
    result = ask(ScriptedProvider([ReasoningDelta("r", "hm"), *said("Hel", "lo")]))
    assert [text async for text in result.text_stream] == ["Hel", "lo"]
    assert await result.text == "Hello"
    assert await result.reasoning_text == "hm"
    assert await result.usage == Usage(1, 2, 3)
    assert await result.finish_reason == "stop"
    assert [step.text for step in await result.steps] == ["Hello"]
    names = [type(part).__name__ async for part in result.full_stream]
    assert names == [
        "Start",
        "StartStep",
        "ReasoningStart",
        "ReasoningDelta",
        "TextStart",
        "TextDelta",
        "TextDelta",
        "TextEnd",
        "ReasoningEnd",
        "FinishStep",
        "Finish",
    ]


async def test_the_provider_is_asked_once_however_many_read() -> None:
    provider = ScriptedProvider(said("x"))
    result = ask(provider)
    assert await asyncio.gather(result.text, result.text, result.consume_stream()) == ["x", "x", None]
    assert len(provider.requests) == 1


async def test_settings_reach_the_provider() -> None:
    provider = ScriptedProvider(said("x"))
    result = ask(
        provider,
        system="be brief",
        temperature=0.5,
        max_output_tokens=9,
        seed=3,
        headers={"x-a": "b"},
        provider_options={"scripted": {"effort": "low"}, "other": {"x": 1}},
    )
    await result.consume_stream()
    (request,) = provider.requests
    assert (request.model, request.temperature, request.max_output_tokens, request.seed) == ("m", 0.5, 9, 3)
    assert (request.headers, request.provider_options) == ({"x-a": "b"}, {"effort": "low"})
    assert [message.role for message in request.messages] == ["system", "user"]


async def test_by_default_tools_run_and_the_model_is_not_asked_again() -> None:
    provider = ScriptedProvider(calls(("c", "add", '{"a": 1, "b": 2}')))
    result = ask(provider, tools=[add])
    assert [each.output for each in await result.tool_results] == [3]
    assert await result.finish_reason == "tool-calls"


async def test_with_more_steps_the_model_sees_what_its_tools_answered() -> None:
    provider = ScriptedProvider(calls(("c", "add", '{"a": 1, "b": 2}')), said("Three."))
    result = ask(provider, tools=[add], stop_when=step_count_is(5))
    assert await result.text == "Three."
    assert [message.role for message in provider.requests[1].messages] == ["user", "assistant", "tool"]
    assert (await result.total_usage).total_tokens == 4
    assert [definition.name for definition in provider.requests[0].tools] == ["add"]


async def test_steps_end_where_they_are_told_to() -> None:
    provider = ScriptedProvider(*[calls(("c", "add", '{"a": 1, "b": 2}'))] * 3)
    assert len(await ask(provider, tools=[add], max_steps=3).steps) == 3
    provider = ScriptedProvider(calls(("c", "add", '{"a": 1, "b": 2}')))
    assert len(await ask(provider, tools=[add], stop_when=[step_count_is(9), has_tool_call("add")]).steps) == 1


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (("c", "add", '{"a": 1}'), "input.b is missing"),
        (("c", "add", '{"a": 1, "b": "x"}'), "input.b must be a whole number, not 'x'"),
        (("c", "add", '{"a": 1'), "not JSON"),
        (("c", "sub", "{}"), "There is no tool 'sub'. Available: add."),
    ],
    ids=["missing", "wrong type", "no json", "unknown"],
)
async def test_a_call_that_cannot_be_made_is_told_to_the_model(call: tuple[str, str, str], problem: str) -> None:
    provider = ScriptedProvider(calls(call), said("Sorry."))
    result = ask(provider, tools=[add], max_steps=2)
    parts = [part async for part in result.full_stream]
    errors = [part.error for part in parts if isinstance(part, ToolCall | ToolError)]
    assert len(errors) == 2
    assert all(problem in str(error) for error in errors)
    (answer,) = provider.requests[1].messages[-1].content
    assert answer.is_error  # type: ignore[union-attr]


async def test_a_tool_that_raises_is_told_to_the_model(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("no disk")

    provider = ScriptedProvider(calls(("c", "fail", "{}")), said("Sorry."))
    result = ask(provider, tools=[fail], max_steps=2)
    assert await result.text == "Sorry."
    assert provider.requests[1].messages[-1].content[0].output == "RuntimeError: no disk"  # type: ignore[union-attr]
    assert "no disk" in caplog.text


async def test_tools_of_one_step_run_side_by_side_and_answer_in_the_order_of_the_calls() -> None:
    second_ran = asyncio.Event()

    async def first() -> str:
        await second_ran.wait()
        return "1"

    async def second() -> str:
        second_ran.set()
        return "2"

    provider = ScriptedProvider(calls(("c1", "first", "{}"), ("c2", "second", "{}")), said("x"))
    result = ask(provider, tools=[first, second], max_steps=2)
    parts = [part async for part in result.full_stream]
    assert {part.tool_name for part in parts if isinstance(part, ToolResult)} == {"first", "second"}
    assert [each.output for each in provider.requests[1].messages[-1].content] == ["1", "2"]  # type: ignore[union-attr]


async def test_a_tool_without_a_function_ends_the_turn() -> None:
    ask_user = tool(None, name="ask_user", input_schema={"type": "object"})
    provider = ScriptedProvider(calls(("c", "ask_user", "{}")))
    result = ask(provider, tools=[ask_user], max_steps=5)
    assert [call.tool_name for call in await result.tool_calls] == ["ask_user"]
    assert await result.tool_results == []


async def test_an_error_is_a_part_and_is_raised_by_what_is_awaited(caplog: pytest.LogCaptureFixture) -> None:
    result = ask(ScriptedProvider([TextDelta("t", "Hel"), ModelError("overloaded", status=529, retryable=True)]))
    parts = [part async for part in result.full_stream]
    assert parts[-1] == ErrorPart("overloaded", 529, True)
    with pytest.raises(ModelError, match="overloaded") as raised:
        await result.text
    assert (raised.value.status, raised.value.retryable) == (529, True)
    assert await result.finish_reason == "error"
    assert [text async for text in result.text_stream] == ["Hel"]
    assert "overloaded" in caplog.text


async def test_a_call_that_fails_before_it_says_anything_is_made_again() -> None:
    clock = HandClock()
    busy = ModelError("slow down", status=429, retryable=True, retry_after=7.5)
    provider = ScriptedProvider([busy], [ModelError("overloaded", status=529, retryable=True)], said("x"))
    result = ask(provider, models=ModelRegistry(clock=clock))
    reading = asyncio.create_task(result.consume_stream())
    await clock.advance(7.4)
    assert len(provider.requests) == 1
    await clock.advance(0.1)
    assert len(provider.requests) == 2
    await clock.advance(4)
    await reading
    assert await result.text == "x"
    assert provider.closed == 3


async def test_a_call_that_keeps_failing_is_given_up() -> None:
    clock = HandClock()
    provider = ScriptedProvider(*[[ModelError("overloaded", status=529, retryable=True, retry_after=1)]] * 4)
    result = ask(provider, models=ModelRegistry(clock=clock), max_retries=1, on_error=lambda part: None)
    reading = asyncio.create_task(result.consume_stream())
    await clock.advance(60)
    await reading
    with pytest.raises(ModelError, match="overloaded") as raised:
        await result.text
    assert (raised.value.status, raised.value.retryable, raised.value.retry_after) == (529, True, 1)
    assert len(provider.requests) == 2


async def test_an_abort_ends_the_wait_for_another_try() -> None:
    clock = HandClock()
    provider = ScriptedProvider([ModelError("overloaded", retryable=True)])
    controller = AbortController()
    result = ask(provider, models=ModelRegistry(clock=clock), abort_signal=controller.signal)
    reading = asyncio.create_task(result.consume_stream())
    await settle()
    assert clock.waits
    controller.abort("enough")
    await reading
    assert [part async for part in result.full_stream][-1] == AbortPart("enough")
    assert not clock.waits


@pytest.mark.parametrize(
    ("error", "failures", "delay"),
    [
        (ModelError("x", retryable=True), 1, 2),
        (ModelError("x", retryable=True), 2, 4),
        (ModelError("x", retryable=True), 9, 60),
        (ModelError("x", retryable=True, retry_after=0), 1, 0),
        (ModelError("x", retryable=True, retry_after=61), 1, None),
        (ModelError("x", retryable=False, retry_after=1), 1, None),
    ],
)
def test_what_the_provider_says_of_when_to_ask_again_goes_first(
    error: ModelError, failures: int, delay: float | None
) -> None:
    assert retry_delay(error, failures) == delay


async def test_the_next_step_is_told_what_was_said_in_its_order_and_with_its_signatures() -> None:
    hidden, signed = {"vendor": {"redacted": "x"}}, {"vendor": {"signature": "s"}}
    script = [
        ReasoningEnd("r1", hidden),
        ReasoningDelta("r2", "h"),
        ReasoningDelta("r2", "m"),
        ReasoningEnd("r2", signed),
        TextDelta("t", "So: "),
        TextDelta("t", "adding."),
        *calls(("c", "add", '{"a": 1, "b": 2}')),
    ]
    provider = ScriptedProvider(script, said("3"))
    result = ask(provider, tools=[add], max_steps=2)
    assert await result.text == "3"
    assert provider.requests[1].messages[1].content == (
        ReasoningContent("", hidden),
        ReasoningContent("hm", signed),
        TextContent("So: adding."),
        ToolCallContent("c", "add", {"a": 1, "b": 2}),
    )


async def test_an_answer_without_an_end_is_an_error() -> None:
    parts = [part async for part in ask(ScriptedProvider([TextDelta("t", "Hel")]), on_error=print).full_stream]
    assert isinstance(parts[-1], ErrorPart)
    assert "broke off" in parts[-1].message


async def test_an_abort_ends_the_call_and_is_a_part() -> None:
    provider = ScriptedProvider([TextDelta("t", "Hel"), asyncio.get_running_loop().create_future()])
    controller = AbortController()
    aborted: list[Any] = []
    result = ask(provider, abort_signal=controller.signal, on_abort=aborted.append)
    reading = asyncio.create_task(result.consume_stream())
    await settle()
    controller.abort("enough")
    await reading
    assert [part async for part in result.full_stream][-1] == AbortPart("enough")
    assert await result.text == "Hel"
    assert provider.closed == 1
    assert len(aborted) == 1


async def test_an_abort_cancels_a_tool() -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    controller = AbortController()
    result = ask(ScriptedProvider(calls(("c", "wait", "{}"))), tools=[wait], abort_signal=controller.signal)
    reading = asyncio.create_task(result.consume_stream())
    await settle()
    controller.abort()
    await reading
    await cancelled.wait()


async def test_callbacks_are_told_and_cannot_break_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    async def on_chunk(part: Any) -> None:
        told.append(type(part).__name__)
        raise RuntimeError("my fault")

    result = ask(
        ScriptedProvider(said("x")),
        on_chunk=on_chunk,
        on_step_finish=lambda step: told.append(step.text),
        on_finish=lambda event: told.append(f"{event.text} {event.finish_reason}"),
    )
    assert await result.text == "x"
    assert told == ["TextDelta", "x", "x stop"]
    assert "my fault" in caplog.text


@pytest.mark.parametrize(
    "given",
    [{"stop_when": step_count_is(2), "max_steps": 2}, {"max_steps": 0}, {"prompt": None}],
    ids=["both", "no step", "no prompt"],
)
async def test_arguments_that_make_no_sense_are_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ask(ScriptedProvider(), **given)


# Responses


async def test_a_text_response_is_the_text() -> None:
    response = ask(ScriptedProvider(said("Hé", "llo"))).to_text_stream_response()
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert [chunk async for chunk in response.stream()] == ["Hé".encode(), b"llo"]


async def test_headers_of_the_program_go_first() -> None:
    headers = {"Content-Type": "text/x-unknown", "content-encoding": "identity", "transfer-encoding": "chunked"}
    response = ask(ScriptedProvider(said("x"))).to_text_stream_response(headers=headers, status=201)
    assert response.status == 201
    assert dict(response.headers.items()) == headers


async def test_a_text_response_is_broken_off_by_an_error() -> None:
    result = ask(ScriptedProvider([TextDelta("t", "Hel"), ModelError("down")]), on_error=lambda part: None)
    chunks = result.to_text_stream_response().stream()
    assert await anext(chunks) == b"Hel"
    with pytest.raises(ModelError, match="down"):
        await anext(chunks)


async def events_of(result: StreamTextResult, **options: Any) -> list[str | None]:
    body = await result.to_ui_message_stream_response(**options).bytes()
    return [event.data for event in EventStreamParser().feed(body)]


async def test_a_ui_response_is_what_use_chat_reads() -> None:
    response = ask(ScriptedProvider(said("Hé"))).to_ui_message_stream_response(message_id="m1")
    assert dict(response.headers.items()) == {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "connection": "keep-alive",
        "x-vercel-ai-ui-message-stream": "v1",
        "x-accel-buffering": "no",
    }
    assert (await response.text()).split("\n\n") == [
        'id: 0\ndata: {"type":"start","messageId":"m1"}',
        'id: 1\ndata: {"type":"start-step"}',
        'id: 2\ndata: {"type":"text-start","id":"txt-0"}',
        'id: 3\ndata: {"type":"text-delta","id":"txt-0","delta":"Hé"}',
        'id: 4\ndata: {"type":"text-end","id":"txt-0"}',
        'id: 5\ndata: {"type":"finish-step"}',
        'id: 6\ndata: {"type":"finish","finishReason":"stop"}',
        "data: [DONE]",
        "",
    ]


async def test_tools_reasoning_and_sources_on_the_wire() -> None:
    script = [
        ReasoningDelta("r", "hm"),
        SourcePart("s", url="https://example.com/"),
        ToolInputStart("c", "add"),
        ToolInputDelta("c", '{"a": 1, "b": 2}'),
        *calls(("c", "add", '{"a": 1, "b": 2}')),
    ]
    found = await events_of(ask(ScriptedProvider(script), tools=[add]), send_sources=True)
    assert found[2:-3] == [
        '{"type":"reasoning-start","id":"rsn-0"}',
        '{"type":"reasoning-delta","id":"rsn-0","delta":"hm"}',
        '{"type":"source-url","sourceId":"s","url":"https://example.com/"}',
        '{"type":"tool-input-start","toolCallId":"c","toolName":"add"}',
        '{"type":"tool-input-delta","toolCallId":"c","inputTextDelta":"{\\"a\\": 1, \\"b\\": 2}"}',
        '{"type":"tool-input-available","toolCallId":"c","toolName":"add","input":{"a":1,"b":2}}',
        '{"type":"reasoning-end","id":"rsn-0"}',
        '{"type":"tool-output-available","toolCallId":"c","output":3}',
    ]
    assert found[-2:] == ['{"type":"finish","finishReason":"tool-calls"}', "[DONE]"]
    hidden = await events_of(ask(ScriptedProvider(script), tools=[add]), send_reasoning=False)
    assert not any("reasoning" in str(data) or "source" in str(data) for data in hidden)


async def test_a_call_that_waits_for_leave_ends_the_turn_and_is_shown() -> None:
    ask_leave = tool(None, name="remove", input_schema={"type": "object"})
    script = [ToolCall("c", "remove", {}), ToolApprovalRequest("a", "c"), FinishStep("tool-calls")]
    result = ask(ScriptedProvider(script), tools=[ask_leave], max_steps=5)
    found = await events_of(result)
    assert '{"type":"tool-approval-request","approvalId":"a","toolCallId":"c"}' in found
    assert [each.approval_requests for each in await result.steps] == [[ToolApprovalRequest("a", "c")]]


async def test_errors_are_masked_on_the_wire_unless_the_program_says_otherwise() -> None:
    def failing() -> StreamTextResult:
        return ask(ScriptedProvider([ModelError("key sk-123 is wrong")]), on_error=lambda part: None)

    assert '{"type":"error","errorText":"An error occurred."}' in await events_of(failing())
    assert '{"type":"error","errorText":"ModelError?"}' in await events_of(
        failing(), on_error=lambda part: "ModelError?"
    )


async def test_a_client_that_leaves_ends_the_call(caplog: pytest.LogCaptureFixture) -> None:
    provider = ScriptedProvider([TextDelta("t", "Hel"), asyncio.get_running_loop().create_future()])
    chunks = ask(provider).to_text_stream_response().stream()
    assert await anext(chunks) == b"Hel"
    await chunks.aclose()  # type: ignore[attr-defined]
    await settle()
    assert provider.closed == 1


async def test_a_client_that_leaves_does_not_end_what_another_reads() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    result = ask(ScriptedProvider([TextDelta("t", "Hel"), gate, *said("lo")]))
    whole = asyncio.create_task(result.consume_stream())
    chunks = result.to_text_stream_response().stream()
    assert await anext(chunks) == b"Hel"
    await chunks.aclose()  # type: ignore[attr-defined]
    gate.set_result(None)
    await whole
    assert await result.text == "Hello"


async def test_a_debug_log_is_silent_about_a_good_stream(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="edgeagents"):
        await ask(ScriptedProvider(said("x"))).consume_stream()
    assert caplog.records == []
