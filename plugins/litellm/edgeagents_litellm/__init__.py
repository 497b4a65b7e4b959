"""The models of every vendor that LiteLLM knows: ``litellm:<vendor>/<model>``."""

from __future__ import annotations

from edgeagents_litellm.provider import LiteLLM, LiteLLMProvider, create_litellm, litellm

__all__ = ["LiteLLM", "LiteLLMProvider", "create_litellm", "litellm"]
