"""The contract of model providers: what every provider does, whoever's models it answers for.

Subclass it next to your provider, with pytest and pytest-asyncio (``asyncio_mode = "auto"``) installed:

    class TestMine(ModelProviderContract):
        vendor = MyVendor()

        def make_provider(self, url, key):
            return MyProvider(base_url=url, api_key=key)

The provider is asked through ``stream_text`` and ``generate_object``, as agents ask it, and answered by a real server
on loopback that speaks the vendor's protocol. Put
``pytest.register_assert_rewrite("edgeagents.testing.model_contract")`` into your ``conftest.py`` to be shown what an
assertion compared.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias

import pytest

from edgeagents.errors import ModelError, NoObjectGeneratedError
from edgeagents.http import AbortController
from edgeagents.models import (
    AbortPart,
    Continues,
    ErrorPart,
    Finish,
    FinishReason,
    GenerateObjectResult,
    ModelHandle,
    ModelProvider,
    ModelRegistry,
    ModelRequest,
    NeedsSetup,
    ReasoningDelta,
    StreamTextResult,
    TextDelta,
    ToolCall,
    ToolChoice,
    ToolInputDelta,
    generate_object,
    stream_text,
)
from edgeagents.models.messages import (
    FileContent,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    output_text,
    read_messages,
)
from edgeagents.testing.clock import ManualClock
from edgeagents.testing.vendor import USAGE, Answer, Calls, Raw, Refusal, Says, Thinks, Vendor, VendorServer, says

__all__ = ["Lack", "ModelProviderContract"]

Lack: TypeAlias = Literal[
    "reasoning", "reasoning tokens", "temperature", "stop sequences", "provider options", "headers", "a key", "files"
]
"""What a vendor's protocol, or its client, has no word for. The tests of it are skipped and say so."""

KEY = "sk-contract-0123456789"
IMAGE = "data:image/png;base64,iVBORw=="
PDF = "data:application/pdf;base64,JVBERg=="
PATIENCE = 10


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@dataclass
class Weather:
    city: str
    degrees: list[float]


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until ``condition`` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


class ModelProviderContract:
    """Tests that a model provider must pass.

    ``option`` is a provider option and its value that reach the request's body as they are; ``setting`` the variable
    that a provider without a key asks for, or None when it asks for none. ``retold`` are statuses that the vendor's
    package tells as others.
    """

    vendor: ClassVar[Vendor]
    model: ClassVar[str] = "m"
    wire_model: ClassVar[str] = "m"
    lacks: ClassVar[frozenset[Lack]] = frozenset()
    option: ClassVar[tuple[str, Any]] = ("metadata", {"user_id": "u1"})
    setting: ClassVar[str | None] = None
    retold: ClassVar[Mapping[int, int]] = {}

    @abstractmethod
    def make_provider(self, url: str, key: str) -> ModelProvider:
        """Return a provider that asks the server at ``url`` with ``key``. It must not retry by itself."""
        raise NotImplementedError

    def make_unset_provider(self) -> ModelProvider:
        """Return a provider that was given neither server nor key."""
        return self.make_provider("", "")

    @pytest.fixture
    async def server(self) -> AsyncGenerator[VendorServer, None]:
        async with VendorServer(self.vendor) as server:
            yield server

    @pytest.fixture
    async def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    async def ask(self, server: VendorServer, clock: ManualClock) -> Callable[..., StreamTextResult]:
        def ask(**more: Any) -> StreamTextResult:
            model = ModelHandle(self.make_provider(server.url, KEY), self.model)
            models = ModelRegistry(clock=clock)
            settings: dict[str, Any] = {
                "model": model,
                "models": models,
                "max_retries": 0,
                "on_error": lambda part: None,
            }
            if "messages" not in more:
                settings["prompt"] = "hi"
            return stream_text(**{**settings, **more})

        return ask

    @pytest.fixture
    async def ask_for(self, server: VendorServer) -> Callable[..., Awaitable[GenerateObjectResult[Any]]]:
        async def ask_for(schema: Any, **more: Any) -> GenerateObjectResult[Any]:
            model = ModelHandle(self.make_provider(server.url, KEY), self.model)
            return await generate_object(model=model, schema=schema, prompt="hi", max_retries=0, **more)

        return ask_for

    def needs(self, *features: Lack) -> None:
        """Skip the test when the vendor has no word for one of these."""
        for feature in features:
            if feature in self.lacks:
                pytest.skip(f"{type(self.vendor).__name__} has no {feature}")

    # What the model says

    async def test_text_comes_as_it_is_made(self, server: VendorServer, ask: Callable[..., StreamTextResult]) -> None:
        server.answers = [says("Hé", "llo", " 😀")]
        result = ask()
        assert [text async for text in result.text_stream] == ["Hé", "llo", " 😀"]
        assert await result.text == "Héllo 😀"
        (asked,) = server.asked
        assert asked.model == self.wire_model
        assert [message.text for message in asked.messages] == ["hi"]

    async def test_reasoning_is_told_apart_from_text(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        self.needs("reasoning")
        server.answers = [Answer(blocks=(Thinks(("h", "m")), Says(("x",))))]
        result = ask()
        parts = [part async for part in result.full_stream]
        assert [part.text for part in parts if isinstance(part, ReasoningDelta)] == ["h", "m"]
        assert (await result.reasoning_text, await result.text) == ("hm", "x")

    async def test_what_was_used_is_counted(self, server: VendorServer, ask: Callable[..., StreamTextResult]) -> None:
        server.answers = [says("x")]
        used = await ask().usage
        if "reasoning tokens" in self.lacks:
            used = replace(used, reasoning_tokens=USAGE.reasoning_tokens)
        assert used == USAGE

    @pytest.mark.parametrize("reason", ["stop", "length", "content-filter"])
    async def test_it_says_why_the_model_ended(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], reason: FinishReason
    ) -> None:
        server.answers = [Answer(blocks=(Says(("x",)),), reason=reason)]
        result = ask()
        assert await result.finish_reason == reason
        assert await result.text == "x"

    # Tools

    async def test_a_tool_call_is_streamed_and_read(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        server.answers = [Answer(blocks=(Calls("call_1", "add", ('{"a": 1,', ' "b": 2}')),), reason="tool-calls")]
        result = ask(tools=[add])
        parts = [part async for part in result.full_stream]
        deltas = [part for part in parts if isinstance(part, ToolInputDelta)]
        assert "".join(part.delta for part in deltas) == '{"a": 1, "b": 2}'
        assert {part.tool_call_id for part in deltas} == {"call_1"}
        (call,) = await result.tool_calls
        assert (call.tool_call_id, call.tool_name, call.input) == ("call_1", "add", {"a": 1, "b": 2})
        assert [each.output for each in await result.tool_results] == [3]
        assert await result.finish_reason == "tool-calls"

    async def test_a_tool_is_shown_as_it_is(self, server: VendorServer, ask: Callable[..., StreamTextResult]) -> None:
        server.answers = [says("x")]
        await ask(tools=[add]).consume_stream()
        (tool,) = server.asked[0].tools
        assert (tool.name, tool.description) == ("add", "Add two numbers.")
        assert tool.input_schema["properties"] == {"a": {"type": "integer"}, "b": {"type": "integer"}}
        assert tool.input_schema["required"] == ["a", "b"]

    async def test_an_input_that_is_no_json_is_told_to_the_model(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        broken = Answer(blocks=(Calls("call_1", "add", ('{"a": 1,',)),), reason="tool-calls")
        server.answers = [broken, says("Sorry.")]
        result = ask(tools=[add], max_steps=2)
        assert await result.text == "Sorry."
        (call,) = (await result.steps)[0].tool_calls
        assert call.input == '{"a": 1,'
        assert "not JSON" in (call.error or "")
        (answer,) = _results(server.asked[1].messages[-1].content)
        assert "JSON" in output_text(answer.output)

    async def test_calls_of_one_answer_are_told_apart(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        first, second = Calls("call_1", "add", ('{"a": 1,', '"b": 2}')), Calls("call_2", "add", ('{"a": 3,', '"b": 4}'))
        server.answers = [Answer(blocks=(Says(("Adding.",)), first, second), reason="tool-calls"), says("3 and 7")]
        result = ask(tools=[add], max_steps=2)
        assert await result.text == "3 and 7"
        said, answered = server.asked[1].messages[-2:]
        calls = [part for part in said.content if isinstance(part, ToolCallContent)]
        assert [(call.tool_call_id, call.input) for call in calls] == [
            ("call_1", {"a": 1, "b": 2}),
            ("call_2", {"a": 3, "b": 4}),
        ]
        assert said.text == "Adding."
        assert [(each.tool_call_id, output_text(each.output)) for each in _results(answered.content)] == [
            ("call_1", "3"),
            ("call_2", "7"),
        ]

    async def test_what_a_tool_answered_is_sent_back(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        server.answers = [
            Answer(blocks=(Calls("call_1", "add", ('{"a": 1, "b": 2}',)),), reason="tool-calls"),
            says("Three."),
        ]
        result = ask(tools=[add], max_steps=2)
        assert await result.text == "Three."
        assert [step.finish_reason for step in await result.steps] == ["tool-calls", "stop"]
        assert (await result.total_usage).input_tokens == 10
        question, said, answered = server.asked[1].messages
        assert (question.role, said.role, answered.role) == ("user", "assistant", "tool")
        assert [part for part in said.content if not isinstance(part, ReasoningContent)] == [
            ToolCallContent("call_1", "add", {"a": 1, "b": 2})
        ]
        (answer,) = _results(answered.content)
        assert (answer.tool_call_id, output_text(answer.output)) == ("call_1", "3")

    @pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "tool", "tool_name": "add"}], ids=str)
    async def test_the_choice_of_a_tool_is_sent(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], choice: ToolChoice
    ) -> None:
        server.answers = [says("x")]
        await ask(tools=[add], tool_choice=choice).consume_stream()
        (asked,) = server.asked
        if choice == "none" and not asked.tools:
            return  # A model that is shown no tool cannot choose one either.
        meant = asked.tool_choice or "auto"
        # The only tool that is shown is chosen by insisting on any.
        assert meant == choice or (isinstance(choice, dict) and meant == "required")

    # Objects

    async def test_an_object_is_asked_for_and_read(
        self, server: VendorServer, ask_for: Callable[..., Awaitable[GenerateObjectResult[Any]]]
    ) -> None:
        server.answers = [_object('{"city": "Bern",', ' "degrees": [1, 2.5]}')]
        result = await ask_for(Weather, schema_name="weather", schema_description="What it is like.")
        assert result.object == Weather("Bern", [1.0, 2.5])
        assert result.finish_reason == "stop"
        (asked,) = server.asked
        assert [message.text for message in asked.messages] == ["hi"]
        (tool,) = asked.tools
        assert (tool.name, tool.description) == ("weather", "What it is like.")
        assert tool.input_schema["properties"] == {
            "city": {"type": "string"},
            "degrees": {"type": "array", "items": {"type": "number"}},
        }
        assert tool.input_schema["required"] == ["city", "degrees"]
        # The only tool that is shown is chosen by insisting on any.
        assert asked.tool_choice in ("required", {"type": "tool", "tool_name": "weather"})

    async def test_a_schema_of_ones_own_reaches_the_model(
        self, server: VendorServer, ask_for: Callable[..., Awaitable[GenerateObjectResult[Any]]]
    ) -> None:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        server.answers = [_object('{"city": "Bern"}')]
        assert (await ask_for(schema, schema_name="weather")).object == {"city": "Bern"}
        shown = server.asked[0].tools[0].input_schema
        assert {word: shown[word] for word in schema} == schema

    async def test_an_object_that_was_said_as_text_is_read(
        self, server: VendorServer, ask_for: Callable[..., Awaitable[GenerateObjectResult[Any]]]
    ) -> None:
        server.answers = [says('{"city": "Bern",', ' "degrees": []}')]
        assert (await ask_for(Weather)).object == Weather("Bern", [])

    async def test_another_object_is_an_error(
        self, server: VendorServer, ask_for: Callable[..., Awaitable[GenerateObjectResult[Any]]]
    ) -> None:
        server.answers = [_object('{"city"', ": 1}")]
        with pytest.raises(NoObjectGeneratedError, match=r"degrees is missing; answer\.city must be") as raised:
            await ask_for(Weather, schema_name="weather")
        assert raised.value.text == '{"city": 1}'
        assert len(server.received) == 1

    async def test_a_refusal_of_an_object_is_the_models_error(
        self, server: VendorServer, ask_for: Callable[..., Awaitable[GenerateObjectResult[Any]]]
    ) -> None:
        server.answers = [Refusal(400)]
        with pytest.raises(ModelError, match="no such luck") as raised:
            await ask_for(Weather)
        assert not isinstance(raised.value, NoObjectGeneratedError)

    # What is asked

    async def test_settings_are_sent(self, server: VendorServer, ask: Callable[..., StreamTextResult]) -> None:
        server.answers = [says("x")]
        settings: dict[str, Any] = {"system": "be brief", "max_output_tokens": 99}
        if "temperature" not in self.lacks:
            settings["temperature"] = 0.5
        if "stop sequences" not in self.lacks:
            settings["stop_sequences"] = ["END"]
        await ask(**settings).consume_stream()
        (asked,) = server.asked
        assert (asked.system, asked.max_output_tokens) == ("be brief", 99)
        assert asked.temperature == settings.get("temperature")
        assert asked.stop_sequences == tuple(settings.get("stop_sequences", ()))
        assert asked.key == ("" if "a key" in self.lacks else KEY)

    async def test_images_and_files_are_sent(self, server: VendorServer, ask: Callable[..., StreamTextResult]) -> None:
        self.needs("files")
        server.answers = [says("x")]
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "image": IMAGE},
            {"type": "file", "data": PDF, "filename": "a.pdf"},
        ]
        await ask(messages=[{"role": "user", "content": content}]).consume_stream()
        (message,) = server.asked[0].messages
        assert message.text == "What is this?"
        files = [part for part in message.content if isinstance(part, FileContent)]
        assert [(file.url, file.media_type) for file in files] == [(IMAGE, "image/png"), (PDF, "application/pdf")]

    async def test_a_conversation_is_sent_in_its_order(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        server.answers = [says("x")]
        turns = [("user", "one"), ("assistant", "two"), ("user", "three")]
        await ask(messages=[{"role": role, "content": text} for role, text in turns]).consume_stream()
        assert [(message.role, message.text) for message in server.asked[0].messages] == turns

    async def test_provider_options_reach_the_request(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        self.needs("provider options")
        server.answers = [says("x")]
        name, value = self.option
        vendor = self.make_provider("http://127.0.0.1:1/v1", KEY).name.split(".", 1)[0]
        await ask(provider_options={vendor: {name: value}, "other": {"stray": 1}}).consume_stream()
        body = server.received[0].body
        assert body[name] == value
        assert "stray" not in body

    async def test_headers_reach_the_request(self, server: VendorServer, ask: Callable[..., StreamTextResult]) -> None:
        self.needs("headers")
        server.answers = [says("x")]
        await ask(headers={"x-mine": "1"}).consume_stream()
        assert server.received[0].headers["x-mine"] == "1"

    async def test_an_interrupted_answer_is_carried_on(self, server: VendorServer) -> None:
        provider = self.make_provider(server.url, KEY)
        if not (isinstance(provider, Continues) and provider.continues):
            pytest.skip("this provider does not carry on an interrupted answer")
        server.answers = [says("lo")]
        request = ModelRequest(model=self.model, messages=read_messages("hi"), prefix="Hel")
        parts = [part async for part in provider.stream(request, env={}, signal=None)]
        assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == "lo"
        said = [message.text for message in server.asked[0].messages if message.role == "assistant"]
        assert said == ["Hel"]

    # What goes wrong

    @pytest.mark.parametrize("ending", ["cut", "silent", "error"])
    async def test_half_an_answer_is_not_taken_for_a_whole_one(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], ending: Literal["cut", "silent", "error"]
    ) -> None:
        server.answers = [says("Hel", "lo", ending=ending)]
        result = ask()
        parts = [part async for part in result.full_stream]
        assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == "Hello"
        assert isinstance(parts[-1], ErrorPart)
        assert parts[-1].retryable
        assert not any(isinstance(part, Finish) for part in parts)
        with pytest.raises(ModelError):
            await result.text

    @pytest.mark.parametrize("ending", ["cut", "silent", "error"])
    async def test_half_a_tool_call_is_not_made(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], ending: Literal["cut", "silent", "error"]
    ) -> None:
        server.answers = [Answer(blocks=(Calls("call_1", "add", ('{"a": 1,',)),), reason="tool-calls", ending=ending)]
        called: list[int] = []
        result = ask(tools={"add": lambda a, b=0: called.append(a)})
        parts = [part async for part in result.full_stream]
        assert isinstance(parts[-1], ErrorPart)
        assert not any(isinstance(part, ToolCall) and part.error is None for part in parts)
        assert called == []

    @pytest.mark.parametrize(
        "body",
        [b"data: {no json\n\n", b"event: nonsense\ndata: [1, 2]\n\n", b"<html>Bad gateway</html>", b""],
        ids=["broken JSON", "nonsense", "HTML", "nothing"],
    )
    async def test_a_stream_that_cannot_be_read_is_an_error(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], body: bytes
    ) -> None:
        server.answers = [Raw(body)]
        parts = [part async for part in ask().full_stream]
        assert isinstance(parts[-1], ErrorPart)
        assert parts[-1].message
        assert not any(isinstance(part, Finish) for part in parts)

    async def test_a_busy_server_is_asked_again_when_it_says(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], clock: ManualClock
    ) -> None:
        server.answers = [Refusal(429, "slow down", {"retry-after": "7"}), says("x")]
        result = ask(max_retries=1)
        reading = asyncio.create_task(result.consume_stream())
        await until(lambda: clock.next_timer is not None)
        assert clock.next_timer == 7
        assert len(server.received) == 1
        await clock.advance(7)
        await asyncio.wait_for(reading, PATIENCE)
        assert await result.text == "x"
        assert len(server.received) == 2

    @pytest.mark.parametrize(
        ("status", "retryable"),
        [(400, False), (401, False), (403, False), (404, False), (429, True), (500, True), (503, True), (529, True)],
    )
    async def test_a_refusal_has_its_status_and_says_whether_to_ask_again(
        self, server: VendorServer, ask: Callable[..., StreamTextResult], status: int, retryable: bool
    ) -> None:
        server.answers = [Refusal(status, headers={"retry-after": "5"})]
        with pytest.raises(ModelError, match="no such luck") as raised:
            await ask().text
        error = raised.value
        assert error.status == self.retold.get(status, status)
        assert (error.retryable, error.retry_after) == (retryable, 5)
        assert len(server.received) == 1

    async def test_a_refused_key_is_not_repeated(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        server.answers = [Refusal(401, f"The key {KEY} is not known.")]
        (*_, last) = [part async for part in ask().full_stream]
        assert isinstance(last, ErrorPart)
        assert "is not known" in last.message
        assert KEY not in last.message

    async def test_a_server_that_is_not_there_is_an_error(self) -> None:
        model = ModelHandle(self.make_provider(f"http://127.0.0.1:1{self.vendor.root}", KEY), self.model)
        result = stream_text(model=model, prompt="hi", max_retries=0, on_error=lambda part: None)
        with pytest.raises(ModelError) as raised:
            await result.text
        assert raised.value.retryable
        assert KEY not in str(raised.value)

    async def test_an_abort_closes_the_connection(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        server.answers = [says("Hel", ending="open")]
        controller = AbortController()
        result = ask(abort_signal=controller.signal)
        async for _ in result.text_stream:
            controller.abort("enough")
        await asyncio.wait_for(server.left.wait(), PATIENCE)
        assert [part async for part in result.full_stream][-1] == AbortPart("enough")

    async def test_a_client_that_leaves_closes_the_connection(
        self, server: VendorServer, ask: Callable[..., StreamTextResult]
    ) -> None:
        server.answers = [says("Hel", ending="open")]
        chunks = ask().to_text_stream_response().stream()
        assert await anext(chunks) == b"Hel"
        await _close(chunks)
        await asyncio.wait_for(server.left.wait(), PATIENCE)

    async def test_without_a_key_it_says_what_to_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        provider = self.make_unset_provider()
        if self.setting is None:
            assert not isinstance(provider, NeedsSetup) or provider.missing({}) is None
            return
        monkeypatch.delenv(self.setting, raising=False)
        assert isinstance(provider, NeedsSetup)
        assert self.setting in (provider.missing({}) or "")
        assert provider.missing({self.setting: KEY}) is None
        assert self.setting in (provider.missing({self.setting: "  "}) or "")
        monkeypatch.setenv(self.setting, KEY)
        assert provider.missing({}) is None


def _object(*pieces: str) -> Answer:
    return Answer(blocks=(Calls("call_1", "weather", pieces),), reason="tool-calls")


def _results(content: tuple[TextContent | Any, ...]) -> list[ToolResultContent]:
    return [part for part in content if isinstance(part, ToolResultContent)]


async def _close(chunks: Any) -> None:
    await chunks.aclose()
