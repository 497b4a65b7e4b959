"""Closing what gives its items one by one: when its reader stops early, some of it must clean up."""

from __future__ import annotations

__all__ = ["close"]


async def close(items: object) -> None:
    """Close ``items`` if they can be closed, as what an ``async`` generator has made. Harmless at their end."""
    aclose = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()
