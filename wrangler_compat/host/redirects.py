"""Redirects, followed within the process: what ``fetch`` of a binding does, as ``fetch`` of the network does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urljoin

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsObject
from wrangler_compat.host.web.abortable import unless_aborted
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response

__all__ = ["answer_of"]

_HOPS: Final = 20
_REDIRECTS: Final = (301, 302, 303, 307, 308)


async def answer_of(request: Request, send: Callable[[NativeRequest], Awaitable[NativeResponse]]) -> Response:
    """Return what ``send`` answers to ``request``, after redirects if it says ``follow``, as it does by default.

    It is given up, or what is left of its body, when the request's signal is given.
    """
    return await unless_aborted(request._signal, _answer_of(request, send))


async def _answer_of(request: Request, send: Callable[[NativeRequest], Awaitable[NativeResponse]]) -> Response:
    first = request
    for _ in range(_HOPS):
        content, is_streamed = request._content, request._stream is not None
        answer = await send(request.to_native())
        location = answer.headers.get("location")
        if first.redirect != "follow" or answer.status not in _REDIRECTS or location is None:
            made = Response.of(answer, request.url)
            made.redirected = request is not first
            return made
        method = request.method
        init: dict[str, Any] = {"headers": request.headers}
        if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
            method = "GET"
        elif is_streamed:
            raise JsTypeError("A request with a one-time-use body (it was initialized from a stream) was redirected.")
        elif content is not None:
            init["body"] = content
        request = Request(urljoin(request.url, location), JsObject({**init, "method": method}))
    raise JsTypeError("Too many redirects.")
