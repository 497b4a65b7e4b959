"""Agents of Pydantic AI, as a model for ``stream_text`` or as the whole answer."""

from __future__ import annotations

from edgeagents_pydantic_ai.provider import PydanticAIProvider, pydantic_ai_model
from edgeagents_pydantic_ai.stream import stream_agent

__all__ = ["PydanticAIProvider", "pydantic_ai_model", "stream_agent"]
