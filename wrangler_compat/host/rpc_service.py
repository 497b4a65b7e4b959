"""``Fetcher``: an entrypoint of this worker or another one, as a service binding gives it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any

from edgeagents.crons import ScheduledController
from edgeagents.services import Service
from wrangler_compat.host.clone import to_data
from wrangler_compat.host.durable_namespace import request_of
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import JsDate, from_milliseconds
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, properties, python
from wrangler_compat.host.redirects import answer_of
from wrangler_compat.host.rpc_errors import crossing
from wrangler_compat.host.rpc_stub import is_remote_name, remote_call, remote_method
from wrangler_compat.host.rpc_values import received, sent
from wrangler_compat.host.web.response import Response

__all__ = ["Fetcher", "LoopbackFetcher"]

_log = logging.getLogger("edgeagents.worker")


class Fetcher(JsProxy):
    """A service: ``fetch``, ``scheduled``, and every other name is a method of the entrypoint."""

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
        try:
            await self._native.run_event("scheduled", controller)
            outcome = "ok"
        except Exception as error:
            _log.error("scheduled() for %r failed", cron, exc_info=error)
            outcome = "exception"
        return JsObject({"outcome": outcome, "noRetry": not controller.retries})

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


class LoopbackFetcher(Fetcher):
    """An entrypoint of the worker itself in ``ctx.exports``. Called with ``{props}`` it gives a stub that has them."""

    _js_name = "Fetcher"

    @python
    def __call__(self, options: Any = None, **keywords: Any) -> Fetcher:
        given = {**properties(options), **keywords}
        return Fetcher(self._native.with_props(to_data(given.get("props")) or {}))
