"""Functions: Python's, as JavaScript calls them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["call_relaxed", "method_of", "relaxed"]


def relaxed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` so that positional arguments too many and keywords unknown are dropped."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        return call_relaxed(function, *args, **keywords)

    return call


def call_relaxed(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Call ``function`` with as many of ``args``, and such of ``keywords``, as it takes."""
    room, names = _shape(function)
    if room is not None:
        args = args[:room]
    if names is not None and keywords:
        keywords = {name: value for name, value in keywords.items() if name in names}
    return function(*args, **keywords)


def method_of(holder: Any, name: str) -> Callable[..., Any] | None:
    """Return the function ``name`` of an object, or of a dict or object of Python; None where there is none."""
    found = holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
    return found if callable(found) else None


def _shape(function: Callable[..., Any]) -> tuple[int | None, frozenset[str] | None]:
    target = getattr(function, "__func__", function)
    try:
        room, names = _known_shape(target)
    except TypeError:  # Not hashable.
        room, names = _known_shape.__wrapped__(target)
    if room is not None and target is not function:
        room -= 1
    return room, names


@functools.lru_cache(maxsize=4096)
def _known_shape(function: Callable[..., Any]) -> tuple[int | None, frozenset[str] | None]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None, None
    takes_rest = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    takes_names = any(p.kind is p.VAR_KEYWORD for p in parameters)
    room = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    names = frozenset(p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))
    return None if takes_rest else room, None if takes_names else names
