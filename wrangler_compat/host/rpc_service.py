"""``Fetcher``: an entrypoint of this worker or another one, as a service binding gives it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from edgeagents.crons import ScheduledController
from edgeagents.errors import ConfigError
from edgeagents.objects.eager import begin_now
from edgeagents.services import Service
from wrangler_compat.host.clone import to_data
from wrangler_compat.host.durable_namespace import request_of
from wrangler_compat.host.model.convert import to_text, truthy
from wrangler_compat.host.model.date import JsDate, from_milliseconds
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, properties, python
from wrangler_compat.host.queue_event import QueueController
from wrangler_compat.host.redirects import answer_of
from wrangler_compat.host.rpc_errors import crossing
from wrangler_compat.host.rpc_stub import is_remote_name, remote_call, remote_method
from wrangler_compat.host.rpc_values import received, sent
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.sockets import Socket, piped_streams, ready

__all__ = ["Fetcher", "LoopbackFetcher"]

_log = logging.getLogger("edgeagents.worker")


class Fetcher(JsProxy):
    """A service: ``fetch``, ``scheduled``, ``queue``, ``connect``; every other name is a method of the entrypoint."""

    _is_sendable = True

    def __init__(self, native: Service) -> None:
        self._native = native

    def fetch(self, resource: Any, init: Any = None) -> JsPromise:
        """Send a request to the entrypoint's ``fetch`` and return its response."""
        return remote_call(self._fetch(resource, init))

    async def _fetch(self, resource: Any, init: Any) -> Response:
        try:
            return await answer_of(request_of(resource, init), self._native.fetch)
        except Exception as error:
            raise crossing(error) from error

    async def scheduled(self, options: Any = None) -> JsObject:
        """Run the entrypoint's ``scheduled`` and return how it ended: ``{outcome, noRetry}``."""
        given = properties(options)
        time: Any = given.get("scheduledTime")
        if not isinstance(time, int | float):
            time = (time if isinstance(time, JsDate) else JsDate()).getTime()
        cron = "" if is_nullish(given.get("cron")) else to_text(given["cron"])
        controller = ScheduledController(from_milliseconds(time), cron)
        outcome = await self._outcome("scheduled", controller)
        return JsObject({"outcome": outcome, "noRetry": not controller.retries})

    async def queue(self, name: Any, messages: Any, metadata: Any = None) -> JsObject:
        """Run the entrypoint's ``queue`` with a batch of ``messages``, and return what it decided of them.

        A message is ``{id, timestamp, attempts, body}``. Nothing is kept, and nothing comes again by itself.
        """
        batch = QueueController(name, messages, metadata)
        return batch._result(await self._outcome("queue", batch))

    async def _outcome(self, event: str, given: Any) -> str:
        try:
            await self._native.run_event(event, given)
        except Exception as error:
            _log.error("%s() of a service failed", event, exc_info=error)
            return "exception"
        return "ok"

    def connect(self, address: Any, options: Any = None) -> Socket:
        """Return a socket whose other end is given to the entrypoint's ``connect``, and closed when that returns."""
        target = address if isinstance(address, str) else ":".join(map(to_text, properties(address).values()))
        near, far = piped_streams()

        async def opened() -> Any:
            other = Socket(ready(far), target, "off", half_open=False)
            handling = begin_now(self._native.run_event("connect", other))
            handling.add_done_callback(lambda done: _ended(done, other))
            if handling.done() and isinstance(handling.exception(), ConfigError):
                raise JsTypeError("Incoming CONNECT on a worker not supported")
            return near

        return Socket(opened(), target, "off", half_open=truthy(properties(options).get("allowHalfOpen")))

    def __getattr__(self, name: str) -> Any:
        if not is_remote_name(name):
            raise AttributeError(name)
        return remote_method(name, self._call)

    def _call(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> Awaitable[Any]:
        # Copied now: what the caller changes after the call is not seen at the other end.
        given = tuple(map(sent, args))
        return self._answer(name, (*given, sent(JsObject(keywords))) if keywords else given)

    async def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        return received(await self._native._call_with(name, args, {}))

    def _keys(self) -> list[str]:
        return []


def _ended(handling: asyncio.Future[Any], socket: Socket) -> None:
    if not handling.cancelled() and (error := handling.exception()) is not None:
        _log.error("connect() of a service failed", exc_info=error)
    _ = socket.close()  # A promise: it goes on by itself.


class LoopbackFetcher(Fetcher):
    """An entrypoint of the worker itself in ``ctx.exports``. Called with ``{props}`` it gives a stub that has them."""

    _js_name = "Fetcher"

    @python
    def __call__(self, options: Any = None, **keywords: Any) -> Fetcher:
        given = {**properties(options), **keywords}
        return Fetcher(self._native.with_props(to_data(given.get("props")) or {}))
