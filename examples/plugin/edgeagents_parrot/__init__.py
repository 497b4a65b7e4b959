"""A plugin: a model that repeats what it is told, and long polling for clients without WebSockets.

The entry point names this module. It says what the plugin brings; the objects do the work.
"""

from __future__ import annotations

from edgeagents import hookimpl
from edgeagents.runtime import Runtime
from edgeagents_parrot.long_poll import LongPoll
from edgeagents_parrot.parrot import Parrot

__all__ = ["LongPoll", "Parrot"]


@hookimpl
def register_model_providers() -> list[Parrot]:
    return [Parrot()]


@hookimpl
def register_transports(runtime: Runtime) -> list[LongPoll]:
    return [LongPoll(clock=runtime.clock, rng=runtime.rng)]
