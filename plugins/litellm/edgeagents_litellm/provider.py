"""Which vendor is asked, with which key.

LiteLLM takes and gives OpenAI's Chat Completions, whoever's model it is, so what is sent and read stands in
``edgeagents_openai.chat``. Keys come from the worker's ``env`` under the names that LiteLLM gives them; LiteLLM looks
into the environment of the process by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from edgeagents_openai.chat import ChatReader, request_body
from edgeagents_openai.errors import broken_off

from edgeagents.errors import ModelError
from edgeagents.http import AbortSignal
from edgeagents.models import ModelHandle, ModelRequest, Part
from edgeagents_litellm.errors import mapped_errors
from edgeagents_litellm.package import load

__all__ = ["LiteLLM", "LiteLLMProvider", "create_litellm", "litellm"]


class LiteLLMProvider:
    """Answers for ``<vendor>/<model>``, as LiteLLM spells them."""

    name = "litellm"
    continues = True

    def __init__(
        self, *, api_key: str | None = None, base_url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._api_key, self._base_url, self._headers = api_key, base_url, headers or {}

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Yield what the model says. Closing the iterator closes the HTTP response."""
        package = await load()
        vendor = request.model.partition("/")[0].upper().replace("-", "_")
        key = self._api_key or _setting(env, f"{vendor}_API_KEY")
        url = self._base_url or _setting(env, f"{vendor}_API_BASE") or _setting(env, f"{vendor}_BASE_URL")
        _check(package, request.model, key, url)
        body = request_body(request, is_openai=False)
        options = body.pop("extra_body", {})
        with mapped_errors(key):
            answer: Any = await package.acompletion(
                **{
                    **body,
                    "api_key": key or None,
                    "base_url": url or None,
                    "extra_headers": {**self._headers, **request.headers} or None,
                    # The turn asks again, by the clock that it was handed.
                    "num_retries": 0,
                    "max_retries": 0,
                    **options,
                }
            )
        reader = ChatReader()
        has_begun = False
        try:
            with mapped_errors(key):
                async for chunk in answer:
                    found = reader.read(chunk)
                    has_begun = has_begun or bool(found) or getattr(chunk, "usage", None) is not None
                    for part in found:
                        yield part
        finally:
            await _close(answer)
        if not has_begun:
            # The package makes up a last chunk for a response in which it found none.
            raise broken_off()
        for part in reader.end():
            yield part


class LiteLLM:
    """Makes models with one key, on one server: ``litellm("mistral/mistral-large-latest")``."""

    def __init__(
        self, *, api_key: str | None = None, base_url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._api_key, self._base_url, self._headers = api_key, base_url, headers

    def __call__(self, model: str) -> ModelHandle:
        provider = LiteLLMProvider(api_key=self._api_key, base_url=self._base_url, headers=self._headers)
        # The key alone is found again in env; another server is not.
        return ModelHandle(provider, model, self._base_url is None and self._headers is None)


def create_litellm(
    *, api_key: str | None = None, base_url: str | None = None, headers: Mapping[str, str] | None = None
) -> LiteLLM:
    """Return what makes models with this key, on this server. What is left out comes from ``env`` at each call."""
    return LiteLLM(api_key=api_key, base_url=base_url, headers=headers)


litellm = create_litellm()
"""Makes models with the keys that ``env`` has."""


def _check(package: Any, model: str, key: str, url: str) -> None:
    """Raise ``ModelError`` when a vendor's settings are missing: which ones depends on the model."""
    if "/" not in model:
        raise ModelError(f"{model!r} does not say whose model it is. Write 'litellm:vendor/model'.")
    if key or url:
        return
    missing = package.validate_environment(model)["missing_keys"]
    if missing:
        names = " and ".join(missing)
        raise ModelError(
            f"{names} is not set, needed for {model!r}. Set it in the environment, in .dev.vars or in .env."
        )


async def _close(answer: Any) -> None:
    # What the package wraps differs from vendor to vendor.
    for stream in (answer, getattr(answer, "completion_stream", None)):
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        if close is not None:
            closing = close()
            if hasattr(closing, "__await__"):
                await closing


def _setting(env: Mapping[str, Any], name: str) -> str:
    value = env.get(name) or ""
    return value.strip() if isinstance(value, str) else ""
