"""What such a server gives beside text: vectors of texts, and pictures. Workers AI's binding asks for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeagents.errors import ModelError
from edgeagents_openai.errors import mapped_errors

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["draw", "embed"]


async def embed(client: AsyncOpenAI, model: str, texts: Sequence[str]) -> list[list[float]]:
    """Return a vector for each text."""
    with mapped_errors(client.api_key):
        # Other servers do not know base64, which the package would ask for.
        answer = await client.embeddings.create(model=model, input=list(texts), encoding_format="float")
    return [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]


async def draw(client: AsyncOpenAI, model: str, inputs: Mapping[str, Any]) -> bytes:
    """Return the picture for ``inputs["prompt"]``, of ``width`` and ``height`` when both are given."""
    body: dict[str, Any] = {"model": model, "prompt": str(inputs.get("prompt") or ""), "n": 1}
    if inputs.get("width") and inputs.get("height"):
        body["size"] = f"{int(inputs['width'])}x{int(inputs['height'])}"
    if model.startswith("dall-e"):
        # Later models answer so always, and refuse to be asked.
        body["response_format"] = "b64_json"
    with mapped_errors(client.api_key):
        answer = await client.images.generate(**body)
    content = answer.data[0].b64_json if answer.data else None
    if content is None:
        raise ModelError("The model's server sent no picture.")
    return base64.b64decode(content)
