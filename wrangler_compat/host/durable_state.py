"""``DurableObjectState``: the ``ctx`` of an object in JavaScript's terms, around the runtime's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edgeagents.objects import ObjectContext
from edgeagents.objects import WebSocketRequestResponsePair as NativePair
from wrangler_compat.host.aborting import is_abort, until_aborted
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.durable_facets import DurableObjectFacets
from wrangler_compat.host.durable_namespace import DurableObjectId
from wrangler_compat.host.durable_storage import DurableObjectStorage
from wrangler_compat.host.environment import exports_of
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import JsDate
from wrangler_compat.host.model.errors import JsException, JsRangeError, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull
from wrangler_compat.host.rpc_errors import received_error
from wrangler_compat.host.rpc_values import received
from wrangler_compat.host.run_sync import Suspendable
from wrangler_compat.host.running import called
from wrangler_compat.host.web.websocket import WebSocket, WebSocketRequestResponsePair

__all__ = ["DurableObjectState"]

_LONGEST_EVENT = 604_800_000


class DurableObjectState(JsProxy):
    """An object's identity, its storage, and its say over its own life."""

    def __init__(self, ctx: ObjectContext, worker: WorkerContext, props: Mapping[str, Any] | None) -> None:
        self._ctx, self._worker = ctx, worker
        self.id = DurableObjectId(ctx.id)
        self.storage = DurableObjectStorage(ctx.storage, keeps_alarm="delete_all_deletes_alarm" not in worker.flags)
        self.props = received(dict(props or {}))
        self.container: Any = None
        self._longest_event: Any = None
        self._sections: list[JsPromise] | None = []

    @property
    def exports(self) -> JsObject:
        """The worker's own entrypoints, as stubs."""
        return exports_of(self._ctx.exports, self._worker)

    @property
    def facets(self) -> DurableObjectFacets:
        """Its children."""
        return DurableObjectFacets(self._ctx)

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Stay awake until ``awaitable`` is done. Its error is logged."""
        self._ctx.wait_until(JsPromise.of(awaitable))

    def blockConcurrencyWhile(self, function: Callable[[], Any]) -> JsPromise:
        """Run ``function`` while no other event of this object runs; return a promise of what it returns.

        An error in it, or more than 30 seconds, resets the object. In the constructor it delays the first event.
        """

        async def section() -> Any:
            try:
                return await Suspendable(called(function))
            except BaseException as error:
                if is_abort(error):
                    await until_aborted()
                raise

        async def run() -> Any:
            try:
                return await self._ctx.block_concurrency_while(section)
            except Exception as error:
                raise received_error(error)  # noqa: B904  (it has a cause)

        promise = JsPromise.of(run())
        if self._sections is not None:
            self._sections.append(promise)
        return promise

    async def _constructed(self) -> None:
        """Return when all is done that the constructor has blocked for. Raises what that raises."""
        sections, self._sections = self._sections or [], None
        for section in sections:
            await section

    def abort(self, reason: Any = None) -> None:
        """Reset the object: memory and unconfirmed writes are lost, all who wait get ``reason``."""
        try:
            self._ctx.abort(None if is_nullish(reason) else to_text(reason))
        except BaseException:
            # Within a task it leaves the code that called it; a microtask has nothing left to leave.
            if asyncio.current_task() is not None:
                raise

    # WebSockets

    def acceptWebSocket(self, ws: Any, tags: Any = None) -> None:
        """Receive for ``ws`` through the object's handlers; the object may leave memory meanwhile."""
        if not isinstance(ws, WebSocket):
            raise JsTypeError(
                "Failed to execute 'acceptWebSocket' on 'DurableObjectState': parameter 1 is not of type 'WebSocket'."
            )
        if ws._is_accepted:
            raise JsException("Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`")
        try:
            self._ctx.accept_web_socket(ws.to_native(), [] if is_nullish(tags) else list(map(to_text, tags)))
        except ValueError as error:
            raise JsException(str(error)) from None
        ws._is_accepted = True

    def getWebSockets(self, tag: Any = None) -> JsArray:
        """Return the open sockets that were accepted, those with ``tag`` if given, the latest last."""
        found = self._ctx.get_web_sockets(None if is_nullish(tag) else to_text(tag))
        return JsArray(map(WebSocket.of, found))

    def getTags(self, ws: WebSocket) -> JsArray:
        """Return the tags with which ``ws`` was accepted."""
        return JsArray(self._ctx.get_tags(ws.to_native()))

    def setWebSocketAutoResponse(self, pair: Any = None) -> None:
        """Answer a message equal to the pair's request with its response, without waking the object."""
        native = None if is_nullish(pair) else NativePair(pair.request, pair.response)
        try:
            self._ctx.set_web_socket_auto_response(native)
        except ValueError as error:
            raise JsRangeError(str(error)) from None

    def getWebSocketAutoResponse(self) -> Any:
        """Return what ``setWebSocketAutoResponse`` was given last, or null."""
        pair = self._ctx.get_web_socket_auto_response()
        return jsnull if pair is None else WebSocketRequestResponsePair(pair.request, pair.response)

    def getWebSocketAutoResponseTimestamp(self, ws: WebSocket) -> Any:
        """Return when ``ws`` got its last automatic response, or null."""
        when = self._ctx.get_web_socket_auto_response_timestamp(ws.to_native())
        return jsnull if when is None else JsDate(when)

    def setHibernatableWebSocketEventTimeout(self, milliseconds: Any = None) -> None:
        """Note how long a handler of a socket may take, at most seven days. Nothing is cut short here."""
        if isinstance(milliseconds, int | float) and not 0 <= milliseconds <= _LONGEST_EVENT:
            raise JsRangeError("Event timeout should be between 0 and 604800000 milliseconds.")
        self._longest_event = milliseconds or None

    def getHibernatableWebSocketEventTimeout(self) -> Any:
        """Return what was set, or null."""
        return jsnull if self._longest_event is None else self._longest_event

    def _keys(self) -> list[str]:
        return []
