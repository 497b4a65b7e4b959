"""The contract of model providers, for both of OpenAI's protocols."""

from __future__ import annotations

import pytest
from edgeagents_openai import OpenAIProvider
from edgeagents_openai.testing import ChatVendor, ResponsesVendor

from edgeagents.testing.model_contract import ModelProviderContract


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


class TestChat(ModelProviderContract):
    vendor = ChatVendor()
    setting = "OPENAI_API_KEY"

    def make_provider(self, url: str, key: str) -> OpenAIProvider:
        return OpenAIProvider(api="chat", base_url=url, api_key=key)


class TestResponses(ModelProviderContract):
    vendor = ResponsesVendor()
    lacks = frozenset({"stop sequences"})
    setting = "OPENAI_API_KEY"

    def make_provider(self, url: str, key: str) -> OpenAIProvider:
        return OpenAIProvider(api="responses", base_url=url, api_key=key)
