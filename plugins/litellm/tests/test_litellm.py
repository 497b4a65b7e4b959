"""What is LiteLLM's own: names, keys, and an import that takes seconds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import AsyncGenerator

import pytest
from edgeagents_litellm import create_litellm, litellm
from edgeagents_litellm.plugin import register_model_providers
from edgeagents_openai.testing import ChatVendor

from edgeagents.errors import ModelError
from edgeagents.models import ModelRegistry, StreamTextResult, stream_text
from edgeagents.testing.vendor import VendorServer, says

needs_litellm = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None, reason="litellm, which is large, is not installed"
)
# What pydantic has to say of the package's own classes.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MISTRAL_API_KEY", "MISTRAL_API_BASE", "OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncGenerator[VendorServer, None]:
    async with VendorServer(ChatVendor()) as found:
        yield found


def ask(model: str, env: dict[str, str]) -> StreamTextResult:
    models = ModelRegistry(register_model_providers())
    return stream_text(model=model, prompt="hi", models=models, env=env, max_retries=0, on_error=lambda part: None)


@needs_litellm
async def test_env_says_which_server_and_which_key(server: VendorServer) -> None:
    server.answers = [says("x")]
    env = {"OPENAI_API_KEY": "sk-env", "OPENAI_BASE_URL": server.url}
    assert await ask("litellm:openai/gpt-5", env).text == "x"
    (asked,) = server.asked
    assert (asked.model, asked.key) == ("gpt-5", "sk-env")


@needs_litellm
async def test_a_missing_key_is_called_by_its_name() -> None:
    with pytest.raises(ModelError, match=r"MISTRAL_API_KEY is not set, needed for 'mistral/mistral-large'") as raised:
        await ask("litellm:mistral/mistral-large", {}).text
    assert not raised.value.retryable


@needs_litellm
async def test_a_model_without_its_vendor_is_refused() -> None:
    with pytest.raises(ModelError, match="does not say whose model it is"):
        await ask("litellm:gpt-5", {"OPENAI_API_KEY": "k"}).text


def test_a_model_with_a_server_of_its_own_is_not_found_again_by_name() -> None:
    assert litellm("mistral/mistral-large").is_reopenable
    assert litellm("mistral/mistral-large").name == "litellm:mistral/mistral-large"
    assert not create_litellm(base_url="http://localhost/v1")("openai/m").is_reopenable


def test_the_package_is_not_imported_before_a_model_is_asked() -> None:
    code = "import sys, edgeagents_litellm.plugin; assert 'litellm' not in sys.modules"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)
