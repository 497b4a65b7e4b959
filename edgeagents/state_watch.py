"""Says that an agent's state was changed in place: such a change is seen until the agent leaves memory, and then gone.

A plugin of a runtime with ``debug=True``, for it encodes the state after every event. Nothing else knows of it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgeagents.agents import Agent
from edgeagents.agents.state import SyncedState
from edgeagents.hookspecs import hookimpl

__all__ = ["StateWatch"]


class StateWatch:
    """Looks at the state of an agent whenever no event is with it. Each class is told once."""

    def __init__(self) -> None:
        # An object and its facets share an id.
        self._awake: dict[str, list[Any]] = {}
        self._running = Counter[str]()
        self._told: set[type] = set()

    @hookimpl
    def object_woke(self, object_id: Any, activation: Any) -> None:
        """Begin to look at an agent."""
        if isinstance(activation.instance, Agent):
            self._awake.setdefault(object_id.digits, []).append(activation)

    @hookimpl
    def object_left(self, object_id: Any) -> None:
        """Forget what has left memory."""
        awake = [each for each in self._awake.pop(object_id.digits, ()) if each.failure is None]
        if awake:
            self._awake[object_id.digits] = awake

    @hookimpl
    def event_started(self, object_id: Any) -> None:
        """An event between a change in place and the ``set_state`` after it is not to be told of it."""
        self._running[object_id.digits] += 1

    @hookimpl
    def event_finished(self, object_id: Any) -> None:
        """Look, unless another event is at it."""
        self._running[object_id.digits] -= 1
        if self._running[object_id.digits] > 0:
            return
        del self._running[object_id.digits]
        for activation in self._awake.get(object_id.digits, ()):
            self._look(activation.instance)

    def _look(self, agent: Agent[Any, Any]) -> None:
        cls = type(agent)
        if cls in self._told or agent.capability(SyncedState).is_as_kept():
            return
        self._told.add(cls)
        agent.ctx.logger.warning(
            "The state of %s %r was changed in place. That is neither kept nor sent to clients: make a new value, and "
            "give it to self.set_state(), as in self.set_state({**self.state, 'n': 1}).",
            cls.__name__,
            agent.ctx.id.name,
        )
