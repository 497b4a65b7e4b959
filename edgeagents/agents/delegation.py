"""Methods of an agent that a part of it does: a line each in the agent's class, whole for readers and type checkers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["done_by"]

P = ParamSpec("P")
R = TypeVar("R")


def done_by(part: str, method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a method that does what ``method`` does of the object's attribute ``part``."""
    name = method.__name__
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def call_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await getattr(getattr(self, part), name)(*args, **kwargs)

        return call_async  # pyright: ignore[reportReturnType]

    @functools.wraps(method)
    def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return getattr(getattr(self, part), name)(*args, **kwargs)

    return call
