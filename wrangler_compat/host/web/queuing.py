"""How much streams hold: strategies, by count or by bytes."""

from __future__ import annotations

from typing import Any

from wrangler_compat.host.model.proxy import JsProxy, properties

__all__ = ["ByteLengthQueuingStrategy", "CountQueuingStrategy"]


class CountQueuingStrategy(JsProxy):
    """``CountQueuingStrategy``: how much a stream holds, in chunks."""

    def __init__(self, options: Any = None) -> None:
        self.highWaterMark = properties(options).get("highWaterMark")

    def size(self, chunk: Any) -> int:
        """Return 1."""
        return 1


class ByteLengthQueuingStrategy(CountQueuingStrategy):
    """``ByteLengthQueuingStrategy``: how much a stream holds, in bytes."""

    def size(self, chunk: Any) -> Any:
        """Return how many bytes ``chunk`` has."""
        return chunk.byteLength
