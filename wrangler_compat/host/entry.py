"""Calling a worker's handlers: classes of Cloudflare's SDK, seen as entrypoints by the runtime.

An event comes in the runtime's values, is turned into JavaScript's, and goes through the SDK's own conversions to the
user's code, which runs so that ``run_sync`` works anywhere below it. ``fetch``, ``test`` and methods that are called
through a stub are given what the SDK makes of their arguments; handlers of other events get raw values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, cast

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from edgeagents.worker import ExecutionContext, WorkerEntrypoint
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.durable_object import public_methods
from wrangler_compat.host.entry_events import js_event
from wrangler_compat.host.environment import exports_of, js_env
from wrangler_compat.host.importing import sdk
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.late import Late
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish
from wrangler_compat.host.rpc_errors import crossing
from wrangler_compat.host.rpc_values import received, sent_result
from wrangler_compat.host.running import called, native_response, run_coroutine
from wrangler_compat.host.web.request import Request

__all__ = ["JsExecutionContext", "hosted_entrypoint", "hosted_functions"]

_EVENTS = frozenset({"scheduled", "queue", "email", "tail", "trace", "pubsub", "connect"})
# What Cloudflare tells of where a request came from: for a local one, nowhere in particular.
_CF: Final = {
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


class JsExecutionContext(JsProxy):
    """``ctx`` of an event."""

    _js_name = "ExecutionContext"

    def __init__(self, ctx: ExecutionContext, worker: WorkerContext) -> None:
        self._ctx, self._worker = ctx, worker

    @Late
    def props(self) -> Any:
        """What the caller's binding gives."""
        return received(dict(self._ctx.props))

    @property
    def exports(self) -> JsObject:
        """The worker's own entrypoints and object classes, as stubs."""
        return exports_of(self._ctx.exports, self._worker)

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Let ``awaitable`` go on after the answer was sent."""
        self._ctx.wait_until(JsPromise.of(awaitable))

    def passThroughOnException(self) -> None:
        """Do nothing: there is no server behind the worker."""

    def abort(self, reason: Any = None) -> None:
        """Leave the handler with ``reason``."""
        raise reason if isinstance(reason, BaseException) else JsException("" if is_nullish(reason) else reason)


def hosted_entrypoint(cls: type, worker: WorkerContext) -> type[WorkerEntrypoint[Any]]:
    """Return what the runtime takes for an entrypoint in place of ``cls``, a class of the SDK's."""
    events = ("fetch", "test", *_EVENTS)
    members = {
        "_cls": cls,
        "_worker": worker,
        "_handlers": {event: name for event in events if (name := _handler_name(cls, event, worker)) is not None},
        "_methods": frozenset(public_methods(cls)) - _EVENTS,
        "__module__": cls.__module__,
        "__doc__": cls.__doc__,
    }
    return cast("type[WorkerEntrypoint[Any]]", type(cls.__name__, (_HostedEntrypoint,), members))


class _Hosted(WorkerEntrypoint[Any]):
    _worker: WorkerContext

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        return run_coroutine(self._worker, coroutine, self.ctx.wait_until)

    def _given(self) -> tuple[JsExecutionContext, JsObject]:
        exports_of(self.ctx.exports, self._worker)
        return JsExecutionContext(self.ctx, self._worker), js_env(self.env, self._worker)


class _HostedEntrypoint(_Hosted):
    _cls: type
    _handlers: Mapping[str, str]
    """The names that the handlers of events have."""
    _methods: frozenset[str]

    def __getattr__(self, event: str) -> Any:
        name = self._handlers.get(event)
        if name is None:
            if event[0] == "_" or event in ("fetch", "test", *_EVENTS):
                raise AttributeError(event)
            return self._method(event)
        if event == "fetch":
            return lambda request: self._run(self._fetch(name, request))
        if event == "test":
            return lambda: self._run(self._test(name))
        return self._raw(event, name)

    def _raw(self, event: str, name: str) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any) -> None:
            await self._run(self._handle(name, *(js_event(event, value) for value in args)))

        return run

    def _method(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **keywords: Any) -> Any:
            try:
                return await self._run(self._call(name, args, keywords))
            except Exception as error:
                raise crossing(error) from error

        return run

    def _instance(self) -> Any:
        return self._cls(*self._given())

    async def _fetch(self, name: str, request: NativeRequest) -> NativeResponse:
        given: Any = Request.of(request, _CF)
        if name == "fetch":
            # What its conversion of values makes of a request.
            given = cast("Any", sdk()).Request(given)
        return native_response(await called(getattr(self._instance(), name), given, None, None), request)

    async def _test(self, name: str) -> None:
        await called(getattr(self._instance(), name), None, None, None)

    async def _handle(self, name: str, *args: Any) -> None:
        await called(getattr(self._instance(), name), *args, None, None)

    async def _call(self, name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        if name not in self._methods:
            raise TypeError(f"Method {name} does not exist")
        kit = cast("Any", sdk())
        given = [kit.python_from_rpc(received(value)) for value in args]
        named = {key: kit.python_from_rpc(received(value)) for key, value in keywords.items()}
        result = await called(lambda: getattr(self._instance(), name)(*given, **named))
        return sent_result(kit.python_to_rpc(result))


def _handler_name(cls: type, event: str, worker: WorkerContext) -> str | None:
    names = (event,) if "python_no_global_handlers" in worker.flags else (f"on_{event}", event)
    return next((name for name in names if callable(getattr(cls, name, None))), None)


def hosted_functions(
    functions: Mapping[str, Callable[..., Any]], file: str, worker: WorkerContext
) -> type[WorkerEntrypoint[Any]]:
    """Return the entrypoint of a worker in the old form, whose handlers are ``functions`` such as ``on_fetch``."""
    members = {"_functions": functions, "_file": file, "_worker": worker, "__module__": "worker"}
    return cast("type[WorkerEntrypoint[Any]]", type("Default", (_HostedFunctions,), members))


class _HostedFunctions(_Hosted):
    _functions: Mapping[str, Callable[..., Any]]
    _file: str

    def __getattr__(self, event: str) -> Any:
        if event not in ("fetch", "test", *_EVENTS):
            raise AttributeError(event)
        function = self._functions.get("test" if event == "test" else f"on_{event}")

        async def run(*args: Any) -> Any:
            if function is None:
                raise JsException(f'Python entrypoint "{self._file}" does not export a handler named "on_{event}"')
            ctx, env = self._given()
            if event == "fetch":
                return await self._run(_answer(args[0], function, Request.of(args[0], _CF), env, ctx))
            given = [js_event(event, value) for value in args] or [None]
            return await self._run(called(function, *given, env, ctx))

        return run


async def _answer(request: NativeRequest, function: Callable[..., Any], *given: Any) -> NativeResponse:
    return native_response(await called(function, *given), request)
