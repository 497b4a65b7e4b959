"""Anthropic's models, and those of every server that speaks the Messages API."""

from __future__ import annotations

from edgeagents_anthropic.provider import (
    Anthropic,
    AnthropicProvider,
    anthropic,
    create_anthropic,
)

__all__ = ["Anthropic", "AnthropicProvider", "anthropic", "create_anthropic"]
