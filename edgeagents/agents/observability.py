"""Observability: what agents tell of themselves, for whoever watches.

Each event has a type such as ``rpc:error`` and goes to the channel ``agents:rpc``. With nobody listening an event costs
a look at an empty list; what a listener raises is logged and does not reach the agent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from edgeagents.redaction import redact

__all__ = ["AgentEvent", "EventBus", "Listener", "log_events"]

_log = logging.getLogger("edgeagents.events")


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Something that an agent did. ``agent`` is its class, ``name`` its name, ``payload`` depends on ``type``."""

    type: str
    agent: str
    name: str
    payload: Mapping[str, Any]
    timestamp: datetime

    @property
    def channel(self) -> str:
        """``agents:`` and what stands before the colon of the type: ``agents:rpc`` for ``rpc:error``."""
        if self.type.startswith("chat:transcript:"):
            return "agents:transcript"
        kind = self.type.partition(":")[0]
        return f"agents:{_CHANNELS.get(kind, kind)}"


_CHANNELS = {
    "connect": "lifecycle",
    "disconnect": "lifecycle",
    "destroy": "lifecycle",
    "job": "schedule",
    "queue": "schedule",
    "alarm": "schedule",
    "tool": "message",
}
"""The types whose channel has another name than what stands before their colon."""

Listener = Callable[[AgentEvent], object]


class EventBus:
    """Where the agents of a runtime tell of themselves."""

    def __init__(self) -> None:
        self._listeners: list[tuple[str | None, Listener]] = []

    @property
    def is_silent(self) -> bool:
        """Whether nobody listens."""
        return not self._listeners

    def subscribe(self, channel: str | None, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with each event of ``channel`` (None: of all); return what ends that.

        It is called at once, where the event happens: it must not block.
        """
        entry = (channel, listener)
        self._listeners.append(entry)

        def unsubscribe() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        return unsubscribe

    def publish(self, event: AgentEvent) -> None:
        """Tell ``event`` to those who listen to its channel."""
        if isinstance(text := event.payload.get("error"), str) and (clean := redact(text)) != text:
            event = replace(event, payload={**event.payload, "error": clean})
        for channel, listener in tuple(self._listeners):
            if channel is None or channel == event.channel:
                try:
                    listener(event)
                except Exception:
                    _log.exception("A listener failed at %s of %s %r.", event.type, event.agent, event.name)


def log_events(logger: logging.Logger = _log, level: int = logging.INFO) -> Listener:
    """Return a listener that writes a line for each event: ``runtime.events.subscribe(None, log_events())``."""

    def write(event: AgentEvent) -> None:
        details = " ".join(f"{name}={value!r}" for name, value in event.payload.items())
        # A name is a client's own choice, and must not make a line of its own.
        agent = event.name if event.name.isprintable() else repr(event.name)
        logger.log(level, "%s", redact(f"{event.type} {event.agent} {agent} {details}"))

    return write
