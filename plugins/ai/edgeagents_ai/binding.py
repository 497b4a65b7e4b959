"""The binding: what is found in ``env``."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from edgeagents.errors import ModelError
from edgeagents.http import Response
from edgeagents_ai.asking import invalid
from edgeagents_ai.catalogue import KNOWN, listing_of, task_of
from edgeagents_ai.chat import run_chat, run_completion
from edgeagents_ai.embeddings import run_embedding, run_rerank
from edgeagents_ai.errors import InferenceUpstreamError
from edgeagents_ai.gateway import AiGateway
from edgeagents_ai.markdown import ToMarkdownService
from edgeagents_ai.names import ModelNames
from edgeagents_ai.providers import Draws
from edgeagents_ai.responses import run_responses
from edgeagents_ai.texts import run_summary, run_translation

if TYPE_CHECKING:
    import random

    from edgeagents.objects import Clock

__all__ = ["Ai"]


class Ai:
    """Workers AI, answered by model providers."""

    js_name: ClassVar[str] = "Ai"

    def __init__(self, names: ModelNames, clock: Clock, rng: random.Random) -> None:
        self._names, self._clock, self._rng = names, clock, rng
        self._last_request_id: str | None = None

    @property
    def last_request_id(self) -> str | None:
        """A name for the last call, None before the first."""
        return self._last_request_id

    @property
    def ai_gateway_log_id(self) -> None:
        """None: the gateway keeps no logs here."""
        return None

    async def run(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        gateway: Mapping[str, Any] | None = None,
        return_raw_response: bool = False,
        websocket: bool = False,
        queue_request: bool = False,
        prefix: str | None = None,
        extra_headers: Mapping[str, Any] | None = None,
        session_options: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        signal: Any = None,
    ) -> Any:
        """Ask ``model`` and return its answer, in the shape that such a model has.

        Chat models: ``{"response", "usage"}``, with ``stream`` in ``inputs`` an async iterator of server-sent events.
        ``gpt-oss``: that of the Responses API. Embeddings: ``{"shape", "data", "pooling"}``. With
        ``return_raw_response`` it is a ``Response``. The other options change nothing here.
        Raises ``InferenceUpstreamError``.
        """
        if websocket or queue_request:
            raise InferenceUpstreamError("Models here answer when they are asked: no websocket, no queueRequest.")
        if not isinstance(inputs, Mapping):
            raise invalid("Error: Type mismatch of '/', 'object' expected")
        self._last_request_id = self._rng.randbytes(16).hex()
        answer = await self._answer(model, dict(inputs), self._last_request_id)
        return _raw(answer, self._last_request_id) if return_raw_response else answer

    async def _answer(self, model: Any, inputs: dict[str, Any], answer_id: str) -> Any:
        names, env = self._names, self._names.env
        found = names.find(model)
        match task_of(model):
            case "embedding":
                return await run_embedding(names, model, inputs)
            case "rerank":
                return await run_rerank(names, model, inputs)
            case "image":
                return await self._draw(model, inputs)
            case "translation":
                return await run_translation(names.resolve(model), inputs, env)
            case "summary":
                return await run_summary(names.resolve(model), inputs, env)
            case "responses" if "messages" in inputs:
                return await run_completion(names.resolve(model), model, inputs, env, self._clock, answer_id)
            case "responses":
                return await run_responses(names.resolve(model), model, inputs, env, self._clock, answer_id)
            case "other" if found is None:
                raise InferenceUpstreamError(
                    f"Nothing here can stand in for {model}: models of speech, pictures and classes have no offline "
                    "form. Run it on Cloudflare, or call a service of your own."
                )
            case _:
                return await run_chat(names.resolve(model), inputs, env)

    async def _draw(self, model: str, inputs: dict[str, Any]) -> Any:
        found = self._names.find(model)
        if found is None or not isinstance(found.provider, Draws):
            raise InferenceUpstreamError(
                f"Nobody here draws for {model}. Map its name, in the binding's models, to a provider that makes "
                "pictures (one that has a method draw)."
            )
        try:
            picture = await found.provider.draw(found.model, inputs, env=self._names.env)
        except ModelError as error:
            raise InferenceUpstreamError(str(error)) from error
        # The newer families answer with text in base64, the older ones with the bytes.
        if "stable-diffusion" in model or "dreamshaper" in model:
            return _whole(picture)
        return {"image": base64.b64encode(picture).decode()}

    async def _complete(self, model: str, inputs: Mapping[str, Any]) -> Any:
        """Answer in the form of OpenAI's chat completions, for the gateway."""
        answer_id = self._rng.randbytes(16).hex()
        resolved = self._names.resolve(model)
        return await run_completion(resolved, model, inputs, self._names.env, self._clock, answer_id)

    async def models(
        self,
        *,
        author: str | None = None,
        hide_experimental: bool | None = None,
        page: int | None = None,
        per_page: int | None = None,
        search: str | None = None,
        source: int | None = None,
        task: str | None = None,
        format: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the models that are mapped, and well-known ones that are answered for without."""
        names = [name for name in self._names.mapped() if "*" not in name]
        listed = [listing_of(name) for name in dict.fromkeys([*names, *KNOWN])]
        if search:
            listed = [one for one in listed if search.lower() in one["name"].lower()]
        if task:
            listed = [one for one in listed if one["task"]["name"].lower() == task.lower()]
        if author:
            listed = [one for one in listed if one["name"].split("/")[1:2] == [author]]
        size = int(per_page or len(listed) or 1)
        start = (int(page or 1) - 1) * size
        return listed[start : start + size]

    def gateway(self, gateway_id: str) -> AiGateway:
        """Return the AI Gateway of that name."""
        return AiGateway(self, gateway_id, self._names.env)

    def to_markdown(self, files: Any = None, options: Any = None) -> Any:
        """Turn documents into Markdown: one ``{"name", "blob"}``, or several, give as many results when awaited.

        Without any, returns what has ``transform`` and ``supported``.
        """
        service = ToMarkdownService()
        return service if files is None else service.transform(files, options)

    def autorag(self, name: str = "") -> NoReturn:
        """Raise: AutoRAG has no local meaning."""
        raise InferenceUpstreamError(
            f"AutoRAG (AI Search) is a service of Cloudflare's: there is no instance {name!r} here. "
            "Use the embeddings of this binding with a Vectorize index."
        )

    def ai_search(self, name: str = "") -> NoReturn:
        """Raise: as ``autorag``."""
        self.autorag(name)

    def get_logs(self) -> list[str]:
        """Return nothing."""
        return []


def _raw(answer: Any, request_id: str) -> Response:
    fields = {"cf-ai-req-id": request_id}
    if isinstance(answer, AsyncIterator):
        return Response(answer, headers={**fields, "content-type": "text/event-stream"})
    return Response(json.dumps(answer, ensure_ascii=False), headers={**fields, "content-type": "application/json"})


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
