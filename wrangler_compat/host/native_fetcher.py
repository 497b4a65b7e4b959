"""Bindings that answer requests, and do nothing else: assets, certificates."""

from __future__ import annotations

import inspect
from typing import Any

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from wrangler_compat.host.model.proxy import JsProxy
from wrangler_compat.host.redirects import answer_of
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response

__all__ = ["NativeFetcher"]


class NativeFetcher(JsProxy):
    """``Fetcher``, on a binding of the runtime's that has ``fetch``."""

    _js_name = "Fetcher"

    def __init__(self, native: Any) -> None:
        self._native = native

    async def fetch(self, resource: Any, init: Any = None) -> Response:
        """Return the answer to a request."""
        return await answer_of(Request(resource, init), self._send)

    async def _send(self, request: NativeRequest) -> NativeResponse:
        answer = self._native.fetch(request)
        return await answer if inspect.isawaitable(answer) else answer
