"""The contract of model providers, for the Messages API."""

from __future__ import annotations

import pytest
from edgeagents_anthropic import AnthropicProvider
from edgeagents_anthropic.testing import MessagesVendor

from edgeagents.testing.model_contract import ModelProviderContract


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


class TestAnthropic(ModelProviderContract):
    vendor = MessagesVendor()
    setting = "ANTHROPIC_API_KEY"
    model = wire_model = "claude-haiku-4-5"

    def make_provider(self, url: str, key: str) -> AnthropicProvider:
        return AnthropicProvider(base_url=url, api_key=key)


class TestAnotherServer(TestAnthropic):
    """A server of somebody else's models that speaks the Messages API."""

    model = wire_model = "m"


class TestALaterModel(TestAnthropic):
    lacks = frozenset({"temperature"})
    model = wire_model = "claude-opus-5-5"
