"""Capabilities: the reusable parts that an agent is composed of.

An agent's state and callables are capabilities, and so is what a plugin brings through ``register_capabilities``. Each
is a class with hooks, made once per waking with what it needs, never with the agent itself.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from edgeagents.agents.connections import Connection, Connections
    from edgeagents.agents.jobs import Jobs
    from edgeagents.agents.options import AgentOptions
    from edgeagents.http import Request
    from edgeagents.models.tools import Tool
    from edgeagents.objects.context import ObjectContext

__all__ = ["Acting", "Capability", "CapabilityHost", "Emit", "places_of_hooks"]


class Acting(Protocol):
    """Makes the code of a ``with`` block run as the agent: ``get_current_agent()`` is filled in there."""

    def __call__(
        self,
        *,
        connection: Connection[Any] | None = None,
        request: Request | None = None,
        email: object | None = None,
    ) -> AbstractContextManager[None]: ...


class Emit(Protocol):
    """Tells whoever observes the agent that something happened: ``emit("rpc:error", method="add", error="...")``."""

    def __call__(self, type: str, /, **payload: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class CapabilityHost:
    """What a capability gets of the agent that it is part of."""

    ctx: ObjectContext
    env: Any
    name: str
    class_name: str
    connections: Connections
    report: Callable[[Exception, Connection[Any] | None], Awaitable[None]]
    """Hand an error to the agent's ``on_error``. Raises it again unless that takes care of it."""
    options: AgentOptions
    find: Callable[[str], Any]
    """Return the agent's attribute of this name, or None."""
    call: Callable[..., Awaitable[Any]]
    """Call the agent's method of this name with as many of the arguments as it takes. None when there is no such."""
    acting: Acting
    emit: Emit
    set_mcp_servers: Callable[[Mapping[str, Any]], None]
    """Replace what clients are told of MCP servers: ``servers``, ``tools``, ``prompts`` and ``resources``."""
    jobs: Jobs
    """What is to be done later: one table for all capabilities, on the object's one alarm."""

    @property
    def title(self) -> str:
        """The agent as a log names it: ``Counter 'ann'``."""
        return f"{self.class_name} {self.name!r}"


class Capability:
    """A part of an agent. Override the hooks that you need; those that you do not cost nothing.

    Hooks run in the order of the capabilities, before the agent's own handler for the same event.
    """

    name: ClassVar[str] = ""
    """The agent's attribute that is this capability; none when it is empty."""

    exports: ClassVar[tuple[str, ...]] = ()
    """The methods of this capability that the agent has under the same names, unless its class defines them."""

    remote: ClassVar[tuple[str, ...]] = ()
    """The methods of this capability that ``edgeagents.call_part`` may call: what its plugin uses from outside."""

    def __init__(self, host: CapabilityHost) -> None:
        self.host = host

    async def start(self, props: Mapping[str, Any] | None) -> None:
        """The agent wakes; no event has reached it yet."""

    async def request(self, request: Request) -> object | None:
        """A request came that is no upgrade. Return an answer to it, or None to leave it to the next."""

    async def greet(self, connection: Connection[Any], request: Request) -> None:
        """A client that gets protocol frames connects, and has got nothing yet. What is sent here comes first."""

    async def connect(self, connection: Connection[Any], request: Request) -> None:
        """A client connected and has got the agent's identity and state."""

    async def frame(self, connection: Connection[Any], frame: Mapping[str, Any]) -> bool:
        """A message came that holds a JSON object. Return True when it was yours."""
        return False

    async def message(self, connection: Connection[Any], message: str | bytes) -> bool:
        """A message came that was no capability's frame. Return True when it was yours."""
        return False

    async def close(self, connection: Connection[Any], code: int, reason: str, was_clean: bool) -> None:
        """A connection was closed."""

    async def alarm(self) -> None:
        """The object's alarm went off."""

    async def tools_again(self, names: Collection[str]) -> Mapping[str, Tool]:
        """A model's turn that the end of the server has cut goes on, and had these tools of yours (``of_part``).

        Return those that there are. Wait for them if you must, but not for ever: the turn waits meanwhile.
        """
        return {}

    async def dispose(self) -> None:
        """The agent is being destroyed: let go of what would outlive its storage."""


_HOOKS = ("start", "request", "greet", "connect", "frame", "message", "close", "alarm", "dispose")


@functools.lru_cache(maxsize=1024)
def places_of_hooks(kinds: tuple[type[Capability], ...]) -> Mapping[str, tuple[int, ...]]:
    """Return for each hook where in ``kinds`` those capabilities stand that do anything in it."""
    return {
        hook: tuple(place for place, kind in enumerate(kinds) if getattr(kind, hook) is not getattr(Capability, hook))
        for hook in _HOOKS
    }
