"""What is OpenAI's own: the bytes on the wire, and which server is asked with which key."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from edgeagents_openai import OpenAIProvider, create_openai, openai
from edgeagents_openai.plugin import register_model_providers

from edgeagents.errors import ModelError
from edgeagents.models import (
    ModelRegistry,
    ModelRequest,
    SourcePart,
    StreamTextResult,
    TextDelta,
    ToolInputDelta,
    Usage,
    stream_text,
)
from edgeagents.models.messages import read_messages

_spec = importlib.util.spec_from_file_location("fake_openai", Path(__file__).parent / "fake_openai.py")
assert _spec is not None
assert _spec.loader is not None
fake = importlib.util.module_from_spec(_spec)
sys.modules["fake_openai"] = fake
_spec.loader.exec_module(fake)

USAGE = Usage(5, 7, 12, reasoning_tokens=2, cached_input_tokens=1)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncGenerator[Any, None]:
    async with fake.fake_openai() as found:
        yield found


def ask(server: Any, api: str, **more: Any) -> StreamTextResult:
    maker = create_openai(api_key="sk-test", base_url=server.url)
    model = maker.chat("gpt-4o") if api == "chat" else maker.responses("gpt-4o")
    return stream_text(**{"model": model, "prompt": "hi", **more})


def says(api: str, *texts: str, then: str = "end") -> Any:
    if api == "chat":
        end = [fake.chat(reason="stop"), fake.chat_usage()]
        return fake.Answer([*(fake.chat(text=text) for text in texts), *(end if then == "end" else ())], then)
    end = [fake.end_event()]
    return fake.Answer([*map(fake.text_event, texts), *(end if then == "end" else ())], then)


def calls(api: str, call_id: str, name: str, *pieces: str) -> Any:
    if api == "chat":
        first = fake.chat_call(0, pieces[0], call_id, name)
        rest = [fake.chat_call(0, piece) for piece in pieces[1:]]
        return fake.Answer([first, *rest, fake.chat(reason="tool_calls"), fake.chat_usage()])
    return fake.Answer([*fake.call_events(call_id, name, *pieces), fake.end_event()])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


both = pytest.mark.parametrize("api", ["chat", "responses"])


@both
async def test_text_is_streamed_and_counted(server: Any, api: str) -> None:
    server.answers = [says(api, "Hé", "llo")]
    result = ask(server, api)
    assert [text async for text in result.text_stream] == ["Hé", "llo"]
    assert await result.usage == USAGE
    assert await result.finish_reason == "stop"
    (asked,) = server.asked
    assert asked.path == ("/v1/chat/completions" if api == "chat" else "/v1/responses")
    assert asked.headers["authorization"] == "Bearer sk-test"


@both
async def test_settings_are_sent(server: Any, api: str) -> None:
    server.answers = [says(api, "x")]
    result = ask(
        server,
        api,
        system="be brief",
        temperature=0.5,
        max_output_tokens=99,
        headers={"x-mine": "1"},
        provider_options={"openai": {"metadata": {"a": "b"}}},
    )
    await result.consume_stream()
    (asked,) = server.asked
    body = asked.body
    assert asked.headers["x-mine"] == "1"
    assert (body["temperature"], body["metadata"], body["stream"]) == (0.5, {"a": "b"}, True)
    if api == "chat":
        assert body["max_tokens"] == 99
        assert body["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    else:
        assert (body["max_output_tokens"], body["store"]) == (99, False)
        assert body["input"] == [
            {"role": "system", "content": [{"type": "input_text", "text": "be brief"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        ]


@both
async def test_a_tool_is_called_and_its_answer_sent_back(server: Any, api: str) -> None:
    server.answers = [calls(api, "call_1", "add", '{"a": 1,', ' "b": 2}'), says(api, "Three.")]
    result = ask(server, api, tools=[add], max_steps=2)
    parts = [part async for part in result.full_stream]
    assert [part.delta for part in parts if isinstance(part, ToolInputDelta)] == ['{"a": 1,', ' "b": 2}']
    assert await result.text == "Three."
    assert [step.finish_reason for step in await result.steps] == ["tool-calls", "stop"]
    first, second = (asked.body for asked in server.asked)
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    about = {"name": "add", "description": "Add two numbers.", "parameters": parameters}
    if api == "chat":
        assert first["tools"] == [{"type": "function", "function": about}]
        assert second["messages"][1:] == [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "3"},
        ]
    else:
        assert first["tools"] == [{"type": "function", "strict": False, **about}]
        assert second["input"][1:] == [
            {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a": 1, "b": 2}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "3"},
        ]


@both
async def test_an_interrupted_answer_is_continued(server: Any, api: str) -> None:
    server.answers = [says(api, "lo")]
    provider = OpenAIProvider(api=api, api_key="k", base_url=server.url)  # type: ignore[arg-type]
    request = ModelRequest(model="m", messages=read_messages("hi"), prefix="Hel")
    parts = [part async for part in provider.stream(request, env={}, signal=None)]
    assert [part.text for part in parts if isinstance(part, TextDelta)] == ["lo"]
    said = server.asked[0].body["messages" if api == "chat" else "input"]
    assert [each["role"] for each in said] == ["user", "assistant", "user"]
    assert "Hel" in str(said[1]["content"])
    assert "cut off" in str(said[2]["content"])


@both
async def test_images_and_files_are_sent(server: Any, api: str) -> None:
    server.answers = [says(api, "x")]
    image = {"type": "image", "image": b"\x89PNG"}
    pdf = {"type": "file", "data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}
    content = [{"type": "text", "text": "What is this?"}, image, pdf]
    result = ask(server, api, prompt=None, messages=[{"role": "user", "content": content}])
    await result.consume_stream()
    if api == "chat":
        assert server.asked[0].body["messages"][0]["content"] == [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf["data"]}},
        ]
    else:
        assert server.asked[0].body["input"][0]["content"] == [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": pdf["data"]},
        ]


# Chat Completions


@pytest.mark.parametrize(
    ("raw", "reason"), [("length", "length"), ("content_filter", "content-filter"), ("odd", "other")]
)
async def test_chat_says_why_it_ended(server: Any, raw: str, reason: str) -> None:
    server.answers = [fake.Answer([fake.chat(text="x"), fake.chat(reason=raw)])]
    assert await ask(server, "chat").finish_reason == reason


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_of_open_models_is_read(server: Any, field: str) -> None:
    server.answers = [fake.Answer([fake.chat(**{field: "hm"}), fake.chat(text="x"), fake.chat(reason="stop")])]
    result = ask(server, "chat")
    assert (await result.reasoning_text, await result.text) == ("hm", "x")


async def test_two_calls_at_once_are_told_apart(server: Any) -> None:
    server.answers = [
        fake.Answer(
            [
                fake.chat_call(0, '{"a": 1', "c1", "add"),
                fake.chat_call(1, '{"a": 3', "c2", "add"),
                fake.chat_call(0, ', "b": 2}'),
                fake.chat_call(1, ', "b": 4}'),
                # Some servers do not say that they call tools.
                fake.chat(reason="stop"),
            ]
        )
    ]
    result = ask(server, "chat", tools=[add])
    assert sorted(each.output for each in await result.tool_results) == [3, 7]
    assert await result.finish_reason == "tool-calls"


async def test_an_error_in_mid_stream_is_an_error(server: Any) -> None:
    server.answers = [fake.Answer([fake.chat(text="x"), {"error": {"message": "overloaded", "code": "server_error"}}])]
    with pytest.raises(ModelError, match="overloaded"):
        await ask(server, "chat", max_retries=0, on_error=lambda part: None).text


# Responses


@pytest.mark.parametrize(
    ("raw", "reason"), [("max_output_tokens", "length"), ("content_filter", "content-filter"), ("odd", "other")]
)
async def test_a_response_says_why_it_is_incomplete(server: Any, raw: str, reason: str) -> None:
    server.answers = [fake.Answer([fake.text_event("x"), fake.end_event("incomplete", incomplete=raw)])]
    assert await ask(server, "responses").finish_reason == reason


async def test_a_response_that_failed_is_an_error(server: Any) -> None:
    error = {"code": "server_error", "message": "out of luck"}
    server.answers = [fake.Answer([fake.text_event("x"), fake.end_event("failed", error=error)])]
    with pytest.raises(ModelError, match=r"out of luck \(server_error\)") as raised:
        await ask(server, "responses", max_retries=0, on_error=lambda part: None).text
    assert raised.value.retryable


async def test_reasoning_and_sources_of_a_response_are_read(server: Any) -> None:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    annotation = {
        "type": "url_citation",
        "url": "https://example.com/",
        "title": "Example",
        "start_index": 0,
        "end_index": 1,
    }
    server.answers = [
        fake.Answer(
            [
                fake.event("reasoning_summary_text.delta", item_id="rs_1", output_index=0, summary_index=0, delta="hm"),
                fake.text_event("x"),
                fake.event("output_text.annotation.added", annotation_index=0, annotation=annotation, **place),
                fake.end_event(),
            ]
        )
    ]
    result = ask(server, "responses")
    assert await result.reasoning_text == "hm"
    assert await result.sources == [SourcePart("source-1", url="https://example.com/", title="Example")]


# Which server, which key


def test_without_a_key_it_says_what_to_set() -> None:
    provider = OpenAIProvider()
    assert "OPENAI_API_KEY is not set" in (provider.missing({}) or "")
    assert provider.missing({"OPENAI_API_KEY": "k"}) is None
    assert "not set" in (provider.missing({"OPENAI_API_KEY": " "}) or "")


def test_the_environment_of_the_process_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert OpenAIProvider().missing({}) is None


def test_a_server_of_ones_own_needs_no_key() -> None:
    assert OpenAIProvider().missing({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"}) is None
    assert OpenAIProvider(base_url="http://localhost/v1").missing({}) is None


async def test_env_says_which_server_and_which_key(server: Any) -> None:
    server.answers = [says("chat", "x")]
    registry = ModelRegistry(register_model_providers())
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-env"}
    result = stream_text(model="openai:gpt-4o", prompt="hi", models=registry, env=env)
    assert await result.text == "x"
    assert server.asked[0].path == "/v1/chat/completions"
    assert server.asked[0].headers["authorization"] == "Bearer sk-env"
    provider = registry.get("openai")
    assert isinstance(provider, OpenAIProvider)
    await provider.aclose()


async def test_connections_are_kept_where_somebody_closes_them(server: Any) -> None:
    server.answers = [says("chat", "x"), says("chat", "y")]
    provider = OpenAIProvider(base_url=server.url, keeps_clients=True)
    request = ModelRequest(model="m", messages=read_messages("hi"))
    for _ in range(2):
        async for _ in provider.stream(request, env={}, signal=None):
            pass
    assert len(provider._clients) == 1
    await provider.aclose()


def test_all_of_its_names_are_answered_for() -> None:
    registry = ModelRegistry(register_model_providers())
    assert registry.names == ["offline", "openai", "openai.chat", "openai.responses"]
    assert registry.resolve("openai.chat:gpt-4o", {"OPENAI_API_KEY": "k"}).can_continue


def test_a_model_with_a_server_of_its_own_is_not_found_again_by_name() -> None:
    assert create_openai(api_key="k")("gpt-4o").is_reopenable
    assert not create_openai(base_url="http://localhost/v1")("gpt-4o").is_reopenable
    assert openai("gpt-4o").name == "openai:gpt-4o"
    assert openai.chat("gpt-4o").name == "openai.chat:gpt-4o"


async def test_without_a_key_the_offline_model_stands_in_where_that_is_wanted() -> None:
    registry = ModelRegistry(register_model_providers(), fallback="offline")
    quick = {"offline": {"pause_ms": 0}}
    for model in ("openai:gpt-4o", openai("gpt-4o")):
        result = stream_text(model=model, prompt="hi", models=registry, env={}, provider_options=quick)
        assert "offline model, in place of openai:gpt-4o" in await result.text
