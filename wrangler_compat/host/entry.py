"""Calling a worker's handlers: classes of Cloudflare's SDK, seen as entrypoints by the runtime.

An event comes in the runtime's values, is turned into JavaScript's, and goes through the SDK's own conversions to the
user's code, which runs so that ``run_sync`` works anywhere below it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from edgeagents.worker import Env, ExecutionContext, WorkerEntrypoint
from wrangler_compat.host.context import WorkerContext, enter
from wrangler_compat.host.environment import js_env
from wrangler_compat.host.importing import sdk
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy
from wrangler_compat.host.run_sync import Suspendable
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response

__all__ = ["JsExecutionContext", "hosted_entrypoint", "hosted_module", "run_for"]


class JsExecutionContext(JsProxy):
    """``ctx`` of an event."""

    _js_name = "ExecutionContext"

    def __init__(self, ctx: ExecutionContext, worker: WorkerContext) -> None:
        self._ctx, self._worker = ctx, worker
        self.props = JsObject(dict(ctx.props))

    @property
    def exports(self) -> JsObject:
        """The worker's own entrypoints, as stubs."""
        return self._worker.exports

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Let ``awaitable`` go on after the answer was sent."""
        self._ctx.wait_until(JsPromise.of(awaitable))

    def passThroughOnException(self) -> None:
        """Do nothing: there is no server behind the worker."""


async def run_for(worker: WorkerContext, function: Callable[..., Any], *args: Any, relaxed: bool = True) -> Any:
    """Call ``function`` of the worker's code, await what it returns, and return that."""
    enter(worker)

    async def run() -> Any:
        result = call_relaxed(function, *args) if relaxed else function(*args)
        return await result if inspect.isawaitable(result) else result

    return await Suspendable(run())


def hosted_entrypoint(cls: type, worker: WorkerContext) -> type[WorkerEntrypoint[Any]]:
    """Return what the runtime takes for an entrypoint in place of ``cls``, a class of the SDK's."""

    class Hosted(_HostedEntrypoint):
        _cls, _worker = cls, worker

    Hosted.__name__ = Hosted.__qualname__ = cls.__name__
    return Hosted


class _HostedEntrypoint(WorkerEntrypoint[Any]):
    _cls: type
    _worker: WorkerContext

    def __init__(self, ctx: ExecutionContext, env: Env) -> None:
        super().__init__(ctx, env)

    def __getattr__(self, event: str) -> Any:
        if event.startswith("_") or not callable(getattr(self._cls, event, None)):
            raise AttributeError(event)
        handle = _HANDLERS.get(event, _raw)

        async def run(*args: Any) -> Any:
            return await run_for(self._worker, self._handle, handle, event, args)

        return run

    async def _handle(self, handle: Callable[..., Awaitable[Any]], event: str, args: tuple[Any, ...]) -> Any:
        worker = self._worker
        worker.wait_until = self.ctx.wait_until
        instance = self._cls(JsExecutionContext(self.ctx, worker), js_env(self.env, worker))
        return await handle(getattr(instance, event), *args)


async def _fetch(method: Callable[..., Any], request: NativeRequest) -> NativeResponse:
    module = cast("Any", sdk())
    given = module.python_from_rpc(Request.of(request, cf_of(request)))
    return native_response(await _called(method, given, None, None))


async def _raw(method: Callable[..., Any], *args: Any) -> Any:
    return await _called(method, *args)


async def _called(method: Callable[..., Any], *args: Any) -> Any:
    result = call_relaxed(method, *args)
    return await result if inspect.isawaitable(result) else result


_HANDLERS: dict[str, Callable[..., Awaitable[Any]]] = {"fetch": _fetch}


def native_response(result: Any) -> NativeResponse:
    """Return the runtime's response for what a handler gave: the SDK's, JavaScript's, or what has one."""
    made = getattr(result, "js_response", None) or getattr(result, "js_object", result)
    if not isinstance(made, Response):
        raise JsTypeError(f"Expected a Response from the handler, but got {type(result).__name__}.")
    return made.to_native()


def hosted_module(module: Any, worker: WorkerContext) -> Callable[..., Awaitable[NativeResponse]] | None:
    """Return ``fetch`` of a worker in the old form, with functions ``on_fetch`` and the like; None if it has none."""
    on_fetch = getattr(module, "on_fetch", None)
    if not callable(on_fetch):
        return None

    async def fetch(request: NativeRequest, env: Env, ctx: ExecutionContext) -> NativeResponse:
        given = Request.of(request, cf_of(request)), js_env(env, worker), JsExecutionContext(ctx, worker)
        return native_response(await run_for(worker, on_fetch, *given))

    return fetch


def cf_of(request: NativeRequest) -> dict[str, Any]:
    """Return what Cloudflare tells of where a request came from: for a local one, nowhere in particular."""
    return {
        "asn": 0,
        "asOrganization": "",
        "city": "Localhost",
        "colo": "DEV",
        "continent": "",
        "country": "XX",
        "httpProtocol": "HTTP/1.1",
        "region": "",
        "timezone": "Etc/UTC",
        "tlsVersion": "",
    }
