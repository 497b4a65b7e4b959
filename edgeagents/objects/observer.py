"""What can be watched of objects. Every method does nothing, so nobody asks whether there is an observer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagents.objects.activation import Activation
    from edgeagents.objects.events import Event
    from edgeagents.objects.ids import ObjectId

__all__ = ["Observer"]


class Observer:
    """Hears of the life of objects. Called on the event loop; must not block."""

    def object_woke(self, object_id: ObjectId, activation: Activation) -> None:
        """The object was constructed and started."""

    def object_left(self, object_id: ObjectId, reason: str) -> None:
        """The object left memory: ``evicted``, ``hibernated``, ``reset`` or ``stopped``."""

    def event_started(self, object_id: ObjectId, class_name: str, event: Event) -> None:
        """The event has reached the object, and waits to be let in. Called in the task that handles it."""

    def event_finished(self, object_id: ObjectId, event: Event, error: BaseException | None, seconds: float) -> None:
        """The object handled an event."""
