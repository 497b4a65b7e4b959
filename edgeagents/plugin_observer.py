"""Tells plugins of the life of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgeagents.objects import Observer
from edgeagents.plugins import direct

__all__ = ["PluginObserver"]

_HOOKS: Final[Mapping[str, Sequence[str]]] = {
    "object_woke": ("object_id", "activation"),
    "object_left": ("object_id", "reason"),
    "event_started": ("object_id", "class_name", "event"),
    "event_finished": ("object_id", "event", "error", "seconds"),
}


class PluginObserver(Observer):
    """Calls the plugins' hooks. One that nobody implements is not called."""

    def __init__(self, hook: Any) -> None:
        for name, taken in _HOOKS.items():
            caller = getattr(hook, name)
            if caller.get_hookimpls():
                setattr(self, name, direct(caller, taken))
