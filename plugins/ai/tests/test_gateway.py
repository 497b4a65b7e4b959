"""The AI Gateway asks providers in turn, and says what it does not keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edgeagents_ai import AiGatewayError, AiGatewayLogNotFound, plugin

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare(
    "Workers", "AI Gateway", "different: run() asks the model providers that are installed; no cache, no logs"
)


@pytest.fixture
async def env():
    worker = Worker("w", bindings=[BindingDeclaration("AI", "ai")])
    async with Runtime(worker, storage=None, env={}, plugins=[plugin], discover_plugins=False) as runtime:
        yield runtime.env


def request(provider: str, endpoint: str, **query: Any) -> dict[str, Any]:
    return {"provider": provider, "endpoint": endpoint, "headers": {}, "query": query}


async def test_the_first_that_answers_is_answered_with(env):
    gateway = env.AI.gateway("g")
    response = await gateway.run(
        [
            request("nobody", "chat/completions", model="m", messages=[{"role": "user", "content": "x"}]),
            request("workers-ai", "@cf/meta/llama-3.1-8b-instruct", prompt="x"),
        ]
    )
    assert (response.status, response.headers["cf-aig-step"]) == (200, "1")
    assert "offline model" in json.loads(await response.bytes())["result"]["response"]


@pytest.mark.parametrize(
    ("provider", "model"),
    [("offline", "m"), ("compat", "offline/m"), ("compat", "workers-ai/@cf/meta/llama-3.1-8b-instruct")],
)
async def test_providers_are_asked_for_completions(env, provider, model):
    asked = request(provider, "/chat/completions", model=model, messages=[{"role": "user", "content": "x"}])
    answer = json.loads(await (await env.AI.gateway("g").run(asked)).bytes())
    assert answer["choices"][0]["message"]["role"] == "assistant"


async def test_when_nobody_answers_the_last_reason_is_told(env):
    response = await env.AI.gateway("g").run(request("offline", "v1/messages", model="m"))
    assert response.status == 502
    assert "not 'v1/messages' of 'offline'" in json.loads(await response.bytes())["error"][0]["message"]


async def test_its_address_needs_an_account(env):
    with pytest.raises(AiGatewayError, match="set CLOUDFLARE_ACCOUNT_ID"):
        await env.AI.gateway("g").get_url("openai")
    vars(env)["CLOUDFLARE_ACCOUNT_ID"] = "abc"
    assert await env.AI.gateway("g").get_url("openai") == "https://gateway.ai.cloudflare.com/v1/abc/g/openai/"


async def test_there_are_no_logs(env):
    with pytest.raises(AiGatewayLogNotFound, match="keeps none here"):
        await env.AI.gateway("g").get_log("x")
    with pytest.raises(AiGatewayLogNotFound):
        await env.AI.gateway("g").patch_log("x", {"score": 1})
