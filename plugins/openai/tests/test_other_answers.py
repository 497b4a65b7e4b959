"""Vectors and pictures, as Workers AI's binding asks for them."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator

import pytest
from edgeagents_openai.provider import OpenAIProvider

from edgeagents.errors import ModelError

from .fake_openai import Answer, FakeOpenAI, fake_openai


@pytest.fixture
async def server() -> AsyncGenerator[FakeOpenAI, None]:
    async with fake_openai() as running:
        yield running


def provider(server: FakeOpenAI) -> OpenAIProvider:
    return OpenAIProvider(base_url=server.url, api_key="sk-secret")


async def test_texts_become_vectors_in_their_order(server: FakeOpenAI) -> None:
    vectors = [{"object": "embedding", "index": n, "embedding": [float(n), 1.0]} for n in (1, 0)]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    server.answers = [Answer(body={"object": "list", "model": "e", "data": vectors, "usage": usage})]
    assert await provider(server).embed("e", ["a", "b"], env={}) == [[0.0, 1.0], [1.0, 1.0]]
    (asked,) = server.asked
    assert (asked.path, asked.body["input"], asked.body["encoding_format"]) == ("/v1/embeddings", ["a", "b"], "float")


@pytest.mark.parametrize(
    ("model", "more"), [("gpt-image-1", {}), ("dall-e-3", {"response_format": "b64_json"})], ids=str
)
async def test_a_picture_is_made(server: FakeOpenAI, model: str, more: dict[str, str]) -> None:
    server.answers = [Answer(body={"created": 1, "data": [{"b64_json": base64.b64encode(b"picture").decode()}]})]
    inputs = {"prompt": "a cat", "width": 512, "height": 256, "num_steps": 4}
    assert await provider(server).draw(model, inputs, env={}) == b"picture"
    (asked,) = server.asked
    assert asked.body == {"model": model, "prompt": "a cat", "n": 1, "size": "512x256", **more}


async def test_failures_are_told_without_the_key(server: FakeOpenAI) -> None:
    refusal = Answer(status=401, body={"error": {"message": "Incorrect API key provided: sk-secret"}})
    server.answers = [refusal, refusal, Answer(body={"created": 1, "data": []})]
    with pytest.raises(ModelError, match="Incorrect API key") as caught:
        await provider(server).embed("e", ["a"], env={})
    assert (caught.value.status, "sk-secret" in str(caught.value)) == (401, False)
    with pytest.raises(ModelError, match="Incorrect API key"):
        await provider(server).draw("m", {"prompt": "x"}, env={})
    with pytest.raises(ModelError, match="sent no picture"):
        await provider(server).draw("m", {"prompt": "x"}, env={})
