"""What is Anthropic's own: signatures, caches, citations, server tools, and what a model's generation allows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from edgeagents_anthropic import AnthropicProvider, anthropic, create_anthropic
from edgeagents_anthropic.models import (
    allows_prefill,
    allows_sampling,
    default_max_tokens,
    generation,
)
from edgeagents_anthropic.plugin import register_model_providers
from edgeagents_anthropic.testing import MessagesVendor

from edgeagents.errors import ModelError
from edgeagents.models import (
    ModelRegistry,
    ModelRequest,
    SourcePart,
    StreamTextResult,
    TextDelta,
    ToolResult,
    convert_to_model_messages,
    stream_text,
)
from edgeagents.models.messages import read_messages
from edgeagents.testing.vendor import (
    Answer,
    Calls,
    Raw,
    Says,
    Thinks,
    VendorServer,
    says,
    sse,
)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncGenerator[VendorServer, None]:
    async with VendorServer(MessagesVendor()) as found:
        yield found


def ask(server: VendorServer, model: str = "claude-opus-5-5", **more: Any) -> StreamTextResult:
    handle = create_anthropic(api_key="sk-ant-test", base_url=server.url)(model)
    return stream_text(**{"model": handle, "prompt": "hi", "max_retries": 0, **more})


def events(*found: dict[str, Any]) -> Raw:
    """Return a whole message with these events in it."""
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "output_tokens": 1,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
    }
    start = {
        "type": "message_start",
        "message": {**message, "stop_reason": None, "usage": usage},
    }
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 6},
    }
    return Raw(b"".join(sse(each, each["type"]) for each in (start, *found, delta, {"type": "message_stop"})))


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_signed_thoughts_are_sent_back_as_they_came(server: VendorServer) -> None:
    call = Calls("toolu_1", "add", ('{"a": 1, "b": 2}',))
    server.answers = [
        Answer(blocks=(Thinks(("h", "m")), Says(("So:",)), call), reason="tool-calls"),
        says("3"),
    ]
    assert await ask(server, tools=[add], max_steps=2).text == "3"
    assert server.received[1].body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig-1"},
                {"type": "text", "text": "So:"},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "add",
                    "input": {"a": 1, "b": 2},
                },
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}],
        },
    ]


async def test_hidden_thoughts_are_sent_back_as_they_came(server: VendorServer) -> None:
    redacted = {"type": "redacted_thinking", "data": "c2VjcmV0"}
    silent = {"type": "thinking", "thinking": "", "signature": ""}
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
    server.answers = [
        events(
            *block(0, redacted),
            *block(1, silent, {"type": "signature_delta", "signature": "s"}),
            *block(
                2,
                call,
                {"type": "input_json_delta", "partial_json": '{"a": 1, "b": 2}'},
            ),
        ),
        says("3"),
    ]
    assert await ask(server, tools=[add], max_steps=2).text == "3"
    assert server.received[1].body["messages"][1]["content"] == [
        redacted,
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}},
    ]


async def test_a_thought_comes_back_signed_from_the_browser(
    server: VendorServer,
) -> None:
    server.answers = [Answer(blocks=(Thinks(("hm",)), Says(("x",)))), says("y")]
    body = await ask(server).to_ui_message_stream_response().text()
    assert '"providerMetadata":{"anthropic":{"signature":"sig-1"}}' in body
    parts = [
        {
            "type": "reasoning",
            "text": "hm",
            "providerMetadata": {"anthropic": {"signature": "sig-1"}},
        },
        {"type": "text", "text": "x"},
    ]
    said = convert_to_model_messages([{"role": "assistant", "parts": parts}])
    await ask(server, prompt=None, messages=[{"role": "user", "content": "hi"}, *said]).consume_stream()
    assert server.received[1].body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig-1"},
        {"type": "text", "text": "x"},
    ]


async def test_an_unsigned_thought_stays_here(server: VendorServer) -> None:
    server.answers = [says("y")]
    content = [
        {"type": "reasoning", "text": "of another model"},
        {"type": "text", "text": "x"},
    ]
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": content},
    ]
    await ask(server, prompt=None, messages=messages).consume_stream()
    assert server.received[0].body["messages"][1]["content"] == [{"type": "text", "text": "x"}]


async def test_the_cache_is_counted(server: VendorServer) -> None:
    server.answers = [events(*block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "x"}))]
    result = ask(server)
    usage = await result.usage
    assert (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cached_input_tokens,
    ) == (17, 6, 23, 4)
    (*_, finish, _) = [part async for part in result.full_stream]
    assert finish.provider_metadata == {"anthropic": {"cacheCreationInputTokens": 3}}  # type: ignore[union-attr]
    assert finish.response_id == "msg_1"  # type: ignore[union-attr]


async def test_citations_are_sources(server: VendorServer) -> None:
    web = {
        "type": "web_search_result_location",
        "url": "https://example.com/",
        "title": "Example",
        "cited_text": "x",
        "encrypted_index": "e",
    }
    page = {
        "type": "page_location",
        "document_index": 0,
        "document_title": "a.pdf",
        "cited_text": "x",
        "start_page_number": 1,
        "end_page_number": 2,
    }
    deltas = [{"type": "citations_delta", "citation": each} for each in (web, page, web)]
    text = {"type": "text_delta", "text": "x"}
    server.answers = [events(*block(0, {"type": "text", "text": ""}, text, *deltas))]
    assert await ask(server).sources == [
        SourcePart("source-1", url="https://example.com/", title="Example"),
        SourcePart("source-2", "document", title="a.pdf", media_type="text/plain"),
    ]


async def test_the_servers_own_tools_are_seen_and_not_run_here(
    server: VendorServer,
) -> None:
    call = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {},
    }
    page = {
        "type": "web_search_result",
        "url": "https://example.com/",
        "title": "Example",
        "encrypted_content": "e",
        "page_age": None,
    }
    found = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [page],
    }
    server.answers = [
        events(
            *block(0, call, {"type": "input_json_delta", "partial_json": '{"query": "x"}'}),
            *block(1, found),
            *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "y"}),
        )
    ]
    search = {"type": "web_search_20260209", "name": "web_search"}
    result = ask(server, provider_options={"anthropic": {"tools": [search]}}, max_steps=5)
    assert await result.text == "y"
    (answer,) = [part async for part in result.full_stream if isinstance(part, ToolResult)]
    assert (answer.tool_name, answer.input, answer.provider_executed) == (
        "web_search",
        {"query": "x"},
        True,
    )
    assert answer.output[0]["url"] == "https://example.com/"
    assert server.received[0].body["tools"] == [search]
    assert len(server.received) == 1


async def test_texts_and_links_are_sent(server: VendorServer) -> None:
    server.answers = [says("x")]
    content = [
        {"type": "image", "image": "https://example.com/a.png"},
        {
            "type": "file",
            "data": "https://example.com/a.pdf",
            "media_type": "application/pdf",
        },
        {
            "type": "file",
            "data": "data:text/markdown;base64,IyBIaQ==",
            "filename": "a.md",
        },
        {"type": "file", "data": "data:text/plain,a%20b"},
    ]
    await ask(server, prompt=None, messages=[{"role": "user", "content": content}]).consume_stream()
    assert server.received[0].body["messages"][0]["content"] == [
        {
            "type": "image",
            "source": {"type": "url", "url": "https://example.com/a.png"},
        },
        {
            "type": "document",
            "source": {"type": "url", "url": "https://example.com/a.pdf"},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "# Hi"},
            "title": "a.md",
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "a b"},
        },
    ]


async def test_a_file_that_no_model_reads_is_refused_here(server: VendorServer) -> None:
    content = [{"type": "file", "data": "data:video/mp4;base64,AA=="}]
    result = ask(
        server,
        prompt=None,
        messages=[{"role": "user", "content": content}],
        on_error=lambda part: None,
    )
    with pytest.raises(ModelError, match="not 'video/mp4'"):
        await result.text
    assert server.received == []


async def test_a_failed_tool_is_marked(server: VendorServer) -> None:
    def fail() -> None:
        raise RuntimeError("no disk")

    server.answers = [
        Answer(blocks=(Calls("toolu_1", "fail", ("{}",)),), reason="tool-calls"),
        says("Sorry."),
    ]
    assert await ask(server, tools=[fail], max_steps=2).text == "Sorry."
    (result,) = server.received[1].body["messages"][-1]["content"]
    assert result["is_error"] is True
    assert "no disk" in result["content"]


# What a generation allows


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("claude-opus-5-5", (5, 5)),
        ("claude-sonnet-4-5-20250929", (4, 5)),
        # The date is no minor version.
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-3-5-haiku-20241022", (3, 5)),
        ("us.anthropic.claude-opus-4-8-v1:0", (4, 8)),
        ("anthropic/claude-sonnet-4.6", (4, 6)),
        ("kimi-k3", None),
    ],
)
def test_a_models_name_tells_its_generation(model: str, found: tuple[int, int] | None) -> None:
    assert generation(model) == found


@pytest.mark.parametrize(
    ("model", "prefill", "sampling", "limit"),
    [
        ("claude-sonnet-4-0", True, True, 4096),
        ("claude-haiku-4-5", True, True, 64_000),
        ("claude-opus-4-6", False, True, 64_000),
        ("claude-opus-4-7", False, False, 64_000),
        ("kimi-k3", False, True, 4096),
    ],
)
def test_a_generation_tells_what_may_be_asked(model: str, prefill: bool, sampling: bool, limit: int) -> None:
    assert (
        allows_prefill(model),
        allows_sampling(model),
        default_max_tokens(model),
    ) == (prefill, sampling, limit)


async def test_a_temperature_goes_in_the_version_that_has_one(
    server: VendorServer,
) -> None:
    server.answers = [says("x"), says("x"), says("x")]
    await ask(server, "claude-haiku-4-5", temperature=0.5).consume_stream()
    await ask(server, "claude-haiku-4-5").consume_stream()
    await ask(server, "claude-opus-5-5", temperature=0.5, top_p=0.9).consume_stream()
    versions = [each.headers["anthropic-version"] for each in server.received]
    assert versions == ["2023-06-01", "2026-10-21", "2026-10-21"]
    assert [each.body.get("temperature") for each in server.received] == [
        0.5,
        None,
        None,
    ]
    assert "top_p" not in server.received[2].body


async def carried_on(server: VendorServer, model: str, prefix: str, *pieces: str, **more: Any) -> str:
    server.answers = [says(*pieces)]
    provider = AnthropicProvider(api_key="k", base_url=server.url)
    request = ModelRequest(model=model, messages=read_messages("hi"), prefix=prefix, **more)
    parts = [part async for part in provider.stream(request, env={}, signal=None)]
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def test_an_older_model_goes_on_after_its_own_words(server: VendorServer) -> None:
    assert await carried_on(server, "claude-haiku-4-5", "Hel", "lo") == "lo"
    assert [each["role"] for each in server.received[0].body["messages"]] == [
        "user",
        "assistant",
    ]


async def test_white_space_at_the_end_of_its_words_is_not_said_twice(
    server: VendorServer,
) -> None:
    assert await carried_on(server, "claude-haiku-4-5", "One. \n", " \n\nTwo.") == "\nTwo."
    assert server.received[0].body["messages"][-1] == {
        "role": "assistant",
        "content": "One.",
    }


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("claude-opus-5-5", {}),
        ("claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ],
    ids=["a later model", "a model that thinks"],
)
async def test_others_are_told_to_go_on(server: VendorServer, model: str, options: dict[str, Any]) -> None:
    assert await carried_on(server, model, "Hel", "lo", provider_options=options) == "lo"
    messages = server.received[0].body["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "user"]
    assert "cut off" in messages[2]["content"]


# Which server, which key


async def test_env_says_which_server_and_which_key(server: VendorServer) -> None:
    server.answers = [says("x"), says("y")]
    registry = ModelRegistry(register_model_providers())
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "sk-env"}
    for text in ("x", "y"):
        result = stream_text(model="anthropic:claude-opus-5-5", prompt="hi", models=registry, env=env)
        assert await result.text == text
    assert server.received[0].headers["authorization"] == "Bearer sk-env"
    provider = registry.get("anthropic")
    assert isinstance(provider, AnthropicProvider)
    assert len(provider._clients) == 1
    await provider.aclose()


def test_a_server_of_ones_own_needs_no_key() -> None:
    assert AnthropicProvider().missing({"ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}) is None


def test_a_model_with_a_server_of_its_own_is_not_found_again_by_name() -> None:
    assert anthropic("claude-opus-5-5").is_reopenable
    assert anthropic("claude-opus-5-5").name == "anthropic:claude-opus-5-5"
    assert not create_anthropic(base_url="http://localhost")("m").is_reopenable
