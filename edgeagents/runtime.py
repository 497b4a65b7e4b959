"""The runtime: owns namespaces, objects, alarms and plugins while it runs.

The middleware and the emulator are two front ends of it; what they carry reaches objects in the same way. It knows no
server: requests come in as values and go out as values.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from edgeagents.agents import AgentRouter, EventBus
from edgeagents.extensions import DeveloperRoute, Fetch, Transport
from edgeagents.http import Request, Response, to_response
from edgeagents.http.origins import SAFE_METHODS, AllowedOrigins, Origins
from edgeagents.models import ModelRegistry
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.neighbours import Neighbours
from edgeagents.objects import (
    DEFAULT_HISTORY,
    AlarmScheduler,
    Clock,
    Deliver,
    Durability,
    History,
    Limits,
    MemoryStorage,
    Namespace,
    Namespaces,
    SystemClock,
    current_namespaces,
)
from edgeagents.placement import Placement
from edgeagents.running import Options, Running
from edgeagents.runtime_arguments import check_arguments, worker_of
from edgeagents.stores import Stores
from edgeagents.worker import Env, ExecutionContext, Worker

__all__ = ["Runtime"]

T = TypeVar("T")

_log = logging.getLogger("edgeagents.runtime")


class Runtime:
    """One application's objects, from ``start()`` to ``stop()``; also ``async with Runtime(...)``.

    ``agents`` is the short form of a ``worker`` that has these classes and nothing else. ``storage`` is the state
    folder, or None for memory. ``env`` adds values to the worker's bindings. ``durability`` says what an acknowledged
    write survives: ``full`` a loss of power, ``normal`` a crash of the process, ``memory`` nothing. ``history`` is how
    much of each object's past can be restored, None for nothing of it.
    ``events`` is where its agents tell what they do: ``runtime.events.subscribe("agents:rpc", print)``.
    ``model_fallback`` names the model provider that answers when the one asked for lacks its key.
    ``neighbours`` are the runtimes of other workers that bindings of this one may name.
    ``allowed_origins`` are the web pages that may use the agents beside the server's own, ``"*"`` for all.
    With ``debug`` clients see tracebacks, and a state that was changed in place, which is lost, is told in the log.
    Raises ``ConfigError`` for an argument that cannot be; ``start()`` raises it too, and ``PluginError``.
    """

    def __init__(
        self,
        worker: Worker | None = None,
        *,
        agents: Sequence[type] = (),
        storage: str | os.PathLike[str] | None = "state",
        env: Mapping[str, Any] | None = None,
        plugins: Sequence[object] = (),
        discover_plugins: bool = True,
        prefix: str = "agents",
        cors: bool | Mapping[str, str] | None = None,
        allowed_origins: AllowedOrigins = None,
        on_before_connect: Callable[..., Any] | None = None,
        on_before_request: Callable[..., Any] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        limits: Limits | None = None,
        durability: Durability = "full",
        history: History | None = DEFAULT_HISTORY,
        model_fallback: str | None = None,
        respond: Callable[[Any, Request], Awaitable[Response]] | None = None,
        neighbours: Neighbours | None = None,
        debug: bool = False,
    ) -> None:
        check_arguments(
            storage=storage,
            env=env,
            plugins=plugins,
            prefix=prefix,
            on_before_connect=on_before_connect,
            on_before_request=on_before_request,
            limits=limits,
            durability=durability,
            history=history,
        )
        self.worker = worker if worker is not None else worker_of(agents)
        self.neighbours = neighbours if neighbours is not None else Neighbours()
        self.neighbours.add(self)
        self.location = None if storage in (None, ":memory:") else str(storage)
        self.clock: Clock = clock or SystemClock()
        self.rng = rng or random.SystemRandom()
        self.limits = limits or Limits()
        self.debug = debug
        self.state: Literal["new", "running", "stopped"] = "new"
        self.namespaces: dict[str, Namespace[Any]] = {}
        self.router = AgentRouter(
            self.namespaces,
            prefix=prefix,
            cors=cors,
            allowed_origins=allowed_origins,
            on_before_connect=on_before_connect,
            on_before_request=on_before_request,
        )
        # Open CORS is for agents.
        self._own_pages = Origins(allowed_origins)
        self.events = EventBus()
        folder = None if self.location is None else Path(self.location)
        self.stores = Stores(folder, is_synced=durability == "full")
        self.transports: list[Transport] = []
        self.developer_routes: list[DeveloperRoute] = []
        self.env: Env = Env()
        self.env._runtime = self
        self.exports: Env = Env()
        self.history = history
        self.by_class = Namespaces()
        """The namespaces by their class."""
        self._options = Options(plugins, discover_plugins, env or {}, durability, model_fallback, respond or _respond)
        self._made: Running | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_changing = False
        """Whether it starts or stops just now."""
        self._memory: MemoryStorage | None = None

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def ensure_started(self) -> None:
        """Start unless it runs; callers at the same time share one start."""
        if self.state == "running":
            return
        if self._starting is None or self._starting.done():
            self._starting = asyncio.get_running_loop().create_task(self.start())
        try:
            await asyncio.shield(self._starting)
        finally:
            if self._starting is not None and self._starting.done() and self.state != "running":
                self._starting = None  # The next caller tries anew.

    async def start(self) -> None:
        """Load plugins, make ``env``, claim the storage and begin to run alarms."""
        if self.state == "running" or self._is_changing:
            raise RuntimeError("This runtime is running already.")
        if self.state == "stopped":
            raise RuntimeError("This runtime was stopped. Make a new one.")
        for made in (self.by_class, self.namespaces):
            made.clear()  # By a start that failed.
        self._made = Running(self, self.by_class, self._options, self._memory)
        self._is_changing = True
        try:
            await self._made.begin()
            self.state = "running"
        finally:
            self._is_changing = False
            self._memory = self._made.memory

    async def stop(self) -> None:
        """Close sockets with 1012, end what runs, keep what was written. Harmless when it does not run.

        On another event loop, after that of the start was closed, it lets go of what is left.
        """
        if self.state != "running" or self._is_changing:
            return
        self._is_changing = True
        try:
            await self._running.end()
        finally:
            self._is_changing = False
            self._memory = self._running.memory

    @property
    def is_stranded(self) -> bool:
        """Whether the event loop that it runs on was closed, and with it what ran, without ``stop()``."""
        return self.state == "running" and self._running.is_stranded

    def go_on_from(self, stranded: Runtime) -> None:
        """Begin with what another runtime, which was stopped after its loop was closed, kept in memory."""
        if stranded._memory is not None:
            self._memory, self.stores = stranded._memory, stranded.stores

    # What it has from its start on

    @property
    def _running(self) -> Running:
        if self._made is None:
            raise RuntimeError("This runtime has not started.")
        return self._made

    @property
    def hook(self) -> Any:
        """The hooks of its plugins."""
        return self._running.hook

    @property
    def placement(self) -> Placement:
        """What decides in which process an object lives."""
        return self._running.placement

    @property
    def alarms(self) -> AlarmScheduler:
        """What wakes its objects at their alarms."""
        return self._running.alarms

    @property
    def models(self) -> ModelRegistry:
        """The model providers."""
        return self._running.models

    @property
    def send(self) -> Deliver:
        """What brings an event to an object, wherever it lives. May be called on any event loop."""
        return self._running.objects.send

    @property
    def is_first(self) -> bool:
        """Whether this process is the one, of several on a state folder, that does what only one of them may do."""
        return self._made is not None and self._made.objects.is_first

    def namespace_of(self, cls: type[T], *, worker: Worker, has_sql: bool = True) -> Namespace[T]:
        """Return the namespace of a class of ``worker``: the same one for every binding to it."""
        key = self.namespace_keys.key(worker.name, cls.__name__)
        return self._running.objects.namespace_of(cls, key, has_sql=has_sql)

    @cached_property
    def namespace_keys(self) -> NamespaceKeys:
        """Which namespace each class has in the state folder, as it was when this was first asked."""
        return NamespaceKeys.read(None if self.location is None else Path(self.location))

    def neighbour_namespace(self, name: str, class_name: str) -> Namespace[Any]:
        """Return the objects of a class of the worker ``name``, which this process may run too."""
        return self.neighbours.namespace(name, class_name, self.rng, self._running.objects.world.capabilities)

    # Requests

    async def route(self, request: Request) -> Response | None:
        """Answer a request to an agent's path; None when it is not one."""
        transport = self._transport_of(request) if self.transports else None
        guards = self._running.guards
        if transport is None and not guards:
            return await self.router.route(request)
        if transport is None and not self.router.claims(request.path):
            return None
        if guards and (refusal := await guards.refusal(request)) is not None:
            return refusal
        if transport is not None:
            return await self._carry(transport, request, self._fetch_agent)
        return await self.router.route(request)

    async def fetch(self, request: Request) -> Response:
        """Answer a request by a developer route or the worker's entrypoint; without one, by its agents, else 404."""
        running = self._running
        if running.guards and (refusal := await running.guards.refusal(request)) is not None:
            return refusal
        if request.path.startswith(running.developer_paths) and (route := self._developer_route(request.path)):
            # Also with GET: such a route makes things happen, and nobody but the developer should.
            return self._own_pages.refusal(request) or await route.serve(request)
        transport = self._transport_of(request) if self.transports else None
        if transport is not None:
            return await self._carry(transport, request, self._fetch_worker)
        return await self._fetch_worker(request)

    def _developer_route(self, path: str) -> DeveloperRoute | None:
        routes = self.developer_routes
        return next((route for route in routes if path == route.path or path.startswith(f"{route.path}/")), None)

    def _transport_of(self, request: Request) -> Transport | None:
        for transport in self.transports:
            if transport.claims(request):
                return transport
        return None

    async def _fetch_worker(self, request: Request) -> Response:
        if self.worker.entrypoint is None:
            return await self._fetch_agent(request)
        return await self._options.respond(await self.run_handler("fetch", request), request)

    async def fetch_for_neighbour(self, request: Request, props: Mapping[str, Any] | None = None) -> Response:
        """Answer a request of another worker: as one from outside, but nobody has to be let in."""

        async def worker(inner: Request) -> Response:
            answer = self.handler("fetch", props=props)(inner)
            return await self._options.respond(await answer if inspect.isawaitable(answer) else answer, inner)

        transport = self._transport_of(request)
        return await (worker(request) if transport is None else transport.serve(request, worker))

    async def run_handler(self, event: str, *args: Any) -> Any:
        """Run the worker's handler for what came from outside, such as ``email``, and return its answer.

        Raises ``ConfigError`` when the worker has no such handler.
        """
        answer = self.handler(event)(*args)
        return await answer if inspect.isawaitable(answer) else answer

    def handler(
        self, event: str, *, entrypoint: str | None = None, props: Mapping[str, Any] | None = None
    ) -> Callable[..., Any]:
        """Return what handles ``event`` in a fresh instance of an entrypoint, by default of the main one.

        For ``services``: what handles is to be called at once, in this task.
        """
        current_namespaces.set(self.by_class)
        if event == "fetch" and self.worker.entrypoint is None and entrypoint in (None, "default"):
            return self._fetch_agent
        ctx = ExecutionContext(self._wait_until, props, self.exports)
        return self.worker.handler(event, ctx, self.env, entrypoint)

    async def respond(self, answer: Any, request: Request) -> Response:
        """Return the response that the answer of a worker's ``fetch`` stands for."""
        return await self._options.respond(answer, request)

    async def _fetch_agent(self, request: Request) -> Response:
        return await self.router.route(request) or Response("Not found", status=404)

    async def _carry(self, transport: Transport, request: Request, fetch: Fetch) -> Response:
        if request.method not in SAFE_METHODS and (refusal := self.router.origins.refusal(request)) is not None:
            return refusal

        async def fetch_for_client(inner: Request) -> Response:
            if inner.identity is None:
                inner.identity = request.identity
            return await fetch(inner)

        return await transport.serve(request, fetch_for_client)

    def _wait_until(self, awaitable: Awaitable[object]) -> None:
        async def wait() -> None:
            await awaitable

        task = asyncio.get_running_loop().create_task(wait(), name="wait_until")
        self._running.tasks.add(task)
        task.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[Any]) -> None:
        self._running.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("What a worker gave to wait_until() failed", exc_info=error)

    def in_context(self) -> AbstractContextManager[None]:
        """Make ``get_agent_by_name(Counter, ...)`` find this runtime in the code of the ``with`` block."""
        return self.by_class.in_force()


async def _respond(value: Any, request: Request) -> Response:
    return to_response(value)
