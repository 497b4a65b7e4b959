"""Agents of Pydantic AI, as a model for ``stream_text`` or as the whole answer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeagents_pydantic_ai.provider import PydanticAIProvider, pydantic_ai_model
    from edgeagents_pydantic_ai.stream import stream_agent

__all__ = ["PydanticAIProvider", "pydantic_ai_model", "stream_agent"]

_MODULES = {"PydanticAIProvider": "provider", "pydantic_ai_model": "provider", "stream_agent": "stream"}


def __getattr__(name: str) -> Any:
    # Pydantic AI takes half a second to import, which a server that only has it installed need not spend.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
