"""The module ``agents`` for projects that do not have one: agents of edgeagents beside Cloudflare's SDK.

``Agent`` and its friends are edgeagents' own. What finds agents takes the requests, environments and namespaces of the
SDK as well, and answers in kind, so that ``return await route_agent_request(request, self.env) or ...`` works in both.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Mapping
from typing import Any

from edgeagents import agents
from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from edgeagents.objects import Namespace
from wrangler_compat.host.context import current_worker
from wrangler_compat.host.importing import sdk

__all__ = ["agents_module"]


def agents_module() -> types.ModuleType:
    """Return the module."""
    module = types.ModuleType("agents", __doc__)
    vars(module).update({name: getattr(agents, name) for name in agents.__all__})
    ours = {"route_agent_request": _route_agent_request, "get_agent_by_name": _get_agent_by_name}
    vars(module).update(ours, routeAgentRequest=_route_agent_request, getAgentByName=_get_agent_by_name)
    return module


async def _route_agent_request(request: Any, env: Any, **options: Any) -> Any:
    """Return the answer of the agent that ``request`` is for, or None when its path is none of an agent's.

    See ``edgeagents.route_agent_request``. A request of the SDK's, or JavaScript's, is answered by a response of it.
    """
    if isinstance(request, NativeRequest):
        return await agents.route_agent_request(request, _native_env(env), **options)
    given = getattr(request, "js_object", request)
    answer = await agents.route_agent_request(_with_late_body(given), _native_env(env), **options)
    return None if answer is None else _as_given(request, answer)


def _with_late_body(given: Any) -> NativeRequest:
    """Return the runtime's request. The body goes with one that an agent reads, and stays with one that none does."""

    async def body() -> AsyncIterator[bytes]:
        async for chunk in given.to_native().stream():
            yield chunk

    made = NativeRequest(given.url, method=given.method, headers=list(given.headers._fields), body=body())
    if (native := given._native) is not None:
        made = NativeRequest(native, headers=made.headers, body=body())
    return made


def _as_given(request: Any, answer: NativeResponse) -> Any:
    from wrangler_compat.host.web.response import Response

    made = Response.of(answer)
    kit: Any = sdk()
    return kit.Response(made) if hasattr(request, "js_object") else made


async def _get_agent_by_name(namespace: Any, name: str, **options: Any) -> Any:
    """Return a stub of the agent ``name``, which is awake then. Made of its class, or of a namespace out of ``env``."""
    if isinstance(namespace, type | Namespace):
        return await agents.get_agent_by_name(namespace, name, **options)
    native = getattr(getattr(namespace, "_binding", namespace), "_native", None)
    if not isinstance(native, Namespace):
        raise TypeError(f"An agent is found by its class or by a namespace out of env, not by {namespace!r}.")
    await agents.get_agent_by_name(native, name, **options)
    return namespace.getByName(name)


def _native_env(env: Any) -> Mapping[str, Any]:
    return env if isinstance(env, Mapping) else current_worker().native_env
