"""Which server is asked, with which key.

Both come from the worker's ``env``, else from the environment of the process: this is the one place that looks there.
What is sent and read stands in ``request`` and ``reader``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edgeagents.http import AbortSignal
from edgeagents.models import ModelHandle, ModelRequest, Part
from edgeagents_anthropic.errors import broken_off, mapped_errors
from edgeagents_anthropic.reader import Reader
from edgeagents_anthropic.request import (
    FIRST_VERSION,
    first_version_needed,
    is_prefilled,
    request_body,
)

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["Anthropic", "AnthropicProvider", "anthropic", "create_anthropic"]

ANTHROPIC_URL = "https://api.anthropic.com"


class AnthropicProvider:
    """Answers for the models of one server.

    With ``keeps_clients`` connections are kept for the next call, and ``aclose`` must be called at the end.
    """

    name = "anthropic"
    continues = True

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        keeps_clients: bool = False,
    ) -> None:
        self._api_key, self._base_url, self._headers = api_key, base_url, headers
        self._keeps_clients = keeps_clients
        self._clients: dict[tuple[str, str], AsyncAnthropic] = {}

    def missing(self, env: Mapping[str, Any]) -> str | None:
        """Say that the key is not set. A server of one's own often needs none."""
        if self._key(env) or urlsplit(self._url(env)).hostname != urlsplit(ANTHROPIC_URL).hostname:
            return None
        return "ANTHROPIC_API_KEY is not set. Set it in the environment, in .dev.vars or in .env."

    async def stream(
        self,
        request: ModelRequest,
        *,
        env: Mapping[str, Any],
        signal: AbortSignal | None,
    ) -> AsyncIterator[Part]:
        """Yield what the model says. Closing the iterator closes the HTTP response."""
        key = self._key(env)
        body = request_body(request)
        headers = dict(request.headers)
        if first_version_needed(request):
            headers = {
                "anthropic-version": FIRST_VERSION,
                "x-api-key": key or "no-key",
                **headers,
            }
        said = request.prefix[len(request.prefix.rstrip()) :] if is_prefilled(request) else ""
        reader = Reader(said)
        async with self._client(self._url(env), key) as client:
            with mapped_errors(key):
                answer: Any = await client.messages.create(
                    model=body.pop("model"),
                    messages=body.pop("messages"),
                    max_tokens=body.pop("max_tokens"),
                    stream=True,
                    extra_headers=headers,
                    # All else goes as it is: the package knows neither older nor newer fields.
                    extra_body=body,
                )
            try:
                with mapped_errors(key):
                    async for event in answer:
                        for part in reader.read(event):
                            yield part
            finally:
                await answer.close()
        if not reader.has_ended:
            raise broken_off()

    async def aclose(self) -> None:
        """Close all connections."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    def _key(self, env: Mapping[str, Any]) -> str:
        return self._api_key or _setting(env, "ANTHROPIC_API_KEY")

    def _url(self, env: Mapping[str, Any]) -> str:
        return self._base_url or _setting(env, "ANTHROPIC_BASE_URL") or ANTHROPIC_URL

    @asynccontextmanager
    async def _client(self, url: str, key: str) -> AsyncGenerator[AsyncAnthropic, None]:
        client = self._clients.get((url, key))
        if client is None:
            # A second of imports, which a server that asks no model need not spend.
            from anthropic import AsyncAnthropic

            client = AsyncAnthropic(
                # The package insists on a key; a server that needs none does not look at it.
                api_key=key or "no-key",
                base_url=url,
                default_headers=self._headers,
                # The turn asks again, by the clock that it was handed.
                max_retries=0,
            )
            if self._keeps_clients:
                self._clients[url, key] = client
        try:
            yield client
        finally:
            if not self._keeps_clients:
                await client.close()


class Anthropic:
    """Makes models of one server: ``anthropic("claude-sonnet-5-5")``."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._api_key, self._base_url, self._headers = api_key, base_url, headers

    def __call__(self, model: str) -> ModelHandle:
        provider = AnthropicProvider(api_key=self._api_key, base_url=self._base_url, headers=self._headers)
        # The key alone is found again in env; another server is not.
        return ModelHandle(provider, model, self._base_url is None and self._headers is None)


def create_anthropic(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Anthropic:
    """Return what makes models with this key, on this server. What is left out comes from ``env`` at each call."""
    return Anthropic(api_key=api_key, base_url=base_url, headers=headers)


anthropic = create_anthropic()
"""Makes models with the key and on the server that ``env`` says."""


def _setting(env: Mapping[str, Any], name: str) -> str:
    value = env.get(name) or os.environ.get(name) or ""
    return value.strip() if isinstance(value, str) else ""
