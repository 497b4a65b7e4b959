"""OpenAI's models, and those of every server that speaks its protocol."""

from __future__ import annotations

from edgeagents_openai.provider import Api, OpenAI, OpenAIProvider, create_openai, openai

__all__ = ["Api", "OpenAI", "OpenAIProvider", "create_openai", "openai"]
