"""What the entry point names: the provider, which is imported when it is first asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from edgeagents.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.http import AbortSignal
    from edgeagents.models import ModelProvider, ModelRequest, Part


class _BareAgents:
    name = "pydantic_ai"

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        from edgeagents_pydantic_ai.provider import PydanticAIProvider

        stream: Any = PydanticAIProvider().stream(request, env=env, signal=signal)
        async with aclosing(stream) as parts:
            async for part in parts:
                yield part


@hookimpl
def register_model_providers() -> Iterable[ModelProvider]:
    """Answer for ``pydantic_ai:<model>``, a bare agent with that model."""
    return [_BareAgents()]
