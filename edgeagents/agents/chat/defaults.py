"""Hooks that an agent class need not define: the base class's own do nothing, and are not called for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["default", "is_defined"]

Hook = TypeVar("Hook", bound=Callable[..., Any])


def default(hook: Hook) -> Hook:
    """Mark the base class's form of a hook."""
    hook.is_default = True  # type: ignore[attr-defined]
    return hook


def is_defined(hook: object) -> bool:
    """Return whether ``hook`` is more than the base class's form."""
    return hook is not None and not getattr(hook, "is_default", False)
