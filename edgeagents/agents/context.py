"""Who is running: the agent, and the connection or request that made it run.

One context variable, set wherever an agent's code is entered and inherited by the tasks and threads started there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeagents.http.closing import close

if TYPE_CHECKING:
    from edgeagents.agents.agent import Agent
    from edgeagents.agents.connections import Connection
    from edgeagents.http import Identity, Request

__all__ = ["CurrentAgent", "carry", "current_agent", "get_current_agent"]


class CurrentAgent(NamedTuple):
    """What is running. A field is None where it does not apply.

    ``agent`` is set in all code of an agent; ``connection`` in what a socket set off; ``request`` in ``on_request``
    and ``on_connect``; ``email`` while an email is handled.
    """

    agent: Agent[Any, Any] | None = None
    connection: Connection[Any] | None = None
    request: Request | None = None
    email: object | None = None

    @property
    def identity(self) -> Identity | None:
        """Who made it run, as the hook ``authorise`` found out: the client of ``connection``, or of ``request``."""
        if self.connection is not None:
            return self.connection.identity
        return None if self.request is None else self.request.identity


_NOBODY = CurrentAgent()

current_agent: ContextVar[CurrentAgent] = ContextVar("current_agent", default=_NOBODY)


def get_current_agent() -> CurrentAgent:
    """Return what is running here. Outside of an agent all its fields are None.

    Also true in tasks, threads and streaming bodies that the agent's code started.
    """
    return current_agent.get()


async def _carry_async(items: AsyncIterator[Any], current: CurrentAgent) -> AsyncIterator[Any]:
    take = aiter(items).__anext__
    try:
        while True:
            token = current_agent.set(current)
            try:
                item = await take()
            except StopAsyncIteration:
                return
            finally:
                current_agent.reset(token)
            yield item
    finally:
        token = current_agent.set(current)
        try:
            await close(items)
        finally:
            current_agent.reset(token)


def _carry_sync(items: Iterator[Any], current: CurrentAgent) -> Iterator[Any]:
    try:
        while True:
            token = current_agent.set(current)
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                current_agent.reset(token)
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            token = current_agent.set(current)
            try:
                close()
            finally:
                current_agent.reset(token)


def carry(items: Any, current: CurrentAgent) -> Any:
    """Return ``items``, an iterator, such that it runs as ``current``, whoever takes its items."""
    if isinstance(items, AsyncIterator):
        return _carry_async(items, current)
    return _carry_sync(items, current)
