"""The contract of model providers, for an agent of Pydantic AI in front of two vendors."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from anthropic import AsyncAnthropic
from edgeagents_anthropic.testing import MessagesVendor
from edgeagents_openai.testing import ChatVendor
from edgeagents_pydantic_ai import PydanticAIProvider
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from edgeagents.testing.model_contract import ModelProviderContract


class AgentContract(ModelProviderContract):
    """Closes the clients of the agents' models: nobody else does."""

    @pytest.fixture(autouse=True)
    async def clients(self) -> AsyncGenerator[None, None]:
        self.opened: list[AsyncOpenAI | AsyncAnthropic] = []
        yield
        for client in self.opened:
            await client.close()


class TestOpenAI(AgentContract):
    vendor = ChatVendor()
    option = ("seed", 7)

    def make_provider(self, url: str, key: str) -> PydanticAIProvider:
        client = AsyncOpenAI(base_url=url or "http://127.0.0.1:1", api_key=key or "no-key", max_retries=0)
        self.opened.append(client)
        return PydanticAIProvider(Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))))


class TestAnthropic(AgentContract):
    vendor = MessagesVendor()
    option = ("service_tier", "auto")
    model = wire_model = "claude-haiku-4-5"

    def make_provider(self, url: str, key: str) -> PydanticAIProvider:
        client = AsyncAnthropic(base_url=url or "http://127.0.0.1:1", api_key=key or "no-key", max_retries=0)
        self.opened.append(client)
        model = AnthropicModel(self.model, provider=AnthropicProvider(anthropic_client=client))
        return PydanticAIProvider(Agent(model))
