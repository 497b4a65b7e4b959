"""Events: one type for each thing that can arrive at an object. Data only.

Everything reaches an object as one of these, through the same gates, wherever it came from. Nobody changes one. Those
that come often are not frozen all the same: that would make the making of one three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edgeagents.http import Request

if TYPE_CHECKING:
    from edgeagents.objects.websocket import WebSocket

__all__ = [
    "AlarmEvent",
    "AlarmInfo",
    "CallEvent",
    "CloseEvent",
    "Event",
    "FetchEvent",
    "MessageEvent",
    "SocketErrorEvent",
    "StartEvent",
]


@dataclass(frozen=True, slots=True)
class StartEvent:
    """Nothing but: be awake."""


@dataclass(slots=True)
class FetchEvent:
    """An HTTP request, or the handshake of a WebSocket."""

    request: Request


@dataclass(slots=True)
class CallEvent:
    """A method call through a stub. The arguments are copies already."""

    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(slots=True)
class MessageEvent:
    """A message on a hibernatable WebSocket."""

    socket: WebSocket
    message: str | bytes


@dataclass(frozen=True, slots=True)
class CloseEvent:
    """A hibernatable WebSocket was closed by its peer, or lost (1006, not clean)."""

    socket: WebSocket
    code: int
    reason: str
    was_clean: bool


@dataclass(frozen=True, slots=True)
class SocketErrorEvent:
    """A hibernatable WebSocket broke."""

    socket: WebSocket
    error: BaseException


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """The object's alarm may be due; whether it is, only the object's own storage knows.

    With ``facets`` it is the alarm of a facet of the object, or of a facet of that one, and so on.
    """

    facets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmInfo:
    """What an alarm handler is told."""

    scheduled_time: datetime
    retry_count: int

    @property
    def is_retry(self) -> bool:
        """Whether the handler failed before for this alarm."""
        return self.retry_count > 0


Event = StartEvent | FetchEvent | CallEvent | MessageEvent | CloseEvent | SocketErrorEvent | AlarmEvent
