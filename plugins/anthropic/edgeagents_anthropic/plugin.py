"""What the entry point names: the provider, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagents.hookspecs import hookimpl
from edgeagents_anthropic.provider import AnthropicProvider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.models import ModelProvider
    from edgeagents.runtime import Runtime


@hookimpl
def register_model_providers() -> Iterable[ModelProvider]:
    """Answer for ``anthropic:``."""
    return [AnthropicProvider(keeps_clients=True)]


@hookimpl
async def shutdown(runtime: Runtime) -> None:
    """Close the connections."""
    provider = runtime.models.get("anthropic")
    if isinstance(provider, AnthropicProvider):
        await provider.aclose()
