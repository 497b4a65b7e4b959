"""Routing: from a path to an agent.

``/{prefix}/{class in kebab case}/{name}`` and whatever follows reach the agent of that name. A path that has another
shape is not ours: the answer is None, and the program around us goes on. How the request gets to the object is the
namespace's business.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar, cast

from asgiref.sync import sync_to_async
from werkzeug.datastructures import Headers

from edgeagents.agents.kebab import kebab_case
from edgeagents.errors import ConfigError
from edgeagents.http import Request, Response
from edgeagents.http.origins import SAFE_METHODS, AllowedOrigins, Origins
from edgeagents.objects.namespace import Namespace, current_namespaces, wake

__all__ = [
    "AgentRouter",
    "BeforeHook",
    "Cors",
    "RouteInfo",
    "RoutingRetry",
    "admit",
    "get_agent_by_name",
    "route_agent_request",
    "without_internal_headers",
]

T = TypeVar("T")

logger = logging.getLogger("edgeagents.routing")

_OPEN_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}

# Messages between the parts of Cloudflare's SDK. Here they pass in process, so what a client sends is forged.
_INTERNAL_HEADERS = ("x-agents-lifecycle-props", "x-cf-agents-", "cf-mcp-")


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """Where a request is going: the name of the binding, which mostly is that of the class, and the agent's name."""

    class_name: str
    name: str


BeforeHook = Callable[..., object]
"""Gets the request and a ``RouteInfo``; sync or async. Return a ``Response`` to answer with it, a ``Request`` to go on
with that one, or None to go on."""

Cors = bool | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RoutingRetry:
    """How often Cloudflare tries again when an object cannot be reached. Accepted, checked, and without effect.

    What has not reached an object yet is brought to it anew by the runtime itself, for as long as its owner can change.
    What has reached one is not repeated: it may have done something.
    """

    max_attempts: int = 3
    base_delay_ms: float = 100
    max_delay_ms: float = 800
    on_retry: Callable[..., object] | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.max_attempts) or self.max_attempts < 1:
            raise ConfigError("routing_retry.max_attempts must be >= 1")
        if self.max_attempts != int(self.max_attempts):
            raise ConfigError("routing_retry.max_attempts must be an integer")
        for name in ("base_delay_ms", "max_delay_ms"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise ConfigError(f"routing_retry.{name} must be > 0")
        if self.base_delay_ms > self.max_delay_ms:
            raise ConfigError("routing_retry.base_delay_ms must be <= max_delay_ms")


RetryOption = RoutingRetry | Mapping[str, Any] | Literal[False] | None


class AgentRouter:
    """Routes requests to the agents of ``namespaces``, which are named by their bindings and may still be added to.

    The options are those of ``route_agent_request``. ``asks`` says that each request is shown to the hook
    ``authorise`` first, unless it has an identity: for a router that no runtime stands before.
    """

    def __init__(
        self,
        namespaces: Mapping[str, Namespace[Any]],
        *,
        prefix: str = "agents",
        cors: Cors | None = None,
        props: Mapping[str, Any] | None = None,
        on_before_connect: BeforeHook | None = None,
        on_before_request: BeforeHook | None = None,
        jurisdiction: str | None = None,
        location_hint: str | None = None,
        routing_retry: RetryOption = None,
        allowed_origins: AllowedOrigins = None,
        asks: bool = False,
    ) -> None:
        _check_retry(routing_retry)
        self._prefix = _parts(prefix or "agents")
        self._head = "".join(f"/{part}" for part in self._prefix) + "/"
        self._namespaces = namespaces
        self._targets: dict[str, tuple[str, Namespace[Any]]] = {}
        self._known = 0
        self._cors = _OPEN_CORS if cors is True else dict(cors) if cors else None
        self._props = props
        self._on_before_connect, self._on_before_request = on_before_connect, on_before_request
        self._jurisdiction = jurisdiction
        self._asks = asks
        self.origins = Origins(allowed_origins, cors=self._cors)
        """Whose pages may open WebSockets to agents, and change something."""
        if self.origins.allows_all:
            _tell_of_open_origins()

    def claims(self, path: str) -> bool:
        """Return whether ``route`` will answer a request for ``path``, percent-encoded and below the mount point."""
        if "//" in path:
            return self._match(path) is not None
        if not path.startswith(self._head):
            return False
        start = len(self._head)
        slash = path.find("/", start)
        return slash >= 0 and len(path) > slash + 1

    async def route(self, request: Request) -> Response | None:
        """Return the answer of the agent that ``request`` is for, or None when its path is none of ours."""
        match = self._match(request.path)
        if match is None:
            return None
        segment, name = match
        target = self._target(segment)
        if target is None:
            known = ", ".join(sorted(self._targets)) or "none"
            logger.warning("No agent class is called %.100r in a URL. There is: %s", segment, known)
            return Response("Invalid request", status=400)
        class_name, namespace = target
        if len(name) * 4 > namespace.name_bytes and (fault := _length_fault(namespace, name)) is not None:
            return Response(fault, status=400)
        if self._cors is not None and request.method == "OPTIONS":
            return Response(status=200, headers=self._cors)
        is_upgrade = request.is_websocket_upgrade
        if is_upgrade or request.method not in SAFE_METHODS:
            refusal = self.origins.refusal(request)
            if refusal is not None:
                _tell_of_refusal(request.headers.get("origin", ""), request.headers.get("host", ""))
                return refusal if is_upgrade else self._with_cors(refusal)
        if self._asks and (refusal := await admit(request)) is not None:
            return refusal if is_upgrade else self._with_cors(refusal)
        if self._jurisdiction is not None:
            namespace = _in_jurisdiction(namespace, self._jurisdiction)
        request = without_internal_headers(request)
        hook = self._on_before_connect if is_upgrade else self._on_before_request
        if hook is not None:
            changed = await _ask(hook, request, RouteInfo(class_name, name))
            if isinstance(changed, Response):
                return changed if is_upgrade else self._with_cors(changed)
            if changed.identity is None:
                changed.identity = request.identity
            request = changed
        stub = namespace.get_by_name(name, props=self._props)
        response = await stub.fetch(request)
        return response if is_upgrade else self._with_cors(response)

    def find(self, path: str) -> tuple[str, str] | None:
        """Return the segments of ``path`` that name an agent's class and the agent, or None when it is none of ours."""
        return self._match(path)

    def _target(self, segment: str) -> tuple[str, Namespace[Any]] | None:
        if self._known != len(self._namespaces):
            # A runtime makes its router first, and its namespaces when it starts.
            self._known = len(self._namespaces)
            self._targets = {kebab_case(name): (name, namespace) for name, namespace in self._namespaces.items()}
        return self._targets.get(segment)

    def _match(self, path: str) -> tuple[str, str] | None:
        if path.startswith(self._head) and "//" not in path:
            segment, _, rest = path[len(self._head) :].partition("/")
            name = rest.partition("/")[0]
            return (segment, name) if name else None
        parts = _parts(path)
        depth = len(self._prefix)
        if len(parts) < depth + 2 or parts[:depth] != self._prefix:
            return None
        return parts[depth], parts[depth + 1]

    def _with_cors(self, response: Response) -> Response:
        if self._cors is not None and response.websocket is None:
            for name, value in self._cors.items():
                response.headers[name] = value
        return response


async def route_agent_request(
    request: Request,
    env: object,
    *,
    prefix: str = "agents",
    cors: Cors | None = None,
    props: Mapping[str, Any] | None = None,
    on_before_connect: BeforeHook | None = None,
    on_before_request: BeforeHook | None = None,
    jurisdiction: str | None = None,
    location_hint: str | None = None,
    routing_retry: RetryOption = None,
    allowed_origins: AllowedOrigins = None,
) -> Response | None:
    """Return the answer of the agent that ``request`` is for, or None when its path is none of an agent's.

    ``env`` has the namespaces, by binding name. ``cors``: True lets every site read the answers, a mapping of headers
    replaces that. ``props`` reach ``on_start`` of an agent that this request wakes. The hooks see upgrades and plain
    requests before the agent does. A class that ``env`` does not have is answered with 400.

    A page of another site is refused with 403 when it opens a WebSocket or changes something. ``allowed_origins`` lists
    those that may; with ``cors=True`` every site may, but without its visitors' cookies.

    ``location_hint`` and ``routing_retry`` are accepted for programs of Cloudflare's, and have no effect: there is one
    location, and what has not reached an agent is brought to it anew anyhow.
    """
    values = env if isinstance(env, Mapping) else vars(env)
    namespaces = {name: value for name, value in values.items() if isinstance(value, Namespace)}
    router = AgentRouter(
        namespaces,
        prefix=prefix,
        cors=cors,
        props=props,
        on_before_connect=on_before_connect,
        on_before_request=on_before_request,
        jurisdiction=jurisdiction,
        location_hint=location_hint,
        routing_retry=routing_retry,
        allowed_origins=allowed_origins,
        asks=True,
    )
    return await router.route(request)


async def admit(request: Request) -> Response | None:
    """Ask the hook ``authorise`` of the runtime that we are in; return its refusal, or None.

    For ways in that no runtime stands before, such as an ASGI app of a plugin. A request that has an identity was let
    in already.
    """
    ask = getattr(current_namespaces.get(None), "admit", None)
    return None if ask is None or request.identity is not None else await ask(request)


async def get_agent_by_name(
    namespace: type[T] | Namespace[T],
    name: str,
    *,
    props: Mapping[str, Any] | None = None,
    jurisdiction: str | None = None,
    location_hint: str | None = None,
    routing_retry: RetryOption = None,
) -> T:
    """Return a stub of the agent ``name``, which is awake then. Made of its class, or of a namespace out of ``env``.

    A type checker sees the agent itself; in truth every method of the stub is awaited, and arguments and results are
    copies. ``await stub.fetch(request)`` hands on a request, so a program may find the agent for a URL by itself.
    ``location_hint`` and ``routing_retry`` have no effect, as in ``route_agent_request``.
    """
    _check_retry(routing_retry)
    if isinstance(namespace, type):
        namespace = _namespace_of(namespace)
    elif not isinstance(namespace, Namespace):
        raise TypeError(
            f"get_agent_by_name() takes an agent class, or a namespace out of env, not {namespace!r}. "
            "Import the class, or look into env for the binding to it."
        )
    if not isinstance(name, str):
        raise TypeError(f"The name of an agent is a str, not {type(name).__name__}: {name!r}.")
    if (fault := _length_fault(namespace, name)) is not None:
        raise ValueError(fault)
    if jurisdiction is not None:
        namespace = _in_jurisdiction(namespace, jurisdiction)
    stub = namespace.get_by_name(name, props=props)
    await wake(stub)
    return cast("T", stub)


def _namespace_of(cls: type[T]) -> Namespace[T]:
    namespaces = current_namespaces.get(None)
    if namespaces is None:
        raise ConfigError(
            f"get_agent_by_name({cls.__name__}, ...) was called where no runtime is known. Call it inside the app that "
            "AgentsMiddleware wraps or inside an agent, or give it a namespace, such as runtime.namespaces[...]."
        )
    namespace = namespaces.get(cls)
    if namespace is None:
        known = ", ".join(sorted(known.__name__ for known in namespaces)) or "none"
        raise ConfigError(f"{cls.__name__} is not among the agents of this runtime ({known}). Add it to agents=[...].")
    return cast("Namespace[T]", namespace)


def _length_fault(namespace: Namespace[Any], name: str) -> str | None:
    most = namespace.name_bytes
    if len(name.encode("utf-8", "surrogatepass")) <= most:
        return None
    return f"The name of an agent is at most {most} bytes long: Limits(object_name_bytes={most})."


def _in_jurisdiction(namespace: Namespace[T], jurisdiction: str) -> Namespace[T]:
    return namespace.jurisdiction(jurisdiction)


def _check_retry(option: RetryOption) -> None:
    if isinstance(option, Mapping):
        RoutingRetry(**option)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def without_internal_headers(request: Request) -> Request:
    """Return ``request`` without what would be a forged message between the parts of Cloudflare's SDK."""
    if not request.has_headers_like(_INTERNAL_HEADERS):
        return request
    names = [name for name, _ in request.headers if name.lower().startswith(_INTERNAL_HEADERS)]
    headers = Headers(request.headers)
    for name in names:
        headers.remove(name)
    return request.copy(headers=headers)


@cache
def _tell_of_open_origins() -> None:
    logger.warning(
        "allowed_origins='*': pages of every site may use the agents, with the cookies of whoever looks at them."
    )


@lru_cache(maxsize=256)
def _tell_of_refusal(origin: str, host: str) -> None:
    # Once for each page, which may try again and again.
    logger.warning(
        "A page of %.100r was refused: it may not use agents of %.100r. If it may, say so: allowed_origins=[%.100r].",
        *(origin or "another site", host, origin),
    )


async def _ask(hook: BeforeHook, request: Request, route: RouteInfo) -> Request | Response:
    if inspect.iscoroutinefunction(hook):
        answer = await hook(request, route)
    else:
        # A plain function may block, as a look into Django's ORM does. Its thread is the one Django expects.
        answer = await sync_to_async(hook, thread_sensitive=True)(request, route)
        if isinstance(answer, Awaitable):
            answer = await answer
    if answer is None:
        return request
    if isinstance(answer, Request | Response):
        return answer
    raise TypeError(
        f"A hook before an agent returns a Response, a Request or None; {hook!r} returned a {type(answer).__name__}."
    )
