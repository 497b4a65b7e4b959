"""Sub-agents: agents that an agent makes, within its own life, each with state, storage and connections of its own.

A sub-agent is a facet of its parent's object (``objects/facets``), so it is awake only while the parent is, and whoever
has the root has them all. It is reached by calls from its parent, and from outside through the parent: every
``/sub/{class}/{name}`` in a path leads one step down (``sub_routing``). Which ones there are stands in the parent's
registry. Its jobs are in its own database; the one alarm of the root's object wakes it for them.

A sub-agent's class is one of the runtime's (``agents=[...]``, or what the worker's module exports), or one that the
parent's class names in its attribute ``sub_agents``. It needs no binding; without one nothing else is reached by it.
Classes must be known beforehand because a request, or an alarm, finds them by their names after a restart.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.closed_socket import closed_socket, failed_session
from edgeagents.agents.kebab import kebab_case
from edgeagents.agents.routing import RouteInfo, without_internal_headers
from edgeagents.agents.sub_agent_registry import SubAgentInfo, SubAgentRegistry, identity_name
from edgeagents.agents.sub_routing import SUB_PREFIX, AgentPathStep, SubAgentPathMatch, find_sub_agent
from edgeagents.agents.waking import with_waking
from edgeagents.errors import AgentError, ConfigError, HttpError
from edgeagents.http import Request, Response
from edgeagents.objects.ids import ObjectId
from edgeagents.objects.namespace import call_part, wake
from edgeagents.objects.rpc import exported_names, is_callable_name

if TYPE_CHECKING:
    from edgeagents.objects.namespace import Stub

__all__ = ["DynamicAgents", "SubAgentStub", "get_sub_agent_by_name", "route_sub_agent_request"]

T = TypeVar("T")

_DELETED = "Sub-agent deleted"

BeforeSubAgent = Callable[[Request, RouteInfo], Awaitable[Any]]


class _Refused(AgentError):
    """No sub-agent can have this name, or be of this class."""


class DynamicAgents(Capability):
    """An agent's sub-agents: ``agent.dynamic_agents``.

    ``before`` is the agent's ``on_before_sub_agent``, if it has one; ``agent_type`` is what all agents derive from.
    """

    name = "dynamic_agents"
    remote = ("invoke",)

    def __init__(self, host: CapabilityHost, *, agent_type: type, before: BeforeSubAgent | None) -> None:
        super().__init__(host)
        self._ctx, self._agent_type, self._before = host.ctx, agent_type, before
        self._registry = SubAgentRegistry(host.ctx)
        self._ids: dict[str, ObjectId] = {}

    # What the agent's code uses

    async def get(self, cls: type[T], name: str, *, props: Mapping[str, Any] | None = None) -> T:
        """Return a stub of the sub-agent ``name``, which is made or woken, and has started.

        A type checker sees the agent itself; in truth every method of the stub is awaited, and arguments and results
        are copies. ``props`` reach ``on_start`` if this wakes it. Raises ``ConfigError`` for a class that is not known
        here, ``AgentError`` for a name or a class that no sub-agent can have, and what the start raises.
        """
        if not isinstance(cls, type):
            raise TypeError(f"sub_agent() takes a class of agents, not {type(cls).__name__}: {cls!r}.")
        if self._known.get(cls.__name__) is not cls:
            raise self._unknown(cls.__name__)
        return cast("T", await self._open(cls.__name__, name, props))

    def abort(self, cls: type | str, name: str, reason: BaseException | str | None = None) -> None:
        """Stop a sub-agent now, and its own sub-agents with it. What it has stored and its connections stay.

        Whoever waits for it gets ``reason``. The next ``get``, or a message from a client, starts it anew.
        """
        self._ctx.facets.abort(_facet_name(_class_name(cls), name), reason)

    async def delete(self, cls: type | str, name: str) -> None:
        """Stop a sub-agent, close its connections with 1001, and delete all that it and its sub-agents have stored.

        One that is not there is no error.
        """
        self._ctx.facets.delete(_facet_name(_class_name(cls), name), close_reason=_DELETED)
        self._registry.forget(_class_name(cls), name)

    def has(self, cls: type | str, name: str) -> bool:
        """Return whether this agent has made the sub-agent, and has not deleted it."""
        return self._registry.identity(_class_name(cls), name) is not None

    def list(self, cls: type | str | None = None) -> list[SubAgentInfo]:
        """Return the sub-agents of this agent, those of one class if it is given, the oldest first."""
        return self._registry.list(None if cls is None else _class_name(cls))

    # Where the agent stands

    @property
    def parent_path(self) -> tuple[AgentPathStep, ...]:
        """The agents above this one, the root first."""
        return tuple(AgentPathStep(cls.__name__, object_id.name or "") for cls, object_id in self._ctx.parents)

    @property
    def self_path(self) -> tuple[AgentPathStep, ...]:
        """The agents above this one, and this one."""
        return (*self.parent_path, AgentPathStep(self.host.class_name, self.host.name))

    def parent(self, cls: type[T]) -> T:
        """Return a stub of the agent that this one is a sub-agent of. Raises ``AgentError`` unless it is a ``cls``."""
        path, stub = self.parent_path, self._ctx.parent
        if stub is None:
            raise AgentError(
                f"parent_agent(): {self.host.class_name} {self.host.name!r} is no sub-agent, so it has no parent."
            )
        if path[-1].class_name != cls.__name__:
            raise AgentError(
                f"parent_agent({cls.__name__}): the parent of {self.host.class_name} {self.host.name!r} is a "
                f"{path[-1].class_name}. Ask for that class."
            )
        return cast("T", stub)

    # What the agent itself and other agents use

    async def route(self, request: Request) -> Response | None:
        """Answer a request, or a handshake, to a sub-agent. None when the path leads to none."""
        match = find_sub_agent(request.path, self._segments.get)
        if match is None:
            return None
        is_upgrade = request.is_websocket_upgrade
        if self._before is not None:
            decision = await self._decision(self._before, request, match)
            if isinstance(decision, Response):
                return _rejection(decision) if is_upgrade and decision.websocket is None else decision
            request = decision
        # Asked before it is opened, for that wakes it.
        if is_upgrade:
            facet_name = _facet_name(match.child_class, match.child_name)
            request = with_waking(request, not self._ctx.facets.is_awake(facet_name))
        try:
            stub = await self._open(match.child_class, match.child_name)
        except Exception as error:
            self._ctx.logger.error(
                "The sub-agent %s %r of %r could not be reached",
                match.child_class,
                match.child_name,
                self.host.name,
                exc_info=error,
            )
            if is_upgrade:
                return failed_session(error, debug=self._ctx.debug)
            # No more than that: what the parent knows is not the client's business.
            if isinstance(error, _Refused):
                return Response("Bad Request", status=400)
            return Response("Not Found", status=404)
        return await stub.fetch(request.copy(url=_with_path(request.url, match.remaining_path)))

    async def invoke(
        self, class_name: str, name: str, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method of a sub-agent, which is made if need be."""
        stub = await self._open(class_name, name)
        return await stub._call(method, *args, **kwargs)

    async def reopen(self, facet_name: str) -> Stub[Any] | None:
        """Return the sub-agent that is this facet, or None when there is no such any more."""
        class_name, _, name = facet_name.partition("\0")
        return await self._open(class_name, name) if self.has(class_name, name) else None

    async def delete_self(self) -> None:
        """Have the parent delete this agent. It goes on until its writes are kept, so that callers get an answer."""
        class_name, name, facet_name = (self.host.class_name, self.host.name, self._ctx.facet_name)

        async def delete(parent: Any) -> None:
            parent.ctx.facets.delete(facet_name, close_reason=_DELETED)
            agents = getattr(parent, "dynamic_agents", None)
            if isinstance(agents, DynamicAgents):
                agents._registry.forget(class_name, name)

        await self._ctx.flushed()
        self._ctx.in_parent(delete, name="delete a sub-agent")

    async def dispose(self) -> None:
        self._ctx.facets.delete_all(close_reason="Durable Object destroyed")

    # Within

    @functools.cached_property
    def _known(self) -> dict[str, type]:
        own: Any = self.host.find("sub_agents") or ()
        classes = {cls.__name__: cls for cls in (*self._ctx.classes.values(), *own)}
        return {name: cls for name, cls in classes.items() if issubclass(cls, self._agent_type)}

    @functools.cached_property
    def _segments(self) -> dict[str, str]:
        return {kebab_case(name): name for name in self._known}

    async def _open(self, class_name: str, name: str, props: Mapping[str, Any] | None = None) -> Stub[Any]:
        cls = self._known.get(class_name)
        _check(class_name, name, self._ctx.limits.object_name_bytes)
        if cls is None:
            raise self._unknown(class_name)
        facets, facet_name = self._ctx.facets, _facet_name(class_name, name)
        known = self._registry.identity(class_name, name)
        identity = known or identity_name((*self.self_path, (class_name, name)))
        object_id = self._ids.get(identity)
        if object_id is None:
            # The id is unique to the path; its name is the one that the agent has.
            object_id = self._ids[identity] = ObjectId(facets.id_from_name(identity).digits, name)
        stub = facets.get(facet_name, cls, id=object_id, props=props)
        if known is not None and facets.is_awake(facet_name):
            return stub
        if known is None:
            # Before it starts, for its start may make others look for it.
            self._registry.record(class_name, name, identity)
        try:
            await wake(stub)
        except BaseException:
            if known is None:
                self._registry.forget(class_name, name)
            raise
        return stub

    def _unknown(self, class_name: str) -> ConfigError:
        return ConfigError(
            f"{class_name} is not known as a class of sub-agents of {self.host.class_name}. Name it there, "
            f"sub_agents = [{class_name}], or among the agents of the runtime, agents=[..., {class_name}]; a worker's "
            "module exports it."
        )

    async def _decision(self, before: BeforeSubAgent, request: Request, match: SubAgentPathMatch) -> Request | Response:
        with self.host.acting(request=request):
            try:
                decision = await before(request, RouteInfo(match.child_class, match.child_name))
            except HttpError as error:
                # Raised or returned, a refusal is the same to a client, over a WebSocket too.
                return Response(str(error), status=error.status)
        if decision is None:
            return request
        if isinstance(decision, Request | Response):
            return decision
        raise TypeError(
            "on_before_sub_agent() returns a Response, a Request or None; that of "
            f"{self.host.class_name} returned a {type(decision).__name__}."
        )


class SubAgentStub(Generic[T]):
    """The methods of a sub-agent, called from outside through its parent: see ``get_sub_agent_by_name``."""

    def __init__(self, parent: Any, cls: type[T], name: str) -> None:
        self._parent, self._cls, self._name = parent, cls, name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if "_parent" not in self.__dict__:
            # Whatever makes an object without __init__() asks it for this and that.
            raise AttributeError(method)
        if method == "fetch":
            raise AgentError(
                "A stub of get_sub_agent_by_name() is for calls only. Use route_sub_agent_request(), or the path "
                "/agents/{parent}/{name}/sub/{child}/{name}, for requests and WebSockets."
            )
        # What every agent of the runtime exports, its parent does too.
        exported = exported_names(self._cls, ()) | self._parent._namespace.exported
        if not is_callable_name(self._cls, method, exported):
            raise AttributeError(f"{self._cls.__name__} has no method {method!r} to call through a stub.")
        return functools.partial(self._call, method)

    async def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await call_part(
            self._parent, DynamicAgents.name, "invoke", self._cls.__name__, self._name, method, args, kwargs
        )

    def __copy__(self) -> SubAgentStub[T]:
        return SubAgentStub(self._parent, self._cls, self._name)

    def __deepcopy__(self, memo: object) -> SubAgentStub[T]:
        # It stands for an agent, and is none of its data.
        return self.__copy__()

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError(
            f"{self!r} cannot be pickled: it belongs to a runtime. Keep the names of the parent and the sub-agent, and "
            "make a stub of it again where it is needed."
        )

    def __repr__(self) -> str:
        return f"<SubAgentStub {self._cls.__name__} {self._name}>"


async def get_sub_agent_by_name(parent: object, cls: type[T], name: str) -> T:
    """Return a stub of the sub-agent ``name`` of ``parent``, itself a stub (``await get_agent_by_name(...)``).

    For calls only. Each one goes through the parent, whose ``on_before_sub_agent`` is not asked: whoever uses this has
    checked what is to be checked. Raises ``AgentError`` for a name that no sub-agent can have.
    """
    _check(cls.__name__, name)
    return cast("T", SubAgentStub(parent, cls, name))


async def route_sub_agent_request(request: Request, parent: Any, *, from_path: str | None = None) -> Response:
    """Send a request whose path names a sub-agent of ``parent``, a stub, to it; 400 when the path names none.

    For programs with paths of their own: they find the parent, this finds the rest. ``from_path`` is the path to look
    at in place of the request's; the query stays, unless it has one itself. The parent's ``on_before_sub_agent`` is
    asked first.
    """
    url = request.url
    path = request.path
    if from_path is not None:
        path, _, query = (from_path if from_path.startswith("/") else f"/{from_path}").partition("?")
        url = _with_path(url, path)
        if query:
            url = f"{url.partition('?')[0]}?{query}"
    if find_sub_agent(path, str) is None:
        return Response("Sub-agent path not found in request URL", status=400)
    request = without_internal_headers(request)
    return await parent.fetch(request if from_path is None else request.copy(url=url))


def _class_name(cls: type | str) -> str:
    return cls if isinstance(cls, str) else cls.__name__


def _facet_name(class_name: str, name: str) -> str:
    return f"{class_name}\0{name}"


def _check(class_name: str, name: str, most_bytes: int | None = None) -> None:
    if kebab_case(class_name) == SUB_PREFIX:
        raise _Refused(
            f"A class of sub-agents cannot be called {class_name!r}: in a path that is {SUB_PREFIX!r}, which is "
            "reserved. Rename it."
        )
    if "\0" in name:
        raise _Refused("Sub-agent name contains null character (\\0), which is reserved.")
    if not _is_unicode(name):
        raise _Refused("The name of a sub-agent is valid Unicode, without lone surrogates.")
    if most_bytes is not None and len(name.encode("utf-8", "surrogatepass")) > most_bytes:
        raise _Refused(
            f"The name of a sub-agent is at most {most_bytes} bytes long: Limits(object_name_bytes={most_bytes})."
        )


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_path(url: str, path: str) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("#")[0].partition("?")[0].partition("/")[0]
    _, mark, query = rest.partition("#")[0].partition("?")
    return f"{scheme}://{host}{path}{mark}{query}"


def _rejection(response: Response) -> Response:
    """Accept a WebSocket only to close it: a browser cannot see the answer to a refused handshake."""
    status = response.status
    # From 4000 on a client does not come back.
    code = 4000 + status if 400 <= status < 500 else 1011
    return closed_socket(code, f"Sub-agent connection rejected ({status})")
