from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edgeagents.errors import ModelError, PluginError
from edgeagents.models import ModelHandle, ModelRegistry, stream_text
from tests.models.fakes import ScriptedProvider, said


class NeedsKey(ScriptedProvider):
    name = "vendor"

    def missing(self, env: Mapping[str, Any]) -> str | None:
        return None if env.get("VENDOR_KEY") else "Set VENDOR_KEY."


def test_a_name_finds_its_provider() -> None:
    provider = ScriptedProvider()
    found = ModelRegistry([provider]).resolve("scripted:a:b")
    assert (found.provider, found.model, found.name) == (provider, "a:b", "scripted:a:b")
    assert found.can_continue is False


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "acme:m",
            "of 'acme'.*Installed: offline, scripted. Those of edgeagents are in the folder plugins/",
        ),
        ("ofline:m", "Did you mean 'offline'"),
        ("@cf/meta/llama", r"asked by a binding: await self.env.AI.run\('@cf/meta/llama', ...\)"),
        ("a model", "'openai:gpt-4o'"),
        ("gpt-4o", "does not say which provider.*'openai:gpt-4o'"),
        ("", "does not say which provider"),
        ("offline:", "does not say which provider"),
    ],
)
def test_a_model_that_nobody_answers_for_says_what_to_do(name: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        ScriptedProvider().registry().resolve(name)


@pytest.mark.parametrize("name", ["nope:x", "workers-ai:x", "ai:@cf/x"])
def test_no_package_is_named_after_what_somebody_wrote(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        ScriptedProvider().registry().resolve(name)
    assert "pip install" not in str(caught.value)
    assert f"plugins/{name.partition(':')[0]}" not in str(caught.value)


def test_two_providers_of_one_name_are_refused() -> None:
    with pytest.raises(PluginError, match=r"called 'scripted': .*ScriptedProvider and .*ScriptedProvider"):
        ModelRegistry([ScriptedProvider(), ScriptedProvider()])


def test_a_missing_key_is_an_error_that_says_what_to_set() -> None:
    with pytest.raises(ModelError, match=r"'vendor:m' cannot answer: Set VENDOR_KEY\."):
        ModelRegistry([NeedsKey()]).resolve("vendor:m", {})


async def test_with_a_fallback_the_offline_model_answers_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    registry = ModelRegistry([NeedsKey()], fallback="offline")
    quick = {"offline": {"pause_ms": 0}}
    for _ in range(2):
        result = stream_text(model="vendor:m", prompt="hi", models=registry, provider_options=quick)
        assert "offline model, in place of vendor:m" in await result.text
    assert caplog.messages == ["The offline model answers in place of vendor:m: Set VENDOR_KEY."]


async def test_with_the_key_the_provider_answers_itself() -> None:
    registry = ModelRegistry([NeedsKey(said("real"))], fallback="offline")
    result = stream_text(model="vendor:m", prompt="hi", models=registry, env={"VENDOR_KEY": "k"})
    assert await result.text == "real"


def test_a_handle_needs_no_registry_but_a_name_does() -> None:
    stream_text(model=ModelHandle(ScriptedProvider(), "m"), prompt="hi")
    with pytest.raises(ModelError, match="pass models="):
        stream_text(model="scripted:m", prompt="hi")
