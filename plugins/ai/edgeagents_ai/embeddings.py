"""Embeddings: vectors of texts.

Without a provider they are made here, without a model: each word, and each group of three letters in it, adds to a
place in the vector that its hash says. Texts with words in common are near each other, and a text has the same vector
everywhere and always. What a text means is not known.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from edgeagents.errors import ModelError
from edgeagents_ai.catalogue import dimensions_of
from edgeagents_ai.errors import InferenceUpstreamError
from edgeagents_ai.names import ModelNames
from edgeagents_ai.providers import Embeds

__all__ = ["MOST_TEXTS", "embed", "local_embedding", "run_embedding", "run_rerank"]

MOST_TEXTS = 100
_OF_LETTERS = 0.3
"""What a group of letters counts, beside a word's one."""


def local_embedding(text: str, dimensions: int) -> list[float]:
    """Return the vector of ``text``, of length one (all zeros when it has no words)."""
    vector = [0.0] * dimensions
    for feature, weight in _features(text):
        digest = hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        vector[number % dimensions] += weight if number >> 63 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in re.findall(r"\w+", text.lower()):
        yield word, 1.0
        padded = f" {word} "
        for start in range(len(padded) - 2):
            yield f"~{padded[start : start + 3]}", _OF_LETTERS


async def embed(names: ModelNames, model: str, texts: Sequence[str]) -> list[list[float]]:
    """Return a vector for each text: those of the provider that the name is mapped to, else ours."""
    found = names.find(model)
    if found is None or found.is_free:
        size = dimensions_of(model)
        return [local_embedding(text, size) for text in texts]
    if not isinstance(found.provider, Embeds):
        raise InferenceUpstreamError(
            f"The provider of {found.name!r} makes no embeddings (it has no method embed). "
            f"Map {model} to one that does, or leave it out of the map to have local ones."
        )
    try:
        return [list(vector) for vector in await found.provider.embed(found.model, texts, env=names.env)]
    except ModelError as error:
        raise InferenceUpstreamError(str(error)) from error


async def run_embedding(names: ModelNames, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer as an embedding model: ``{"shape", "data", "pooling"}``; to a ``query`` with scores of ``contexts``."""
    if inputs.get("contexts") is not None:
        return await run_rerank(names, model, inputs)
    text = inputs.get("text", inputs.get("queries", inputs.get("documents")))
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
        raise InferenceUpstreamError("Error: required properties at '/' are 'text'", 5006)
    if len(texts) > MOST_TEXTS:
        text = f"Error: Length of '/text' must be <= {MOST_TEXTS}, {len(texts)} were given"
        raise InferenceUpstreamError(text, 5006)
    vectors = await embed(names, model, texts)
    pooling = inputs.get("pooling") or "mean"
    return {"shape": [len(vectors), len(vectors[0])], "data": vectors, "pooling": pooling}


async def run_rerank(names: ModelNames, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer as a reranker: ``{"response": [{"id", "score"}]}``, the best first, by likeness of the vectors."""
    query, contexts = inputs.get("query"), inputs.get("contexts")
    if not isinstance(query, str) or not isinstance(contexts, list) or not contexts:
        raise InferenceUpstreamError("Error: required properties at '/' are 'query', 'contexts'", 5006)
    texts = [one.get("text", "") if isinstance(one, dict) else str(one) for one in contexts]
    first, *others = await embed(names, model, [query, *texts])
    scored = [
        {"id": i, "score": sum(a * b for a, b in zip(first, other, strict=True))} for i, other in enumerate(others)
    ]
    scored.sort(key=lambda one: -one["score"])
    return {"response": scored[: int(inputs.get("top_k") or len(scored))]}
