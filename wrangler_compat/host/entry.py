"""Calling a worker's handlers: classes of Cloudflare's SDK, seen as entrypoints by the runtime.

An event comes in the runtime's values, is turned into JavaScript's, and goes through the SDK's own conversions to the
user's code, which runs so that ``run_sync`` works anywhere below it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from edgeagents.worker import Env, ExecutionContext, WorkerEntrypoint
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.environment import js_env
from wrangler_compat.host.importing import sdk
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy
from wrangler_compat.host.running import called, native_response, run_for
from wrangler_compat.host.web.request import Request

__all__ = ["JsExecutionContext", "hosted_entrypoint", "hosted_module"]


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
            return await run_for(self._worker, self._handle, handle, event, args, waits=self.ctx.wait_until)

        return run

    async def _handle(self, handle: Callable[..., Awaitable[Any]], event: str, args: tuple[Any, ...]) -> Any:
        worker = self._worker
        instance = self._cls(JsExecutionContext(self.ctx, worker), js_env(self.env, worker))
        return await handle(getattr(instance, event), *args)


async def _fetch(method: Callable[..., Any], request: NativeRequest) -> NativeResponse:
    module = cast("Any", sdk())
    given = module.python_from_rpc(Request.of(request, cf_of(request)))
    return native_response(await called(method, given, None, None))


async def _raw(method: Callable[..., Any], *args: Any) -> Any:
    return await called(method, *args)


_HANDLERS: dict[str, Callable[..., Awaitable[Any]]] = {"fetch": _fetch}


def hosted_module(module: Any, worker: WorkerContext) -> Callable[..., Awaitable[NativeResponse]] | None:
    """Return ``fetch`` of a worker in the old form, with functions ``on_fetch`` and the like; None if it has none."""
    on_fetch = getattr(module, "on_fetch", None)
    if not callable(on_fetch):
        return None

    async def fetch(request: NativeRequest, env: Env, ctx: ExecutionContext) -> NativeResponse:
        given = Request.of(request, cf_of(request)), js_env(env, worker), JsExecutionContext(ctx, worker)
        return native_response(await run_for(worker, on_fetch, *given, waits=ctx.wait_until))

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
