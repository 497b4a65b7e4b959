"""Bindings that answer requests, and do nothing else: assets, certificates."""

from __future__ import annotations

import inspect
from typing import Any

from wrangler_compat.host.model.proxy import JsProxy
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
        request = Request(resource, init)
        answer = self._native.fetch(request.to_native())
        return Response.of(await answer if inspect.isawaitable(answer) else answer, request.url)
