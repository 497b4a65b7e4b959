"""Object classes of Cloudflare's SDK, made fit for the runtime: what an ``Activation`` runs in place of them.

The instance of the worker's class is made when the object starts, once, with the raw ``ctx`` and ``env``. Handlers run
on the event loop, sync ones too, as in Pyodide, so ``run_sync`` works in all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from edgeagents.objects import AlarmInfo, DurableObject, ObjectContext
from edgeagents.objects import WebSocket as NativeWebSocket
from wrangler_compat.host.aborting import is_abort, until_aborted
from wrangler_compat.host.container import Container
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.durable_state import DurableObjectState
from wrangler_compat.host.environment import exports_of, js_env
from wrangler_compat.host.importing import sdk
from wrangler_compat.host.model.buffers import JsArrayBuffer
from wrangler_compat.host.model.date import to_milliseconds
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsObject
from wrangler_compat.host.rpc_errors import crossing, received_error
from wrangler_compat.host.rpc_values import received, sent_result
from wrangler_compat.host.running import called, native_response, run_for
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.websocket import WebSocket

__all__ = ["hosted_object", "public_methods"]

_HANDLERS = ("alarm", "webSocketMessage", "webSocketClose", "webSocketError")


def hosted_object(cls: type, worker: WorkerContext) -> type[DurableObject[Any]]:
    """Return what the runtime takes for an object class in place of ``cls``, a class of the SDK's."""
    members: dict[str, Any] = {"_cls": cls, "_stands_for": cls, "_worker": worker, "__doc__": cls.__doc__}
    members["__module__"] = cls.__module__
    for name in public_methods(cls):
        members[name] = _remote(name)
    prefix = "" if "python_no_global_handlers" in worker.flags else "on_"
    for event in ("fetch", *_HANDLERS):
        handler = _handler_name(cls, event, prefix)
        # An alarm can be set whatever the class has: that its handler is missing is told when it is due.
        if handler is not None or event == "alarm":
            members[_NATIVE[event][0]] = _NATIVE[event][1](handler)
    return cast("type[DurableObject[Any]]", type(cls.__name__, (_HostedObject,), members))


def public_methods(cls: type) -> list[str]:
    """Return the names that a stub may call: public functions of the class and its bases."""
    own = {"ctx", "env", "fetch", *_HANDLERS, *(native for native, _ in _NATIVE.values())}
    found = (name for name, _ in inspect.getmembers(cls, inspect.isfunction) if name[0] != "_" and name not in own)
    return [name for name in found if not isinstance(inspect.getattr_static(cls, name), staticmethod)]


def _handler_name(cls: type, event: str, prefix: str) -> str | None:
    names = (f"{prefix}{event}", event) if prefix else (event,)
    return next((name for name in names if callable(getattr(cls, name, None))), None)


class _HostedObject(DurableObject[Any]):
    _cls: type
    _worker: WorkerContext
    _is_hosted = True

    def __init__(self, ctx: ObjectContext, env: Any) -> None:
        super().__init__(ctx, env)
        self._instance: Any = None

    async def _edgeagents_activate(self, props: Mapping[str, Any] | None) -> None:
        exports_of(self.ctx.exports, self._worker)
        state = DurableObjectState(self.ctx, self._worker, props)
        if self._cls.__name__ in self._worker.containers:
            state.container = Container(self._cls.__name__)
        self._instance = await self._run(self._cls, state, js_env(self.env, self._worker))
        await state._constructed()

    def _edgeagents_find_part_method(self, part: str | None, method: str) -> Callable[..., Any] | None:
        async def refuse(*_: Any, **__: Any) -> Any:
            raise crossing(TypeError(f"Method {method} does not exist"))

        return refuse

    async def _run(self, function: Callable[..., Any], *args: Any, relaxed: bool = False) -> Any:
        try:
            return await run_for(self._worker, function, *args, relaxed=relaxed, waits=self.ctx.wait_until)
        except BaseException as error:
            if is_abort(error):
                await until_aborted()
            if isinstance(error, Exception) and (made := crossing(error)) is not error:
                raise made from error
            raise


def _remote(name: str) -> Callable[..., Any]:
    async def call(self: _HostedObject, *args: Any, **keywords: Any) -> Any:
        kit = cast("Any", sdk())

        async def run() -> Any:
            given = [kit.python_from_rpc(received(value)) for value in args]
            named = {key: kit.python_from_rpc(received(value)) for key, value in keywords.items()}
            result = getattr(self._instance, name)(*given, **named)
            result = await result if inspect.isawaitable(result) else result
            return sent_result(kit.python_to_rpc(result))

        return await self._run(run)

    call.__name__ = name
    return call


def _fetch(handler: str) -> Callable[..., Any]:
    async def fetch(self: _HostedObject, request: NativeRequest) -> NativeResponse:
        kit = cast("Any", sdk())

        async def run() -> NativeResponse:
            given: Any = Request.of(request)
            if handler == "fetch":
                given = kit.python_from_rpc(given)
            return native_response(await called(getattr(self._instance, handler), given, None, None), request)

        return await self._run(run)

    return fetch


def _alarm(handler: str | None) -> Callable[..., Any]:
    async def alarm(self: _HostedObject, info: AlarmInfo) -> None:
        if handler is None:
            raise TypeError(f"Method alarm does not exist on {self._cls.__name__}, which has set an alarm")
        told = JsObject(
            {
                "retryCount": info.retry_count,
                "isRetry": info.is_retry,
                "scheduledTime": to_milliseconds(info.scheduled_time),
            }
        )
        await self._run(getattr(self._instance, handler), told, relaxed=True)

    return alarm


def _message(handler: str) -> Callable[..., Any]:
    async def web_socket_message(self: _HostedObject, ws: NativeWebSocket, message: str | bytes) -> None:
        given = message if isinstance(message, str) else JsArrayBuffer(message)
        await self._run(getattr(self._instance, handler), WebSocket.of(ws), given, relaxed=True)

    return web_socket_message


def _close(handler: str) -> Callable[..., Any]:
    async def web_socket_close(
        self: _HostedObject, ws: NativeWebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        await self._run(getattr(self._instance, handler), WebSocket.of(ws), code, reason, was_clean, relaxed=True)

    return web_socket_close


def _error(handler: str) -> Callable[..., Any]:
    async def web_socket_error(self: _HostedObject, ws: NativeWebSocket, error: BaseException) -> None:
        given = received_error(error)
        given = given if isinstance(given, JsException) else JsException(str(error))
        await self._run(getattr(self._instance, handler), WebSocket.of(ws), given, relaxed=True)

    return web_socket_error


_NATIVE: dict[str, tuple[str, Callable[[Any], Callable[..., Any]]]] = {
    "fetch": ("fetch", _fetch),
    "alarm": ("alarm", _alarm),
    "webSocketMessage": ("web_socket_message", _message),
    "webSocketClose": ("web_socket_close", _close),
    "webSocketError": ("web_socket_error", _error),
}
