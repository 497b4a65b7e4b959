"""The handlers that an agent class defines, and how they are called.

All are optional, sync or async, and may leave out trailing parameters that they do not need. One that a class does not
define costs nothing: it is never called.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edgeagents.objects.eager import NOTHING

if TYPE_CHECKING:
    from edgeagents.agents.connections import Connection
    from edgeagents.objects.context import ObjectContext

__all__ = ["HOOKS", "Hooks", "defined_hooks", "handler", "room_of"]

HOOKS = (
    "on_start",
    "on_request",
    "on_connect",
    "on_message",
    "on_close",
    "on_error",
    "on_state_changed",
    "on_alarm",
    "get_connection_tags",
    "should_connection_be_readonly",
    "should_send_protocol_messages",
    "select_subprotocol",
    "on_before_sub_agent",
)

_ANY_NUMBER = 1_000


def handler(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a subclass define ``function`` with fewer parameters, sync or async, as far as a type checker is concerned.

    It is given as many arguments as it takes.
    """
    return function


def defined_hooks(cls: type, base: type) -> dict[str, int]:
    """Return the hooks that ``cls`` defines beyond ``base``, with the number of arguments that each takes."""
    return {
        name: _room(function) - 1  # self
        for name in HOOKS
        if (function := getattr(cls, name, None)) is not None and function is not getattr(base, name, None)
    }


@lru_cache(maxsize=4096)
def _room(function: Callable[..., Any]) -> int:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return _ANY_NUMBER
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )


def room_of(function: Callable[..., Any]) -> int:
    """Return how many arguments a function or bound method takes."""
    # A bound method is made anew each time it is looked up, the function under it is not. Others may be made anew for
    # each call, so to remember them would keep them and all that they close over.
    method = getattr(function, "__func__", None)
    return _room.__wrapped__(function) if method is None else _room(method) - 1


class Hooks:
    """The hooks of one agent. ``find`` gets a handler by its name, ``rooms`` says which there are."""

    def __init__(
        self,
        ctx: ObjectContext,
        rooms: Mapping[str, int],
        find: Callable[[str], Any],
        default_on_error: Callable[[Exception, Connection[Any] | None], object],
    ) -> None:
        self._ctx, self._rooms, self._find, self._default_on_error = ctx, rooms, find, default_on_error

    def __contains__(self, name: str) -> bool:
        return name in self._rooms

    def run(self, name: str, *args: Any) -> Awaitable[Any]:
        """Call a hook with as many of ``args`` as it takes; None when it is not defined."""
        room = self._rooms.get(name)
        return NOTHING if room is None else self._ctx.invoke(self._find(name), *args[:room])

    async def call(self, name: str, *args: Any) -> Any:
        """Call the agent's method ``name`` with as many of ``args`` as it takes; None when there is no such."""
        method = self._find(name)
        return None if method is None else await self._ctx.invoke(method, *args[: room_of(method)])

    async def report(self, error: Exception, connection: Connection[Any] | None = None) -> None:
        """Call ``on_error``. Raises what that raises, which is ``error`` itself unless the agent takes care of it."""
        if "on_error" in self._rooms:
            await self.run("on_error", error, connection)
        else:
            self._default_on_error(error, connection)
