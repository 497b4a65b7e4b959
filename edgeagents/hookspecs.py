"""Everything that a plugin can do, a hook each.

A plugin is a module or object with functions of these names, marked with ``@edgeagents.hookimpl`` and named by an
entry point of the group ``edgeagents``. An implementation takes only the arguments that it wants. A hook hands over
objects while the runtime boots; the objects do the work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from edgeagents.agents import AgentEvent, Capability
    from edgeagents.bindings import BindingDeclaration, BindingType
    from edgeagents.extensions import DeveloperRoute, Transport, Trigger
    from edgeagents.http import Identity, Request, Response
    from edgeagents.models import ModelProvider
    from edgeagents.objects import Activation, Event, ObjectId, StorageBackend
    from edgeagents.placement import Placement
    from edgeagents.runtime import Runtime
    from edgeagents.worker import Worker

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("edgeagents")
hookimpl = pluggy.HookimplMarker("edgeagents")


@hookspec
def register_bindings(runtime: Runtime) -> Iterable[BindingType]:  # pyright: ignore[reportReturnType]
    """Return the types of binding that this plugin provides."""


@hookspec
def declare_bindings(runtime: Runtime, worker: Worker) -> Iterable[BindingDeclaration]:  # pyright: ignore[reportReturnType]
    """Return bindings that the worker gets beside those that it declares itself."""


@hookspec
def register_triggers(runtime: Runtime) -> Iterable[Trigger]:  # pyright: ignore[reportReturnType]
    """Return what starts a worker from outside: started after the runtime, stopped before it."""


@hookspec
def register_model_providers(runtime: Runtime) -> Iterable[ModelProvider]:  # pyright: ignore[reportReturnType]
    """Return the model providers that ``stream_text`` finds by the part of a model's name before the colon."""


@hookspec
def register_transports(runtime: Runtime) -> Iterable[Transport]:  # pyright: ignore[reportReturnType]
    """Return further ways for clients to reach an agent; each is asked, in order, before a request is routed."""


@hookspec
def register_capabilities(runtime: Runtime) -> Iterable[type[Capability]]:  # pyright: ignore[reportReturnType]
    """Return capabilities that every agent is composed of, after the built-in ones."""


@hookspec
def register_developer_routes(runtime: Runtime) -> Iterable[DeveloperRoute]:  # pyright: ignore[reportReturnType]
    """Return routes under ``/cdn-cgi/`` that the emulator serves and the middleware does not."""


@hookspec
def register_commands(cli: Any) -> None:
    """Called when the command ``edgeagents`` needs its commands: add yours to ``cli``, which is a ``click.Group``."""


@hookspec
def import_state(source: Any, state: Any) -> None:
    """Called by ``edgeagents import-wrangler-state``: copy what is of your kind from ``source`` into ``state``."""


@hookspec(firstresult=True)
def storage_backend(runtime: Runtime, location: str | None) -> StorageBackend | None:
    """Return what keeps objects' data at ``location`` (None: memory), or None to leave it to the next plugin."""


@hookspec(firstresult=True)
def placement(runtime: Runtime) -> Placement | None:
    """Return what decides where an object lives, or None to leave it to the next plugin."""


@hookspec
def authorise(runtime: Runtime, request: Request) -> Identity | Response | Awaitable[Identity | Response | None] | None:
    """Called for each request to an agent, before it reaches one. Return the ``Identity`` that it is from to let it in,
    ``ANONYMOUS`` to let in somebody unknown, a response to refuse it, or None to leave it to the others.

    All implementations are asked, and a response refuses whatever others say. Whom none of them lets in is refused with
    401. The identity stays with the connection. May be ``async def``.
    """


@hookspec(firstresult=True)
def renew_identity(runtime: Runtime, identity: Identity) -> Identity | Awaitable[Identity | None] | None:
    """Called when the identity of an open WebSocket has ended. Return the one it goes on with; without one it is closed
    with 4401. May be ``async def``: then no further plugin is asked."""


@hookspec
def wrap_asgi(runtime: Runtime, app: Any) -> Any:
    """Return ``app`` or an ASGI app around it. Called once, with what serves this runtime's agents."""


@hookspec
def startup(runtime: Runtime) -> Awaitable[None] | None:
    """Called when agents can be called, before the first request and alarm of this process. May be ``async def``.

    What it raises ends the start. Each plugin that has started is then called to shut down.
    """


@hookspec
def shutdown(runtime: Runtime) -> Awaitable[None] | None:
    """Called when the runtime is about to stop; objects still answer. May be ``async def``.

    What it raises is raised by the stop, after everything else has ended too.
    """


@hookspec
def object_woke(object_id: ObjectId, activation: Activation) -> None:
    """Called when an object was constructed and started."""


@hookspec
def object_left(object_id: ObjectId, reason: str) -> None:
    """Called when an object left memory: ``evicted``, ``hibernated``, ``reset`` or ``stopped``."""


@hookspec
def event_started(object_id: ObjectId, class_name: str, event: Event) -> None:
    """Called when an event has reached an object, in the task that handles it: what it sets in the context is seen by
    the handler, and by ``event_finished``, which is called in the same task."""


@hookspec
def event_finished(object_id: ObjectId, event: Event, error: BaseException | None, seconds: float) -> None:
    """Called after an object handled an event. ``error`` is what its handler raised, if it did."""


@hookspec
def agent_event(event: AgentEvent) -> None:
    """Called with each event that an agent tells of itself (``rpc``, ``connect``, ...), where it happens: be quick."""
