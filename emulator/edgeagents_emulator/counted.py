"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, many: str) -> str:
    """Return ``1 key is`` or ``3 keys are``, of ``"key is"`` and ``"keys are"``."""
    return f"{number} {one if number == 1 else many}"
