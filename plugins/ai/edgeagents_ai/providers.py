"""What a model provider may do beside answering in text. A provider that has such a method is asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

__all__ = ["Draws", "Embeds"]


@runtime_checkable
class Embeds(Protocol):
    """A provider that turns texts into vectors."""

    async def embed(self, model: str, texts: Sequence[str], *, env: Mapping[str, Any]) -> Sequence[Sequence[float]]:
        """Return a vector for each text, all of one length. Raises ``ModelError``."""
        ...


@runtime_checkable
class Draws(Protocol):
    """A provider that makes pictures."""

    async def draw(self, model: str, inputs: Mapping[str, Any], *, env: Mapping[str, Any]) -> bytes:
        """Return the picture (PNG or JPEG) that ``inputs`` ask for, as Workers AI has them: ``prompt``, ``seed``, ...

        Raises ``ModelError``.
        """
        ...
