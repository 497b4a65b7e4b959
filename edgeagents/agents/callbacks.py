"""Methods of an agent that are called later: kept by name, for the name is what outlives the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeagents.agents.capability import CapabilityHost
from edgeagents.errors import AgentError

__all__ = ["Callback", "callback_name", "run_callback"]

Callback = str | Callable[..., Any]
"""The name of a method of the agent, or the method: ``"remind"`` or ``self.remind``."""


def callback_name(host: CapabilityHost, callback: object, unknown: str) -> str:
    """Return the name of a callback. Raises ``AgentError``: with ``unknown`` when the agent has no such method."""
    if not isinstance(callback, str):
        name = getattr(callback, "__name__", None)
        if not callable(callback) or not isinstance(name, str):
            raise AgentError("Callback must be a string")
        if host.find(name) != callback:
            raise AgentError(
                f"{name}() is no method of {host.class_name}, so it cannot be found again later. "
                "Make it one, and give that or its name."
            )
        return name
    if not callable(host.find(callback)):
        error = AgentError(unknown.format(callback))
        error.add_note(f"{host.class_name} has no method {callback!r}: it is called later by that name.")
        raise error
    return callback


async def run_callback(host: CapabilityHost, name: str, *args: Any) -> None:
    """Call an agent's method by name. One that its class has no more is logged."""
    if not callable(host.find(name)):
        host.ctx.logger.error("%s has no method %r any more, which was to be called now.", host.class_name, name)
        return
    await host.call(name, *args)
