"""What kind of model a name is. Known are Cloudflare's families; of a name that is none of them, it is a chat model."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from edgeagents_ai.errors import InferenceUpstreamError

__all__ = ["KNOWN", "Task", "check_name", "dimensions_of", "listing_of", "task_of"]

Task = Literal["chat", "responses", "embedding", "rerank", "translation", "summary", "image", "other"]

# The first that is found in the name counts.
_FAMILIES: Final[tuple[tuple[str, Task], ...]] = (
    (r"gpt-oss", "responses"),
    (r"reranker", "rerank"),
    (r"bge-|embedding|embed-", "embedding"),
    (r"m2m100|indictrans", "translation"),
    (r"bart-large-cnn", "summary"),
    (r"flux-[12]|stable-diffusion|dreamshaper|phoenix|lucid-origin", "image"),
    (r"whisper|nova-3|aura-|melotts|deepgram|smart-turn", "other"),
    (r"resnet|detr-|distilbert", "other"),
)

_DIMENSIONS: Final = (("bge-small", 384), ("bge-large", 1024), ("bge-m3", 1024), ("qwen3-embedding", 1024))
_USUAL_DIMENSIONS: Final = 768

KNOWN: Final = (
    "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
    "@cf/meta/llama-3.1-8b-instruct",
    "@cf/meta/llama-4-scout-17b-16e-instruct",
    "@cf/mistralai/mistral-small-3.1-24b-instruct",
    "@cf/google/gemma-3-12b-it",
    "@cf/qwen/qwen2.5-coder-32b-instruct",
    "@cf/openai/gpt-oss-120b",
    "@cf/openai/gpt-oss-20b",
    "@cf/baai/bge-small-en-v1.5",
    "@cf/baai/bge-base-en-v1.5",
    "@cf/baai/bge-large-en-v1.5",
    "@cf/baai/bge-m3",
    "@cf/baai/bge-reranker-base",
    "@cf/google/embeddinggemma-300m",
    "@cf/meta/m2m100-1.2b",
    "@cf/facebook/bart-large-cnn",
)
"""Models that are listed, and that something here answers for. Others of Cloudflare's names are answered for too."""

_TASK_NAMES: Final[dict[Task, str]] = {
    "chat": "Text Generation",
    "responses": "Text Generation",
    "embedding": "Text Embeddings",
    "rerank": "Text Classification",
    "translation": "Translation",
    "summary": "Summarization",
    "image": "Text-to-Image",
    "other": "Other",
}


def task_of(model: str) -> Task:
    """Return what ``model`` is for."""
    name = model.lower()
    for pattern, task in _FAMILIES:
        if re.search(pattern, name):
            return task
    return "chat"


def dimensions_of(model: str) -> int:
    """Return how long the vectors of an embedding model are."""
    return next((size for part, size in _DIMENSIONS if part in model.lower()), _USUAL_DIMENSIONS)


def check_name(model: Any) -> str:
    """Return ``model`` if it may be the name of one of Cloudflare's models. Raises ``InferenceUpstreamError``."""
    if not isinstance(model, str) or not re.fullmatch(r"@(cf|hf)/[^/\s]+/\S+", model):
        raise InferenceUpstreamError(f"No such model {model} or task", 5007)
    return model


def listing_of(model: str) -> dict[str, Any]:
    """Return what the list of models tells of one."""
    task = _TASK_NAMES[task_of(model)]
    return {
        "id": model,
        "source": 1,
        "name": model,
        "description": "",
        "task": {"id": task.lower().replace(" ", "-"), "name": task, "description": ""},
        "tags": [],
        "properties": [],
    }
