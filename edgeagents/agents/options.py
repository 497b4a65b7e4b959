"""Choices that hold for all agents of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from edgeagents.errors import ConfigError

__all__ = ["AgentOptions"]


@dataclass(frozen=True)
class AgentOptions:
    """Choices that hold for all agents of a class: its attribute ``options``, an ``AgentOptions`` or a dict.

    The defaults are those of the TypeScript SDK's ``static options``.
    """

    send_identity_on_connect: bool = True
    """Tell clients the agent's name and class. Without it ``ready`` never resolves in the official clients."""

    @classmethod
    def of(cls, options: AgentOptions | Mapping[str, Any], class_name: str) -> AgentOptions:
        """Return ``options`` as ``AgentOptions``. Raises ``ConfigError`` for one that there is not."""
        if isinstance(options, AgentOptions):
            return options
        known = {field.name for field in fields(cls)}
        if unknown := options.keys() - known:
            raise ConfigError(
                f"{class_name}.options has {', '.join(map(repr, sorted(unknown)))}, which agents do not know. "
                f"They know: {', '.join(sorted(known))}."
            )
        return cls(**options)
