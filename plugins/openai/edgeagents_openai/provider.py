"""Which server is asked, with which key, in which of OpenAI's two protocols.

The key and the server come from the worker's ``env``, else from the environment of the process: this is the one place
that looks there. What is sent and read stands in ``responses``, ``chat`` and ``other_answers``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from edgeagents.http import AbortSignal
from edgeagents.models import ModelHandle, ModelRequest, Part
from edgeagents_openai import chat, other_answers, responses

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Api", "OpenAI", "OpenAIProvider", "create_openai", "openai"]

Api: TypeAlias = Literal["responses", "chat"]

OPENAI_URL = "https://api.openai.com/v1"


class OpenAIProvider:
    """Answers for the models of one server.

    Without ``api`` it speaks the Responses API with OpenAI itself, and Chat Completions with any other server.
    With ``keeps_clients`` connections are kept for the next call, and ``aclose`` must be called at the end.
    """

    continues = True

    def __init__(
        self,
        *,
        api: Api | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int = 0,
        keeps_clients: bool = False,
    ) -> None:
        self.name = "openai" if api is None else f"openai.{api}"
        self._api: Api | None = api
        self._api_key, self._base_url, self._headers = api_key, base_url, headers
        self._max_retries = max_retries
        self._keeps_clients = keeps_clients
        self._clients: dict[tuple[str, str], AsyncOpenAI] = {}

    def missing(self, env: Mapping[str, Any]) -> str | None:
        """Say that the key is not set. A server of one's own often needs none."""
        if self._key(env) or not is_openai(self._url(env)):
            return None
        return "OPENAI_API_KEY is not set. Set it in the environment, in .dev.vars or in .env."

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Yield what the model says. Closing the iterator closes the HTTP response."""
        url = self._url(env)
        api = self._api or ("responses" if is_openai(url) else "chat")
        async with self._client(url, self._key(env)) as client:
            if api == "responses":
                parts = responses.stream(client, request)
            else:
                parts = chat.stream(client, request, is_openai=is_openai(url))
            try:
                async for part in parts:
                    yield part
            finally:
                await parts.aclose()

    async def embed(self, model: str, texts: Sequence[str], *, env: Mapping[str, Any]) -> list[list[float]]:
        """Return a vector for each text, all of one length. Raises ``ModelError``."""
        async with self._client(self._url(env), self._key(env)) as client:
            return await other_answers.embed(client, model, texts)

    async def draw(self, model: str, inputs: Mapping[str, Any], *, env: Mapping[str, Any]) -> bytes:
        """Return the picture that ``inputs`` ask for: ``prompt``, ``width``, ``height``. Raises ``ModelError``."""
        async with self._client(self._url(env), self._key(env)) as client:
            return await other_answers.draw(client, model, inputs)

    async def aclose(self) -> None:
        """Close all connections."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    def _key(self, env: Mapping[str, Any]) -> str:
        return self._api_key or _setting(env, "OPENAI_API_KEY")

    def _url(self, env: Mapping[str, Any]) -> str:
        return self._base_url or _setting(env, "OPENAI_BASE_URL") or OPENAI_URL

    @asynccontextmanager
    async def _client(self, url: str, key: str) -> AsyncGenerator[AsyncOpenAI, None]:
        client = self._clients.get((url, key))
        if client is None:
            # Half a second of imports, which a server that asks no model need not spend.
            from openai import AsyncOpenAI

            client = AsyncOpenAI(
                # The package insists on a key; a server that needs none does not look at it.
                api_key=key or "no-key",
                base_url=url,
                default_headers=self._headers,
                max_retries=self._max_retries,
            )
            if self._keeps_clients:
                self._clients[url, key] = client
        try:
            yield client
        finally:
            if not self._keeps_clients:
                await client.close()


class OpenAI:
    """Makes models of one server: ``openai("gpt-4o")``, or ``.responses(...)`` and ``.chat(...)`` to choose the API."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int = 0,
    ) -> None:
        self._settings: dict[str, Any] = {
            "api_key": api_key,
            "base_url": base_url,
            "headers": headers,
            "max_retries": max_retries,
        }
        # The key alone is found again in env; another server is not.
        self._is_reopenable = base_url is None and headers is None

    def __call__(self, model: str) -> ModelHandle:
        return self._make(model, None)

    def responses(self, model: str) -> ModelHandle:
        """Return a model that is asked through the Responses API."""
        return self._make(model, "responses")

    def chat(self, model: str) -> ModelHandle:
        """Return a model that is asked through Chat Completions."""
        return self._make(model, "chat")

    def _make(self, model: str, api: Api | None) -> ModelHandle:
        return ModelHandle(OpenAIProvider(api=api, **self._settings), model, self._is_reopenable)


def create_openai(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    max_retries: int = 0,
) -> OpenAI:
    """Return what makes models with this key, on this server. What is left out comes from ``env`` at each call.

    ``stream_text`` asks again by itself; ``max_retries`` adds those of the openai package, on the machine's clock.
    """
    return OpenAI(api_key=api_key, base_url=base_url, headers=headers, max_retries=max_retries)


openai = create_openai()
"""Makes models with the key and on the server that ``env`` says."""


def is_openai(url: str) -> bool:
    """Return whether ``url`` is one of OpenAI's own servers."""
    host = urlsplit(url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def _setting(env: Mapping[str, Any], name: str) -> str:
    value = env.get(name) or os.environ.get(name) or ""
    return value.strip() if isinstance(value, str) else ""
