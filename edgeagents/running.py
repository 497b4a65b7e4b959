"""Running: what a runtime has between its start and its stop.

Each part is begun after those that it stands on, and with it is noted how it ends. The end, and a start that cannot go
on, take these notes from the last to the first: every one of them, whatever the others raise.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from contextvars import Token
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeagents.agents import AgentEvent
from edgeagents.environment import fill_env
from edgeagents.errors import ObjectReset
from edgeagents.extensions import Trigger
from edgeagents.guards import Guards
from edgeagents.http import Request, Response
from edgeagents.local_objects import LocalObjects
from edgeagents.models import ModelRegistry
from edgeagents.objects import (
    AlarmScheduler,
    Durability,
    FolderStorage,
    MemoryStorage,
    Namespaces,
    StorageBackend,
    SystemClock,
    World,
    current_namespaces,
)
from edgeagents.placement import Placement, SingleProcess, default_placement
from edgeagents.plugin_observer import PluginObserver
from edgeagents.plugins import load_plugins, unique
from edgeagents.state_watch import StateWatch
from edgeagents.watchdog import Block, Watchdog

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["Options", "Running"]

_GRACE: Final = 5.0
"""How many seconds the end waits for what a worker gave to ``wait_until()``, and then for its clean-up."""

_log = logging.getLogger("edgeagents.runtime")


@dataclass(frozen=True)
class Options:
    """What ``Runtime`` was given for its start."""

    plugins: Sequence[object]
    discover_plugins: bool
    env: Mapping[str, Any]
    durability: Durability
    model_fallback: str | None
    respond: Callable[[Any, Request], Awaitable[Response]]


class Running:
    """Made whole by ``begin``, over after ``end``. Plugins see it, as the runtime's, while it is being made."""

    placement: Placement
    models: ModelRegistry
    alarms: AlarmScheduler
    guards: Guards

    def __init__(
        self, runtime: Runtime, by_class: Namespaces, options: Options, memory: MemoryStorage | None = None
    ) -> None:
        self._runtime, self._options = runtime, options
        self.memory = memory
        """What a runtime without a state folder keeps, also when its loop is closed or its start fails."""
        self.plugins = load_plugins(
            (*options.plugins, StateWatch()) if runtime.debug else options.plugins, discover=options.discover_plugins
        )
        self.hook = self.plugins.hook
        self.loop = asyncio.get_running_loop()
        self.objects = LocalObjects(runtime.env, by_class)
        self.tasks: set[asyncio.Task[Any]] = set()
        """What workers gave to ``wait_until()``."""
        self.triggers: list[Trigger] = []
        self.developer_paths: tuple[str, ...] = ()
        self._is_whole = False
        self._ends = AsyncExitStack()
        self._errors: list[Exception] = []

    @property
    def is_stranded(self) -> bool:
        """Whether the event loop was closed, and with it what ran."""
        return self.loop.is_closed()

    # The begin

    async def begin(self) -> None:
        """Make it whole. When a part cannot be made, those before it have ended when the error is raised."""
        try:
            await self._begin_storage()
            self._make_world()
            await self._begin_events()
        except BaseException:
            await self._ends.aclose()
            for error in self._errors:
                _log.error("What had begun before the start failed did not end well", exc_info=error)
            raise
        self._is_whole = True

    async def _begin_storage(self) -> None:
        runtime = self._runtime
        self._entered = current_namespaces.set(self.objects.by_class)
        self._at_end(self._leave)
        backend = self.hook.storage_backend(runtime=runtime, location=runtime.location)
        self._backend: StorageBackend = self._own_storage() if backend is None else backend
        folder = None if runtime.location is None else Path(runtime.location)
        # Only our own storage is known to be fit for several processes.
        makes_default = default_placement if isinstance(self._backend, FolderStorage) else SingleProcess
        self.placement = self.hook.placement(runtime=runtime) or makes_default(folder, runtime.worker.name)
        await self.placement.start(self.objects)
        self._at_end(self.placement.stop)
        self._at_end(self._close_storage)
        seconds = runtime.limits.blocked_seconds
        # With a clock of somebody else's, as in a simulation, it is that which says how time passes.
        if seconds is not None and isinstance(runtime.clock, SystemClock):
            watchdog = Watchdog(seconds, self._tell_blocked)
            watchdog.start()
            self._at_end(watchdog.stop)

    def _own_storage(self) -> StorageBackend:
        runtime = self._runtime
        if runtime.location is None:
            return self.memory or MemoryStorage()
        folder, most = Path(runtime.location), runtime.limits.open_databases
        return FolderStorage(folder, most, history=runtime.history, clock=runtime.clock)

    def _make_world(self) -> None:
        runtime, objects = self._runtime, self.objects
        providers = unique(self.hook.register_model_providers(runtime=runtime), "name", "model provider")
        self.models = ModelRegistry(providers.values(), clock=runtime.clock, fallback=self._options.model_fallback)
        capabilities = [c for group in reversed(self.hook.register_capabilities(runtime=runtime)) for c in group]
        executor = ThreadPoolExecutor(4, thread_name_prefix="edgeagents-sync")
        self._at_end(lambda: executor.shutdown(wait=not self.is_stranded))
        self.guards = Guards(self.hook, runtime, runtime.clock)
        objects.by_class.admit = self.guards.refusal if self.guards else None
        if self.hook.agent_event.get_hookimpls():
            self._at_end(runtime.events.subscribe(None, self._tell_plugins))
        self.alarms = AlarmScheduler(
            runtime.clock,
            runtime.rng,
            self._backend.alarm_index(),
            objects.wake_for_alarm,
            at_once=runtime.limits.alarms_at_once,
        )
        self.alarms.limit_to([])  # Until the placement opens.
        objects.world = World(
            clock=runtime.clock,
            rng=runtime.rng,
            limits=runtime.limits,
            storage=self._backend,
            durability=self._options.durability,
            alarms=self.alarms,
            sync_executor=executor,
            respond=self._options.respond,
            observer=PluginObserver(self.hook),
            models=self.models,
            events=runtime.events,
            debug=runtime.debug,
            capabilities=tuple(capabilities),
            classes=runtime.worker.classes,
            exports=runtime.exports,
            namespaces=objects.by_class,
            renew_identity=self.guards.renew if self.guards.can_renew else None,
            lease=self.placement.lease,
        )
        objects.send = objects.world.home.bound(self.placement.deliver)

    async def _begin_events(self) -> None:
        runtime = self._runtime
        fill_env(runtime, self._options.env)
        self.alarms.serve(self.objects.directories)
        runtime.transports[:] = unique(self.hook.register_transports(runtime=runtime), "name", "transport").values()
        runtime.developer_routes[:] = unique(
            self.hook.register_developer_routes(runtime=runtime), "path", "developer route"
        ).values()
        # One look at the path of every request instead of one for each route.
        self.developer_paths = tuple(route.path for route in runtime.developer_routes)
        self._at_end(self._cancel_tasks)
        self._at_end(self._stop_objects)
        self._at_end(self._be_over)
        self._at_end(self.placement.close)
        await self.placement.open()
        await self._start_plugins()
        self._at_end(self.alarms.stop)
        await self.alarms.start()
        self._at_end(self._finish_tasks)
        for trigger in unique(self.hook.register_triggers(runtime=runtime), "name", "trigger").values():
            await trigger.start()
            self._at_end(trigger.stop)
            self.triggers.append(trigger)

    async def _start_plugins(self) -> None:
        starts, ends = _by_plugin(self.hook.startup), _by_plugin(self.hook.shutdown)
        # The one that was registered last is first, as with every hook.
        for name, _ in reversed(self.plugins.list_name_plugin()):
            if name in starts:
                await _done(_called(starts[name], self._runtime))
            if name in ends:
                self._at_end(partial(_called, ends[name], self._runtime))

    # The end

    async def end(self) -> None:
        """End all of it, and raise what was raised meanwhile. Of a closed loop it lets go of what is left."""
        await self._ends.aclose()
        if self.is_stranded:
            for error in self._errors:
                _log.debug("A step of the end of a runtime failed, after its loop was closed", exc_info=error)
        elif self._errors:
            several = ExceptionGroup("The runtime has stopped, but not all went well", self._errors)
            raise self._errors[0] if len(self._errors) == 1 else several

    def _at_end(self, step: Callable[[], object]) -> None:
        self._ends.push_async_callback(self._take, step)

    async def _take(self, step: Callable[[], object]) -> None:
        """Take a step of the end. What it raises is kept for later, so that the others are taken too."""
        try:
            await _done(step())
        except asyncio.CancelledError:
            # Raised too by who waits for what was cancelled, as all tasks of a closed loop are.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        except Exception as error:
            self._errors.append(error)

    async def _finish_tasks(self) -> None:
        if self.tasks and not self.is_stranded:
            await asyncio.wait(tuple(self.tasks), timeout=_GRACE)

    async def _cancel_tasks(self) -> None:
        if self.is_stranded:
            self.tasks.clear()
        for task in tuple(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(tuple(self.tasks), timeout=_GRACE)

    def _be_over(self) -> None:
        if self._is_whole:
            self._runtime.state = "stopped"

    async def _stop_objects(self) -> None:
        if self.is_stranded:
            self.objects.drop_objects(ObjectReset("The event loop of this object's runtime was closed."))
        else:
            await self.objects.stop()

    def _close_storage(self) -> None:
        if isinstance(self._backend, MemoryStorage) and (self.is_stranded or not self._is_whole):
            self.memory = self._backend
            return
        self.memory = None
        self._runtime.stores.close()
        self._backend.close()

    def _leave(self) -> None:
        """Let code find the runtime that it found before this one started."""
        by_class, before = self.objects.by_class, self._entered.old_value
        if current_namespaces.get(None) is not by_class:
            return
        if before is not Token.MISSING:
            current_namespaces.set(before)
        else:
            # In another context than the one of the start there is no way back to nothing.
            with suppress(ValueError):
                current_namespaces.reset(self._entered)

    # What is told

    def _tell_blocked(self, block: Block) -> None:
        events, now = self._runtime.events, self._runtime.clock.now()
        if not events.is_silent:
            payload = {"seconds": block.seconds, "stack": block.stack}
            events.publish(AgentEvent("watchdog:blocked", block.class_name, block.name, payload, now))

    def _tell_plugins(self, event: AgentEvent) -> None:
        self.hook.agent_event(event=event)


def _by_plugin(hook: Any) -> dict[str, Any]:
    return {implementation.plugin_name: implementation for implementation in hook.get_hookimpls()}


def _called(implementation: Any, runtime: Runtime) -> object:
    # By itself and not through pluggy: what one plugin raises keeps no other one from its start or end.
    return implementation.function(*(runtime for _ in implementation.argnames))


async def _done(result: object) -> None:
    if inspect.isawaitable(result):
        await result
