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
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from contextvars import Token
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from edgeagents.agents import AgentEvent, AgentRouter, EventBus
from edgeagents.environment import make_values
from edgeagents.errors import ObjectReset
from edgeagents.extensions import DeveloperRoute, Fetch, Transport, Trigger
from edgeagents.guards import Guards
from edgeagents.http import Request, Response, to_response
from edgeagents.http.origins import SAFE_METHODS, AllowedOrigins, Origins
from edgeagents.models import ModelRegistry
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.neighbours import Neighbours
from edgeagents.objects import (
    DEFAULT_HISTORY,
    Address,
    AlarmEvent,
    AlarmScheduler,
    Clock,
    Deliver,
    Directory,
    Durability,
    Event,
    FolderStorage,
    History,
    Limits,
    MemoryStorage,
    Namespace,
    Namespaces,
    ObjectId,
    StorageBackend,
    SystemClock,
    World,
    current_namespaces,
)
from edgeagents.objects.rpc import exported_names
from edgeagents.placement import Placement, SingleProcess, default_placement
from edgeagents.plugin_observer import PluginObserver
from edgeagents.plugins import load_plugins, unique
from edgeagents.redaction import has_secret_name, hide_named
from edgeagents.runtime_arguments import check_arguments, worker_of
from edgeagents.services import Service
from edgeagents.state_watch import StateWatch
from edgeagents.stores import Stores
from edgeagents.watchdog import Block, Watchdog
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
        self.is_first = False
        """Whether this process is the one, of several on a state folder, that does what only one of them may do."""
        self._given_env = env
        self._plugins, self._discover = plugins, discover_plugins
        self._durability: Durability = durability
        self.history = history
        self._model_fallback = model_fallback
        self._respond = respond or _respond
        self._by_class = Namespaces()
        self._directories: dict[str, Directory] = {}
        self._triggers: list[Trigger] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._watchdog: Watchdog | None = None
        self._entered: Token[Mapping[type, Namespace[Any]]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
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
        if self.state == "running":
            raise RuntimeError("This runtime is running already.")
        if self.state == "stopped":
            raise RuntimeError("This runtime was stopped. Make a new one.")
        self._loop = asyncio.get_running_loop()
        plugins = (*self._plugins, StateWatch()) if self.debug else self._plugins
        self.hook = load_plugins(plugins, discover=self._discover).hook
        backend = self.hook.storage_backend(runtime=self, location=self.location)
        if backend is None:
            backend = self._storage()
        self._backend: StorageBackend = backend
        folder = None if self.location is None else Path(self.location)
        # Only our own storage is known to be fit for several processes.
        makes_default = default_placement if isinstance(backend, FolderStorage) else SingleProcess
        self.placement: Placement = self.hook.placement(runtime=self) or makes_default(folder, self.worker.name)
        await self.placement.start(self)
        try:
            await self._start()
        except BaseException:
            await self.placement.close()
            self.stores.close()
            self._backend.close()
            await self.placement.stop()
            self._leave()
            raise

    def _storage(self) -> StorageBackend:
        if self.location is None:
            return self._memory or MemoryStorage()
        return FolderStorage(Path(self.location), self.limits.open_databases, history=self.history, clock=self.clock)

    async def _start(self) -> None:
        providers = unique(self.hook.register_model_providers(runtime=self), "name", "model provider")
        self.models = ModelRegistry(providers.values(), clock=self.clock, fallback=self._model_fallback)
        capabilities = [c for group in reversed(self.hook.register_capabilities(runtime=self)) for c in group]
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="edgeagents-sync")
        self._guards = Guards(self.hook, self, self.clock)
        self._by_class.admit = self._guards.refusal if self._guards else None
        if self.hook.agent_event.get_hookimpls():
            self.events.subscribe(None, self._tell_plugins)
        self.alarms = AlarmScheduler(
            self.clock, self.rng, self._backend.alarm_index(), self._wake_for_alarm, at_once=self.limits.alarms_at_once
        )
        self.alarms.limit_to([])  # Until the placement opens.
        self._world = World(
            clock=self.clock,
            rng=self.rng,
            limits=self.limits,
            storage=self._backend,
            durability=self._durability,
            alarms=self.alarms,
            sync_executor=self._executor,
            respond=self._respond,
            observer=PluginObserver(self.hook),
            models=self.models,
            events=self.events,
            debug=self.debug,
            capabilities=tuple(capabilities),
            classes=self.worker.classes,
            exports=self.exports,
            namespaces=self._by_class,
            renew_identity=self._guards.renew if self._guards.can_renew else None,
            lease=self.placement.lease,
        )
        self.send: Deliver = self._world.home.bound(self.placement.deliver)
        """Brings an event to an object, wherever it lives. May be called on any event loop."""
        self._make_env()
        self.alarms.serve(self._directories)
        self.transports = list(unique(self.hook.register_transports(runtime=self), "name", "transport").values())
        self.developer_routes = list(
            unique(self.hook.register_developer_routes(runtime=self), "path", "developer route").values()
        )
        # One look at the path of every request instead of one for each route.
        self._developer_paths = tuple(route.path for route in self.developer_routes)
        self.state = "running"
        self._entered = current_namespaces.set(self._by_class)
        await _all(self.hook.startup(runtime=self))
        await self.alarms.start()
        await self.placement.open()
        for trigger in unique(self.hook.register_triggers(runtime=self), "name", "trigger").values():
            await trigger.start()
            self._triggers.append(trigger)
        seconds = self.limits.blocked_seconds
        # With a clock of somebody else's, as in a simulation, it is that which says how time passes.
        if seconds is not None and isinstance(self.clock, SystemClock):
            self._watchdog = Watchdog(seconds, self._tell_blocked)
            self._watchdog.start()

    async def stop(self) -> None:
        """Close sockets with 1012, end what runs, keep what was written. Harmless when it does not run.

        On another event loop, after that of the start was closed, it lets go of what is left.
        """
        if self.state != "running":
            return
        if self.is_stranded:
            await self._let_go()
            return
        for trigger in reversed(self._triggers):
            await trigger.stop()
        await _all(self.hook.shutdown(runtime=self))
        await self.alarms.stop()
        await self.placement.close()
        self.state = "stopped"
        for task in tuple(self._tasks):
            task.cancel()
        for directory in self._directories.values():
            await directory.stop()
        self._executor.shutdown()
        self.stores.close()
        self._backend.close()
        await self.placement.stop()
        if self._watchdog is not None:
            self._watchdog.stop()
        self._leave()

    @property
    def is_stranded(self) -> bool:
        """Whether the event loop that it runs on was closed, and with it what ran, without ``stop()``."""
        return self.state == "running" and self._loop is not None and self._loop.is_closed()

    async def _let_go(self) -> None:
        self.state = "stopped"
        closed = ObjectReset("The event loop of this object's runtime was closed.")
        for trigger in reversed(self._triggers):
            await _tried(trigger.stop)
        await _tried(lambda: _all(self.hook.shutdown(runtime=self)))
        await _tried(self.alarms.stop)
        await _tried(self.placement.close)
        for directory in self._directories.values():
            for slot in directory.slots():
                await _tried(partial(slot.reset, closed))
        self._executor.shutdown(wait=False)
        if isinstance(self._backend, MemoryStorage):
            self._memory = self._backend
        else:
            self.stores.close()
            self._backend.close()
        await _tried(self.placement.stop)
        if self._watchdog is not None:
            self._watchdog.stop()
        self._leave()

    def go_on_from(self, stranded: Runtime) -> None:
        """Begin with what another runtime, which was stopped after its loop was closed, kept in memory."""
        if stranded._memory is not None:
            self._memory, self.stores = stranded._memory, stranded.stores

    def _leave(self) -> None:
        """Let code find the runtime that it found before this one started."""
        if self._entered is None or current_namespaces.get(None) is not self._by_class:
            return
        before = self._entered.old_value
        if before is not Token.MISSING:
            current_namespaces.set(before)
        else:
            # In another context than the one of the start there is no way back to nothing.
            with suppress(ValueError):
                current_namespaces.reset(self._entered)

    def _make_env(self) -> None:
        values = make_values(self)
        self.namespaces.update((name, value) for name, value in values.items() if isinstance(value, Namespace))
        # The objects hold this very env: it is filled in place.
        vars(self.env).update(values)
        vars(self.exports).update({name: Service(self, name) for name in self.worker.entrypoints})
        vars(self.exports).update({n: self._by_class[c] for n, c in self.worker.classes.items() if c in self._by_class})
        vars(self.env).update(self._given_env or {})
        hide_named({name: value for name, value in (self._given_env or {}).items() if has_secret_name(name)})

    def namespace_of(self, cls: type[T], *, worker: Worker, has_sql: bool = True) -> Namespace[T]:
        """Return the namespace of a class of ``worker``: the same one for every binding to it."""
        if cls not in self._by_class:
            key = self.namespace_keys.key(worker.name, cls.__name__)
            self._directories[key] = Directory(key, cls, self.env, self._world, has_sql=has_sql)
            self._by_class[cls] = Namespace(
                key, cls, self.send, self.rng, exported_names(cls, self._world.capabilities)
            )
            self._by_class[cls].name_bytes = self.limits.object_name_bytes
            # Programs may know the class by another one, in whose place it runs.
            other = getattr(cls, "_stands_for", None)
            if other is not None:
                self._by_class[other] = self._by_class[cls]
        return self._by_class[cls]

    @cached_property
    def namespace_keys(self) -> NamespaceKeys:
        """Which namespace each class has in the state folder, as it was when this was first asked."""
        return NamespaceKeys.read(None if self.location is None else Path(self.location))

    def neighbour_namespace(self, name: str, class_name: str) -> Namespace[Any]:
        """Return the objects of a class of the worker ``name``, which this process may run too."""
        return self.neighbours.namespace(name, class_name, self.rng, self._world.capabilities)

    def _tell_blocked(self, block: Block) -> None:
        if not self.events.is_silent:
            payload = {"seconds": block.seconds, "stack": block.stack}
            self.events.publish(AgentEvent("watchdog:blocked", block.class_name, block.name, payload, self.clock.now()))

    def _tell_plugins(self, event: AgentEvent) -> None:
        self.hook.agent_event(event=event)

    # Requests

    async def route(self, request: Request) -> Response | None:
        """Answer a request to an agent's path; None when it is not one."""
        transport = self._transport_of(request) if self.transports else None
        if transport is None and not self._guards:
            return await self.router.route(request)
        if transport is None and not self.router.claims(request.path):
            return None
        if self._guards and (refusal := await self._guards.refusal(request)) is not None:
            return refusal
        if transport is not None:
            return await self._carry(transport, request, self._fetch_agent)
        return await self.router.route(request)

    async def fetch(self, request: Request) -> Response:
        """Answer a request by a developer route or the worker's entrypoint; without one, by its agents, else 404."""
        if self._guards and (refusal := await self._guards.refusal(request)) is not None:
            return refusal
        if request.path.startswith(self._developer_paths) and (route := self._developer_route(request.path)):
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
        return await self._respond(await self.run_handler("fetch", request), request)

    async def fetch_for_neighbour(self, request: Request, props: Mapping[str, Any] | None = None) -> Response:
        """Answer a request of another worker: as one from outside, but nobody has to be let in."""

        async def worker(inner: Request) -> Response:
            answer = self.handler("fetch", props=props)(inner)
            return await self._respond(await answer if inspect.isawaitable(answer) else answer, inner)

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
        current_namespaces.set(self._by_class)
        if event == "fetch" and self.worker.entrypoint is None and entrypoint in (None, "default"):
            return self._fetch_agent
        ctx = ExecutionContext(self._wait_until, props, self.exports)
        return self.worker.handler(event, ctx, self.env, entrypoint)

    async def respond(self, answer: Any, request: Request) -> Response:
        """Return the response that the answer of a worker's ``fetch`` stands for."""
        return await self._respond(answer, request)

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
        self._tasks.add(task)
        task.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("What a worker gave to wait_until() failed", exc_info=error)

    def in_context(self) -> AbstractContextManager[None]:
        """Make ``get_agent_by_name(Counter, ...)`` find this runtime in the code of the ``with`` block."""
        return self._by_class.in_force()

    # Objects

    def deliver(self, address: Address, event: Event, props: Mapping[str, Any] | None) -> Awaitable[Any]:
        """Bring ``event`` to an object of this process. Called by the placement."""
        return self._directory(address.namespace).deliver(address.id, event, props)

    def knows(self, namespace: str) -> bool:
        """Return whether this worker has the class of a namespace. Called by the placement."""
        return namespace.partition(":")[0] in self._directories

    async def vacate(self, shard: int) -> None:
        """Make the objects of a shard leave memory, and their clients come back. Called by the placement."""
        for directory in tuple(self._directories.values()):
            await directory.stop(shard)

    def shards_in_use(self) -> set[int]:
        """Return the shards of which objects are in memory here, or have sockets. Called by the placement."""
        return {slot.id.shard for directory in self._directories.values() for slot in directory.slots()}

    def shards_changed(self, owned: list[int] | None) -> None:
        """Run the alarms of objects in these shards; None for all. Called by the placement."""
        self.is_first = owned is None or 0 in owned
        self.alarms.limit_to(owned)

    def drop_objects(self, error: Exception) -> None:
        """Reset what is in memory and close every socket. Called by the placement."""
        for directory in self._directories.values():
            for slot in directory.slots():
                slot.reset(error)

    def _directory(self, key: str) -> Directory:
        directory = self._directories.get(key)
        if directory is None:
            # A jurisdiction is a part of its namespace, with files of its own.
            whole = self._directories[key.partition(":")[0]]
            directory = Directory(key, whole.cls, whole.env, whole.world, has_sql=whole.has_sql)
            self._directories[key] = directory
        return directory

    async def _wake_for_alarm(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...]) -> None:
        await self.send(Address(namespace, object_id), AlarmEvent(facets), None)


async def _respond(value: Any, request: Request) -> Response:
    return to_response(value)


async def _tried(step: Callable[[], object]) -> None:
    """Take a step of an end to which not all has to be as it should: what it waits for may have ended long ago."""
    try:
        result = step()
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError:
        # Raised too by waiting for a task of the closed loop, which was cancelled.
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
    except Exception:
        _log.debug("A step of the end of a runtime failed, after its event loop was closed", exc_info=True)


async def _all(results: Sequence[Any]) -> None:
    for result in results:
        if inspect.isawaitable(result):
            await result
