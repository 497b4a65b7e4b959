"""The contract of model providers, for LiteLLM in front of two vendors."""

from __future__ import annotations

import importlib.util

import pytest
from edgeagents_anthropic.testing import MessagesVendor
from edgeagents_litellm import LiteLLMProvider
from edgeagents_openai.testing import ChatVendor

from edgeagents.testing.model_contract import ModelProviderContract

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="litellm, which is large, is not installed"),
    # What pydantic has to say of the package's own classes.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


class TestOpenAI(ModelProviderContract):
    vendor = ChatVendor()
    model, wire_model = "openai/m", "m"
    option = ("x_mine", {"a": 1})

    def make_provider(self, url: str, key: str) -> LiteLLMProvider:
        return LiteLLMProvider(base_url=url, api_key=key)


class TestAnthropic(TestOpenAI):
    vendor = MessagesVendor()
    model, wire_model = "anthropic/claude-haiku-4-5", "claude-haiku-4-5"
    option = ("top_k", 5)
    retold = {529: 500}
