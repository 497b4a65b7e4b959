"""Agent: the class that users write, put together from its capabilities.

It knows which parts there are and gives each what it needs. What they do stands in their own files: ``connections``,
``state``, ``callables``, and the order of events in ``lifecycle``.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, ParamSpec

from typing_extensions import TypeVar

from edgeagents.agents.callables import CallableMetadata, Callables, find_callables
from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.connections import Connection, ConnectionContext, Connections
from edgeagents.agents.context import CurrentAgent, current_agent
from edgeagents.agents.delegation import done_by
from edgeagents.agents.destruction import Destruction
from edgeagents.agents.fibers import FiberRecovery, Fibers
from edgeagents.agents.generation import Generation
from edgeagents.agents.hooks import Hooks, defined_hooks, handler
from edgeagents.agents.jobs import Jobs
from edgeagents.agents.keep_alive import KeepAlive
from edgeagents.agents.lifecycle import Lifecycle
from edgeagents.agents.mcp_frame import McpServers
from edgeagents.agents.observability import AgentEvent
from edgeagents.agents.options import AgentOptions
from edgeagents.agents.retries import Retries
from edgeagents.agents.routing import RouteInfo
from edgeagents.agents.schedules import Scheduler
from edgeagents.agents.spending import Spending
from edgeagents.agents.sql import bind
from edgeagents.agents.state import UNSET, SyncedState
from edgeagents.agents.state_type import StateType
from edgeagents.agents.streams import DurableStreams
from edgeagents.agents.sub_agent_registry import SubAgentInfo
from edgeagents.agents.sub_agents import DynamicAgents
from edgeagents.agents.sub_routing import AgentPathStep
from edgeagents.agents.task_queue import TaskQueue
from edgeagents.errors import AgentError, ConfigError, ReadonlyConnection
from edgeagents.http import Request, Response
from edgeagents.objects.context import ObjectContext
from edgeagents.objects.durable_object import DurableObject
from edgeagents.objects.events import AlarmInfo
from edgeagents.objects.websocket import WebSocket

if TYPE_CHECKING:
    import sqlite_utils

__all__ = ["Agent"]

EnvT = TypeVar("EnvT", default=Any)
StateT = TypeVar("StateT", default=Any)
P = ParamSpec("P")
R = TypeVar("R")
CapabilityT = TypeVar("CapabilityT", bound=Capability)
AgentT = TypeVar("AgentT", bound="Agent[Any, Any]")


class _Turns(Capability):
    """Turns of models and the streams that they are written to: goes on with what the last end of the server cut."""

    def __init__(self, host: CapabilityHost, streams: DurableStreams, generation: Generation) -> None:
        super().__init__(host)
        self._streams, self._generation = streams, generation

    async def start(self, props: Mapping[str, Any] | None) -> None:
        await self._streams.start()
        await self._generation.start()


class _Nothing:
    """What a handler that does nothing returns: ``super().on_start()`` may be awaited, and need not be."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_NOTHING = _Nothing()


class _NotImplemented(Response):
    """The answer of an agent that answers no requests; it may be awaited, and need not be."""

    def __await__(self) -> Generator[None, None, Response]:
        return self
        yield


class Agent(DurableObject[EnvT], Generic[EnvT, StateT]):
    """A Durable Object with state that its clients see, methods that they may call, and connections.

    ``Agent[Env, State]`` tells a type checker what ``env`` and ``state`` are, and every state that comes in is checked
    by it: a dataclass, a ``TypedDict``, a pydantic model or another type that JSON has a form for.

    All handlers (``on_...``) are optional, may be sync or async, and may leave out trailing parameters. A sync one runs
    in the agent's own thread.
    """

    initial_state: Any = UNSET
    """The state before one was set. None is a state too, and is sent to clients."""

    options: ClassVar[AgentOptions | Mapping[str, Any]] = AgentOptions()

    capability_types: ClassVar[tuple[type[Capability], ...]] = ()
    """Further capabilities that agents of this class are composed of."""

    scheduler: Scheduler
    """What calls methods of this agent later."""

    dynamic_agents: DynamicAgents
    """This agent's sub-agents: agents with a state and storage of their own, which live and end with it."""

    sub_agents: ClassVar[Sequence[type[Agent[Any, Any]]]] = ()
    """Classes of which agents of this class may have sub-agents, beside all that the runtime has."""

    spending: Spending
    """What this agent has used of its budget for models."""

    streams: DurableStreams
    """Append-only logs that many readers follow, each from its own cursor."""

    capabilities: tuple[Capability, ...]
    """What this agent is composed of, in the order in which each hears of an event."""

    __hook_rooms: ClassVar[Mapping[str, int]] = {}
    __callables: ClassVar[Mapping[str, CallableMetadata]] = {}
    __options: ClassVar[AgentOptions] = AgentOptions()
    __state_type: ClassVar[StateType | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "on_state_update"):
            raise ConfigError(f"{cls.__name__}.on_state_update() is never called: its name is on_state_changed().")
        if inspect.iscoroutinefunction(cls.validate_state_change):
            raise ConfigError(
                f"{cls.__name__}.validate_state_change() cannot be async: a change is accepted or refused at once."
            )
        cls.__hook_rooms = defined_hooks(cls, Agent)
        cls.__callables = find_callables(cls)
        cls.__options = AgentOptions.of(cls.options, cls.__name__)
        cls.__state_type = StateType.of(cls, Agent, cls.initial_state)

    def __init__(self, ctx: ObjectContext, env: EnvT) -> None:
        super().__init__(ctx, env)
        cls = type(self)
        self.__loop = asyncio.get_running_loop()
        self.__hooks = hooks = Hooks(ctx, cls.__hook_rooms, self.__find, self.__advise)
        self.__connections = Connections(ctx)
        mcp_servers = McpServers(self.__connections)
        host = CapabilityHost(
            ctx=ctx,
            env=env,
            name=ctx.id.name or "",
            class_name=cls.__name__,
            connections=self.__connections,
            report=hooks.report,
            options=cls.__options,
            find=self.__find,
            call=hooks.call,
            acting=self.__acting,
            emit=self.__emit,
            set_mcp_servers=mcp_servers.set,
            jobs=Jobs(
                ctx,
                acting=self.__acting,
                emit=self.__emit,
                has_own_alarm="on_alarm" in hooks,
                max_strikes=cls.__options.max_alarm_memory_limit_strikes,
            ),
        )
        has_validator = cls.validate_state_change is not Agent.validate_state_change
        self.__state = SyncedState(
            host,
            initial=lambda: self.initial_state,
            validate=self.validate_state_change if has_validator else None,
            changed=self.__tell_state_changed if "on_state_changed" in hooks else None,
            kind=cls.__state_type,
        )
        callables = Callables(host, metadata=cls.__callables, find=partial(getattr, self), has=self.__has_method)
        self.streams = DurableStreams(ctx)
        values: Mapping[str, Any] = env if isinstance(env, Mapping) else getattr(env, "__dict__", {})
        self.spending = Spending(host)
        self._agent_text_generation = Generation(
            ctx,
            values,
            self.streams,
            ctx.models,
            find_tool=self.__find,
            find_part=self.__find_part,
            spending=self.spending,
        )
        self.dynamic_agents = DynamicAgents(
            host,
            agent_type=Agent,
            before=partial(hooks.run, "on_before_sub_agent") if "on_before_sub_agent" in hooks else None,
        )
        self.scheduler, self._agent_queue, self._agent_retries = Scheduler(host), TaskQueue(host), Retries(host)
        self._agent_keep_alive = KeepAlive(host)
        self._agent_fibers = Fibers(host, self._agent_keep_alive)
        self.capabilities = (
            self.dynamic_agents,
            self.scheduler,
            self._agent_queue,
            self._agent_keep_alive,
            self.spending,
            _Turns(host, self.streams, self._agent_text_generation),
            self.__state,
            callables,
            *(kind(host) for kind in (*cls.capability_types, *ctx.capabilities)),
            # Last, for recovering a fiber may need all the others.
            self._agent_fibers,
        )
        self.__lifecycle = Lifecycle(
            host,
            hooks=hooks,
            state=self.__state,
            mcp_servers=mcp_servers,
            capabilities=self.capabilities,
            current=partial(CurrentAgent, self),
        )
        self.__destruction = Destruction(host, self.__lifecycle.dispose)
        for name, place, export in _exposed(cls, tuple(map(type, self.capabilities))):
            capability = self.capabilities[place]
            setattr(self, name, capability if export is None else getattr(capability, export))

    # Identity and state

    @property
    def name(self) -> str:
        """The name that this agent was reached by: from a URL it is the raw path segment, still percent-encoded."""
        name = self.ctx.id.name
        if name is None:
            raise AgentError(f"{type(self).__name__} {self.ctx.id} was not reached by a name, so it has none.")
        return name

    @property
    def state(self) -> StateT:
        """The state that all clients see: ``initial_state`` at first, None when there is none.

        Replace it with ``set_state``; what is changed in place is neither kept nor sent.
        """
        return self.__state.get()

    def set_state(self, state: StateT) -> None:
        """Replace the state: validate it, write it down, and send it to all connected clients.

        Any JSON value, or one of the state's type. Clients have it before the answer to the call in which it was set.
        Raises what ``validate_state_change`` raises, and ``ReadonlyConnection`` when the client behind this event may
        not do that.
        """
        current = current_agent.get()
        if current.connection is not None and current.connection.is_readonly and current.agent is self:
            raise ReadonlyConnection
        self.__state.set(state)

    # Storage

    def sql(self, query: Any, *bindings: Any, **named: Any) -> list[dict[str, Any]]:
        """Run one SQL statement on the agent's own database and return its rows.

        Values are bound, never put into the text: ``sql("select * from t where id = ?", 1)`` or
        ``sql("select * from t where id = {id}", id=1)``; from Python 3.14 on also ``sql(t"... where id = {id}")``.
        Raises ``SqlError``, which has ``query``.
        """
        if named or query.__class__ is not str:
            query, bindings = bind(query, bindings, named)
        return self.ctx.storage.sql.rows(query, bindings)

    @cached_property
    def db(self) -> sqlite_utils.Database:
        """The agent's database with the ``sqlite_utils`` API. The same connection as ``sql`` and ``ctx.storage``."""
        import sqlite_utils

        connection: Any = self.ctx.storage.database.connection
        return sqlite_utils.Database(connection)

    # Connections

    def get_connections(self, tag: str | None = None) -> Iterator[Connection[Any]]:
        """Yield the open connections, those to which ``get_connection_tags`` gave ``tag`` if one is named."""
        return self.__connections.open(tag)

    def get_connection(self, id: str) -> Connection[Any] | None:
        """Return the open connection with this id, or None. Raises ``AgentError`` when two share the id."""
        return self.__connections.get(id)

    def broadcast(self, message: str | bytes, without: Collection[str] = ()) -> None:
        """Send a text or binary message to every open connection, except those with an id in ``without``."""
        self.__connections.broadcast(message, (without,) if isinstance(without, str) else without)

    def set_connection_readonly(self, connection: Connection[Any], readonly: bool = True) -> None:
        """Forbid a client to change the state, or allow it again. It may still call methods and send messages."""
        connection.set_readonly(readonly)

    def is_connection_readonly(self, connection: Connection[Any]) -> bool:
        """Return whether a client may not change the state."""
        return connection.is_readonly

    def is_connection_protocol_enabled(self, connection: Connection[Any]) -> bool:
        """Return whether a client gets identity, state and MCP frames."""
        return connection.is_protocol_enabled

    # Models

    stream_text = done_by("_agent_text_generation", Generation.stream_text)
    generate_object = done_by("_agent_text_generation", Generation.generate_object)
    resume_stream = done_by("_agent_text_generation", Generation.resume_stream)
    get_stream = done_by("_agent_text_generation", Generation.get_stream)

    # Later, soon, again and for long

    schedule = done_by("scheduler", Scheduler.schedule)
    schedule_every = done_by("scheduler", Scheduler.schedule_every)
    get_schedule = done_by("scheduler", Scheduler.get_schedule)
    get_schedules = done_by("scheduler", Scheduler.get_schedules)
    get_schedule_by_id = done_by("scheduler", Scheduler.get_schedule_by_id)
    list_schedules = done_by("scheduler", Scheduler.list_schedules)
    cancel_schedule = done_by("scheduler", Scheduler.cancel_schedule)

    queue = done_by("_agent_queue", TaskQueue.queue)
    dequeue = done_by("_agent_queue", TaskQueue.dequeue)
    dequeue_all = done_by("_agent_queue", TaskQueue.dequeue_all)
    dequeue_all_by_callback = done_by("_agent_queue", TaskQueue.dequeue_all_by_callback)
    get_queue = done_by("_agent_queue", TaskQueue.get_queue)
    get_queues = done_by("_agent_queue", TaskQueue.get_queues)

    retry = done_by("_agent_retries", Retries.retry)

    keep_alive = done_by("_agent_keep_alive", KeepAlive.keep_alive)
    keep_alive_while = done_by("_agent_keep_alive", KeepAlive.keep_alive_while)

    run_fiber = done_by("_agent_fibers", Fibers.run_fiber)
    start_fiber = done_by("_agent_fibers", Fibers.start_fiber)
    stash = done_by("_agent_fibers", Fibers.stash)
    inspect_fiber = done_by("_agent_fibers", Fibers.inspect_fiber)
    inspect_fiber_by_key = done_by("_agent_fibers", Fibers.inspect_fiber_by_key)
    list_fibers = done_by("_agent_fibers", Fibers.list_fibers)
    cancel_fiber = done_by("_agent_fibers", Fibers.cancel_fiber)
    cancel_fiber_by_key = done_by("_agent_fibers", Fibers.cancel_fiber_by_key)
    resolve_fiber = done_by("_agent_fibers", Fibers.resolve_fiber)
    delete_fibers = done_by("_agent_fibers", Fibers.delete_fibers)

    # Life

    def get_callable_methods(self) -> dict[str, CallableMetadata]:
        """Return the methods that clients may call, by name, with what their ``@callable`` says."""
        return dict(self.__callables)

    def capability(self, kind: type[CapabilityT]) -> CapabilityT:
        """Return this agent's capability of a type. Raises ``AgentError`` when it has none."""
        for capability in self.capabilities:
            if isinstance(capability, kind):
                return capability
        raise AgentError(f"{type(self).__name__} has no capability of the type {kind.__name__}.")

    async def destroy(self) -> None:
        """Close all connections with 1001, delete everything that is stored, and leave memory.

        The same name is a fresh agent afterwards. What still runs is cancelled. Sub-agents are destroyed too; one that
        destroys itself is deleted by its parent. In a schedule, a task or another job it is put off by a second, so
        that this comes to its end. Should the process end meanwhile, the rest is deleted before the agent wakes again.
        """
        if self.ctx.facet_name is not None:
            self.__emit("destroy")
            await self.dynamic_agents.delete_self()
            return
        await self.__destruction.destroy()

    async def schedule_destroy(self) -> None:
        """Be destroyed in a second, so that an answer to whoever asks for it still gets out. No job runs before."""
        self.__destruction.later()

    # Sub-agents

    async def sub_agent(self, cls: type[AgentT], name: str, *, props: Mapping[str, Any] | None = None) -> AgentT:
        """Return a stub of a sub-agent, which is made if need be: ``dynamic_agents.get``."""
        return await self.dynamic_agents.get(cls, name, props=props)

    def abort_sub_agent(self, cls: type | str, name: str, reason: BaseException | str | None = None) -> None:
        """Stop a sub-agent now; the next call or message starts it anew: ``dynamic_agents.abort``."""
        self.dynamic_agents.abort(cls, name, reason)

    async def delete_sub_agent(self, cls: type | str, name: str) -> None:
        """Delete a sub-agent and all that it has stored: ``dynamic_agents.delete``."""
        await self.dynamic_agents.delete(cls, name)

    def has_sub_agent(self, cls: type | str, name: str) -> bool:
        """Return whether this agent has made the sub-agent: ``dynamic_agents.has``."""
        return self.dynamic_agents.has(cls, name)

    def list_sub_agents(self, cls: type | str | None = None) -> list[SubAgentInfo]:
        """Return the sub-agents that this agent has made, the oldest first: ``dynamic_agents.list``."""
        return self.dynamic_agents.list(cls)

    async def parent_agent(self, cls: type[AgentT]) -> AgentT:
        """Return a stub of the agent that this one is a sub-agent of. Raises ``AgentError`` unless it is a ``cls``."""
        return self.dynamic_agents.parent(cls)

    @property
    def parent_path(self) -> tuple[AgentPathStep, ...]:
        """The agents above a sub-agent, the root first: ``(class_name, name)`` each. Empty for any other agent."""
        return self.dynamic_agents.parent_path

    @property
    def self_path(self) -> tuple[AgentPathStep, ...]:
        """``parent_path`` and this agent."""
        return self.dynamic_agents.self_path

    # Handlers for subclasses to override

    @handler
    def on_start(self, props: Mapping[str, Any] | None = None) -> Any:
        """Called once each time the agent wakes, before any event. ``props`` come from routing, or are None."""
        return _NOTHING

    @handler
    def on_request(self, request: Request) -> Any:
        """Answer a request: with a ``Response``, text, bytes, a JSON value, an iterator of chunks or an ASGI app."""
        return _NotImplemented("Not implemented", status=404)

    @handler
    def on_connect(self, connection: Connection[Any], ctx: ConnectionContext) -> Any:
        """Called when a client has connected and got identity and state. ``ctx.request`` is its handshake."""
        return _NOTHING

    @handler
    def on_message(self, connection: Connection[Any], message: str | bytes) -> Any:
        """Called with each message that is neither a change of the state nor a call."""
        return _NOTHING

    @handler
    def on_close(self, connection: Connection[Any], code: int, reason: str, was_clean: bool) -> Any:
        """Called when a connection is closed. It is not among ``get_connections()`` any more."""
        return _NOTHING

    @handler
    def on_error(self, error: Exception, connection: Connection[Any] | None = None) -> Any:
        """Called with what a handler raised. Return to make little of it, raise to let it be logged and answered."""
        self.__advise(error, connection)

    @handler
    def on_state_changed(self, state: StateT, source: Connection[Any] | Literal["server"]) -> Any:
        """Called after a change of the state was kept and sent. ``source`` is who made it."""
        return _NOTHING

    @handler
    def on_budget_exceeded(self, reason: str) -> Any:
        """Called when the agent has used up its budget, or was frozen. ``spending.resume()`` lets it go on."""
        return _NOTHING

    @handler
    def on_alarm(self) -> Any:
        """Called when the alarm of ``ctx.storage`` goes off. An error makes it go off again."""
        return _NOTHING

    @handler
    def on_fiber_recovered(self, fiber: FiberRecovery) -> Any:
        """Called when the agent wakes with a fiber that the process did not survive: start anew from its ``snapshot``.

        Return a ``FiberOutcome`` to note how a fiber of ``start_fiber`` ends. An error is tried again later, for a day.
        """
        self.ctx.logger.warning(
            "The fiber %s (%s) of %s was interrupted. Override on_fiber_recovered(self, fiber) to go on with it.",
            fiber.name,
            fiber.id,
            self.name,
        )

    def validate_state_change(self, next_state: StateT, source: Connection[Any] | Literal["server"]) -> None:
        """Raise to refuse a change of the state, before anything is kept or sent. Never ``async``.

        A client is told no more than that its change was rejected.
        """

    @handler
    def on_before_sub_agent(self, request: Request, child: RouteInfo) -> Any:
        """Called before a request or a handshake goes to a sub-agent, which may not be there yet.

        Return None to let it pass, a ``Request`` to send that one in its place, whose path does not matter, or a
        ``Response`` to refuse. A refused WebSocket is closed with 4000 and the status, or with 1011 unless that is 4xx.
        """
        return _NOTHING

    @handler
    def get_connection_tags(self, connection: Connection[Any], ctx: ConnectionContext) -> Any:
        """Return up to 9 tags by which ``get_connections`` finds the connection. By its id ``get_connection`` does."""
        return []

    @handler
    def should_connection_be_readonly(self, connection: Connection[Any], ctx: ConnectionContext) -> Any:
        """Return True to let this client see the state but not change it."""
        return False

    @handler
    def should_send_protocol_messages(self, connection: Connection[Any], ctx: ConnectionContext) -> Any:
        """Return False to never send this client identity, state and MCP frames."""
        return True

    @handler
    def select_subprotocol(self, offered: list[str], request: Request) -> Any:
        """Return the one of the subprotocols offered by a client that the connection shall speak, or None."""
        return None

    # What the object's activation calls

    async def fetch(self, request: Request) -> Any:
        """Answer a request, or the handshake of a WebSocket, or have a sub-agent answer it."""
        if "/sub/" in request.path:
            response = await self.dynamic_agents.route(request)
            if response is not None:
                return response
        if request.is_websocket_upgrade:
            return await self.__lifecycle.connect(request)
        return await self.__lifecycle.request(request)

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Handle a message."""
        await self.__lifecycle.message(ws, message)

    async def web_socket_close(self, ws: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        """Handle the end of a connection."""
        await self.__lifecycle.close(ws, code, reason, was_clean)

    async def web_socket_error(self, ws: WebSocket, error: BaseException) -> None:
        """Handle a broken connection."""
        await self.__lifecycle.error(ws, error)

    async def alarm(self, info: AlarmInfo) -> None:
        """Handle the alarm."""
        await self.__lifecycle.alarm()

    def _edgeagents_alarm_not_due(self) -> None:
        self.scheduler.put_right()

    async def _edgeagents_open_facet(self, name: str) -> Any:
        return await self.dynamic_agents.reopen(name)

    async def _edgeagents_activate(self, props: Mapping[str, Any] | None) -> None:
        if not hasattr(self, "_Agent__destruction"):
            name = type(self).__name__
            raise ConfigError(
                f"{name}.__init__() did not call super().__init__(ctx, env), so {name} is no whole agent. Call it "
                "first, or set up in on_start() instead."
            )
        await self.__destruction.finish()
        await self.__lifecycle.start(props)

    def _edgeagents_begin_call(self) -> None:
        current_agent.set(CurrentAgent(self))

    @classmethod
    def _edgeagents_exported_names(cls, capabilities: Sequence[type[Capability]]) -> frozenset[str]:
        return frozenset(name for kind in (*cls.capability_types, *capabilities) for name in kind.exports)

    def _edgeagents_find_part_method(self, part: str | None, method: str) -> Callable[..., Any] | None:
        for capability in self.capabilities:
            if part is None and method in capability.exports:
                return getattr(capability, method)
            if capability.name == part and method in capability.remote:
                return getattr(capability, method)
        return None

    def __find_part(self, name: str) -> Capability | None:
        return next((each for each in self.capabilities if each.name == name), None)

    def __find(self, name: str) -> Any:
        return getattr(self, name, None)

    @contextmanager
    def __acting(self, **what: Any) -> Generator[None]:
        token = current_agent.set(CurrentAgent(self, **what))
        try:
            yield
        finally:
            current_agent.reset(token)

    def __emit(self, type: str, /, **payload: Any) -> None:
        events = self.ctx.events
        if events is not None and not events.is_silent:
            events.publish(
                AgentEvent(type, self.__class__.__name__, self.ctx.id.name or "", payload, self.ctx.clock.now())
            )

    def __has_method(self, name: str) -> bool:
        return builtins.callable(inspect.getattr_static(self, name, None))

    def __advise(self, error: Exception, connection: Connection[Any] | None) -> None:
        where = f" on the connection {connection.id!r}" if connection is not None else ""
        # Whoever logs the error logs this with it.
        note = f"In {type(self).__name__} {self.ctx.id.name!r}{where}. Override on_error(self, error, connection=None)."
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise error

    def __tell_state_changed(self, state: Any, source: Any) -> None:
        if self.ctx.is_on_loop:
            self.__spawn_state_changed(state, source)
        else:
            self.__loop.call_soon_threadsafe(self.__spawn_state_changed, state, source)

    def __spawn_state_changed(self, state: Any, source: Any) -> None:
        self.ctx.spawn(self.__state_changed(state, source), name="on_state_changed")

    async def __state_changed(self, state: Any, source: Any) -> None:
        try:
            await self.__hooks.run("on_state_changed", state, source)
        except Exception as error:
            await self.__hooks.report(error)


@lru_cache(maxsize=1024)
def _exposed(cls: type, kinds: tuple[type[Capability], ...]) -> tuple[tuple[str, int, str | None], ...]:
    """Return what of its capabilities an agent has as attributes: the name, where the capability is, its method."""
    found: list[tuple[str, int, str | None]] = []
    for place, kind in enumerate(kinds):
        if kind.name and not hasattr(cls, kind.name):
            found.append((kind.name, place, None))
        found += ((name, place, name) for name in kind.exports if not hasattr(cls, name))
    return tuple(found)
