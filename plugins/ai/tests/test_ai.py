"""Workers AI answers in the shapes of Cloudflare's, by whoever is installed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from edgeagents_ai import InferenceUpstreamError, plugin

from edgeagents import Runtime, hookimpl
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, ModelError
from edgeagents.models import FinishStep, ModelRequest, Part, TextDelta, TextEnd, TextStart, ToolCall, Usage
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

pytestmark = [
    pytest.mark.cloudflare(
        "Workers", "Workers AI: text, embeddings", "different: answered by the model providers that are installed"
    ),
    pytest.mark.cloudflare(
        "Workers", "Workers AI: pictures, speech, classes", "different: an error, unless a provider draws"
    ),
    pytest.mark.cloudflare("Workers", "AutoRAG (AI Search)", "different: an error that says so"),
]

LLAMA = "@cf/meta/llama-3.1-8b-instruct"
OSS = "@cf/openai/gpt-oss-120b"
BGE = "@cf/baai/bge-small-en-v1.5"


class Scripted:
    """Says what it is told to, embeds by length, draws a dot, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, *parts: Part, error: ModelError | None = None) -> None:
        self.parts, self.error = parts, error
        self.requests: list[ModelRequest] = []

    async def stream(self, request: ModelRequest, *, env: Mapping[str, Any], signal: Any) -> AsyncIterator[Part]:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        for part in self.parts:
            yield part

    async def embed(self, model: str, texts: Sequence[str], *, env: Mapping[str, Any]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]

    async def draw(self, model: str, inputs: Mapping[str, Any], *, env: Mapping[str, Any]) -> bytes:
        return f"{model}: {inputs['prompt']}".encode()

    @hookimpl
    def register_model_providers(self) -> list[Any]:
        return [self]


def said(*words: str) -> Scripted:
    return Scripted(
        TextStart("1"), *(TextDelta("1", word) for word in words), TextEnd("1"), FinishStep("stop", Usage(3, 2, 5))
    )


@asynccontextmanager
async def running(*providers: Scripted, models: Any = None, env: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
    options = {"models": {"@cf/*": "scripted:m"} if models is None and providers else models or {}}
    worker = Worker("w", bindings=[BindingDeclaration("AI", "ai", options)])
    plugins = [plugin, *providers]
    async with Runtime(
        worker, storage=None, env=env, plugins=plugins, discover_plugins=False, clock=ManualClock()
    ) as runtime:
        yield runtime.env.AI


async def events(stream: AsyncIterator[bytes]) -> list[Any]:
    text = b"".join([piece async for piece in stream]).decode()
    assert text.endswith("data: [DONE]\n\n")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines[:-1]]


async def test_a_chat_model_answers_with_its_text_and_what_it_used():
    provider = said("Hello ", "there.")
    async with running(provider) as ai:
        inputs = {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]}
        answer = await ai.run(LLAMA, {**inputs, "max_tokens": 64, "temperature": 0.1, "seed": 4})
    assert answer == {
        "response": "Hello there.",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    (request,) = provider.requests
    assert (request.model, request.max_output_tokens, request.temperature, request.seed) == ("m", 64, 0.1, 4)
    assert [(message.role, message.text) for message in request.messages] == [("system", "be brief"), ("user", "hi")]


async def test_a_stream_is_of_events_and_ends_with_what_was_used():
    async with running(said("Hello ", "there.")) as ai:
        stream = await ai.run(LLAMA, {"prompt": "hi", "stream": True})
        first, second, last = await events(stream)
    assert [first, second] == [{"response": "Hello "}, {"response": "there."}]
    assert last["usage"]["total_tokens"] == 5


async def test_without_a_provider_the_offline_model_answers_at_once():
    async with running() as ai:
        answer = await ai.run(LLAMA, {"prompt": "hi"})
        assert "offline model" in answer["response"]
        assert answer["usage"]["completion_tokens"] > 0
        assert await ai.run(LLAMA, {"prompt": "hi"}) == answer


async def test_tools_are_called_and_their_results_are_read():
    provider = Scripted(ToolCall("c1", "weather", {"city": "Bern"}), FinishStep("tool-calls"))
    tool = {"name": "weather", "description": "Looks out.", "parameters": {"type": "object"}}
    async with running(provider) as ai:
        answer = await ai.run(LLAMA, {"prompt": "?", "tools": [{"type": "function", "function": tool}]})
        assert answer["tool_calls"] == [{"name": "weather", "arguments": {"city": "Bern"}}]
        made = {"id": "c1", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
        history = [
            {"role": "user", "content": [{"type": "text", "text": "?"}]},
            {"role": "assistant", "content": "", "tool_calls": [made]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ]
        await ai.run(LLAMA, {"messages": history, "tools": [tool]})
    first, second = provider.requests
    assert (first.tools[0].name, first.tools[0].description) == ("weather", "Looks out.")
    call, result = second.messages[1].content[-1], second.messages[2].content[0]
    assert (call.input, result.tool_name, result.output) == ({"city": "Bern"}, "weather", "rain")


async def test_an_answer_can_be_an_object_of_a_schema():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": schema}
    async with running() as ai:
        answer = await ai.run(LLAMA, {"prompt": "a number", "response_format": wanted})
    assert isinstance(answer["response"]["n"], int)


async def test_the_one_tool_that_must_be_called_is_called_offline_too():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = {"name": "count", "parameters": schema}
    async with running() as ai:
        for choice in ("required", "any", {"type": "function", "function": {"name": "count"}}):
            answer = await ai.run(LLAMA, {"prompt": "x", "tools": [tool], "tool_choice": choice})
            (call,) = answer["tool_calls"]
            assert (call["name"], type(call["arguments"]["n"])) == ("count", int)


async def test_text_that_should_be_json_and_is_not_is_an_error():
    async with running(said("no")) as ai:
        with pytest.raises(InferenceUpstreamError, match="5024: JSON Mode couldn't be met"):
            await ai.run(LLAMA, {"prompt": "x", "response_format": {"type": "json_object"}})


async def test_gpt_oss_answers_as_the_responses_api_does():
    async with running(said("The King.")) as ai:
        answer = await ai.run(OSS, {"instructions": "be brief", "input": "who?"})
        assert (answer["object"], answer["status"], answer["model"]) == ("response", "completed", OSS)
        (message,) = answer["output"]
        assert message["content"] == [{"type": "output_text", "text": "The King.", "annotations": []}]
        assert answer["usage"] == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        streamed = await events(await ai.run(OSS, {"input": "who?", "stream": True}))
    assert [one["type"] for one in streamed] == [
        "response.created",
        "response.output_text.delta",
        "response.output_text.done",
        "response.completed",
    ]


async def test_gpt_oss_answers_messages_as_chat_completions_do():
    async with running(said("Yes", ".")) as ai:
        inputs = {"messages": [{"role": "user", "content": "?"}]}
        answer = await ai.run(OSS, inputs)
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Yes."}
        streamed = await events(await ai.run(OSS, {**inputs, "stream": True}))
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in streamed) == "Yes."
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"


async def test_local_embeddings_are_the_same_each_time_and_near_for_like_texts():
    async with running() as ai:
        texts = ["The cat sat on the mat", "A cat sat on a mat", "Quarterly revenue rose by nine percent"]
        answer = await ai.run(BGE, {"text": texts})
        again = await ai.run(BGE, {"text": texts[0]})
        ranked = await ai.run("@cf/baai/bge-reranker-base", {"query": texts[0], "contexts": [{"text": texts[2]}] * 2})
    assert (answer["shape"], answer["pooling"]) == ([3, 384], "mean")
    assert again["data"] == answer["data"][:1]
    near, far = (sum(a * b for a, b in zip(answer["data"][0], answer["data"][n], strict=True)) for n in (1, 2))
    assert near > 0.5 > far
    assert [one["id"] for one in ranked["response"]] == [0, 1]


async def test_a_provider_embeds_and_draws():
    async with running(said()) as ai:
        assert await ai.run(BGE, {"text": "four"}) == {"shape": [1, 2], "data": [[4.0, 1.0]], "pooling": "mean"}
        drawn = await ai.run("@cf/black-forest-labs/flux-1-schnell", {"prompt": "a"})
        assert drawn == {"image": "bTogYQ=="}
        bytes_ = await ai.run("@cf/stabilityai/stable-diffusion-xl-base-1.0", {"prompt": "a"})
        assert [piece async for piece in bytes_] == [b"m: a"]


async def test_texts_are_translated_and_summed_up_by_a_chat_model():
    provider = said("Bonjour")
    async with running(provider) as ai:
        translated = await ai.run("@cf/meta/m2m100-1.2b", {"text": "Hello", "target_lang": "french"})
        summed = await ai.run("@cf/facebook/bart-large-cnn", {"input_text": "Hello"})
    assert (translated, summed) == ({"translated_text": "Bonjour"}, {"summary": "Bonjour"})
    assert "to french" in provider.requests[0].messages[0].text


@pytest.mark.parametrize(
    ("model", "inputs", "text"),
    [
        ("nothing", {"prompt": "x"}, "5007: No such model nothing or task"),
        (7, {"prompt": "x"}, "5007: No such model 7"),
        (LLAMA, {}, "5006: .*required properties at '/' are 'prompt'"),
        (LLAMA, "text", "5006: Error: Type mismatch of '/'"),
        (LLAMA, {"messages": [{"role": "king", "content": "x"}]}, "5006: .*'/messages/0/role' is 'king'"),
        (LLAMA, {"messages": [{"role": "user", "content": 1}]}, "5006: .*'/messages/0/content'"),
        (BGE, {}, "5006: .*are 'text'"),
        (BGE, {"text": ["x"] * 101}, "5006: .*<= 100"),
        ("@cf/black-forest-labs/flux-1-schnell", {"prompt": "x"}, "Nobody here draws"),
        ("@cf/openai/whisper", {"audio": []}, "Nothing here can stand in for @cf/openai/whisper"),
    ],
)
async def test_what_cannot_be_answered_is_refused(model, inputs, text):
    async with running() as ai:
        with pytest.raises(InferenceUpstreamError, match=text):
            await ai.run(model, inputs)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_provider_that_fails_fails_the_call(stream):
    async with running(Scripted(error=ModelError("no credit", status=402))) as ai:
        with pytest.raises(InferenceUpstreamError, match="no credit"):
            await ai.run(LLAMA, {"prompt": "x", "stream": stream})


async def test_names_are_mapped_by_the_variable_before_the_configuration():
    provider = said("x")
    env = {"EDGEAGENTS_AI_MODELS": json.dumps({"@cf/meta/*": "scripted:second"})}
    async with running(provider, models={LLAMA: "scripted:first", "@cf/qwen/*": "scripted:third"}, env=env) as ai:
        for name in ("@cf/meta/other", LLAMA, "@cf/qwen/x", "scripted:itself"):
            await ai.run(name, {"prompt": "x"})
    assert [request.model for request in provider.requests] == ["second", "second", "third", "itself"]


async def test_a_map_that_is_none_is_found_at_boot():
    with pytest.raises(ConfigError, match=r"The binding 'AI': The binding's models must be an object"):
        async with running(models={LLAMA: "gpt"}):
            raise AssertionError("it started")


async def test_a_raw_answer_is_a_response():
    async with running(said("x")) as ai:
        response = await ai.run(LLAMA, {"prompt": "x"}, return_raw_response=True)
        assert response.headers["cf-ai-req-id"] == ai.last_request_id
        assert json.loads(await response.bytes())["response"] == "x"


async def test_models_are_listed_and_searched():
    async with running(models={"@cf/own/model": "offline:x", "@cf/meta/*": "offline:y"}) as ai:
        assert (await ai.models())[0]["name"] == "@cf/own/model"
        assert [one["name"] for one in await ai.models(search="reranker")] == ["@cf/baai/bge-reranker-base"]
        assert {one["task"]["name"] for one in await ai.models(task="Text Embeddings")} == {"Text Embeddings"}
        assert len(await ai.models(per_page=2, page=2)) == 2


async def test_documents_become_markdown():
    html = (
        b"<html><head><title>x</title></head><h1>Cats</h1><p>They <b>sit</b> on <a href='/m'>mats</a>.<ul><li>one</ul>"
    )
    async with running() as ai:
        page, table, scan = await ai.to_markdown(
            [
                {"name": "a.html", "blob": html},
                {"name": "b.csv", "blob": b"n,sq\n2,4\n"},
                {"name": "c.pdf", "blob": b"%PDF"},
            ]
        )
        assert page["data"] == "# Cats\n\nThey **sit** on [mats](/m).\n\n- one\n"
        assert table["data"] == "| n | sq |\n| --- | --- |\n| 2 | 4 |\n"
        assert (scan["format"], "application/pdf cannot be turned" in scan["error"]) == ("error", True)
        assert (await ai.to_markdown({"name": "d.txt", "blob": b"d"}))["data"] == "d"
        assert {"extension": ".csv", "mimeType": "text/csv"} in await ai.to_markdown().supported()


async def test_autorag_says_that_it_is_not_here():
    async with running() as ai:
        with pytest.raises(InferenceUpstreamError, match="no instance 'docs' here"):
            ai.autorag("docs")
