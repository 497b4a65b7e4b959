"""What the entry point names: the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagents.hookspecs import hookimpl
from edgeagents_pydantic_ai.provider import PydanticAIProvider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.models import ModelProvider


@hookimpl
def register_model_providers() -> Iterable[ModelProvider]:
    """Answer for ``pydantic_ai:<model>``, a bare agent with that model."""
    return [PydanticAIProvider()]
