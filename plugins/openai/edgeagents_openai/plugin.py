"""What the entry point names: the providers, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagents.hookspecs import hookimpl
from edgeagents_openai.provider import OpenAIProvider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.models import ModelProvider
    from edgeagents.runtime import Runtime


@hookimpl
def register_model_providers() -> Iterable[ModelProvider]:
    """Answer for ``openai:``, ``openai.responses:`` and ``openai.chat:``."""
    return [
        OpenAIProvider(keeps_clients=True),
        OpenAIProvider(api="responses", keeps_clients=True),
        OpenAIProvider(api="chat", keeps_clients=True),
    ]


@hookimpl
async def shutdown(runtime: Runtime) -> None:
    """Close the connections."""
    for name in ("openai", "openai.responses", "openai.chat"):
        provider = runtime.models.get(name)
        if isinstance(provider, OpenAIProvider):
            await provider.aclose()
