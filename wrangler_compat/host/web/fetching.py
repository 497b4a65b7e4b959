"""``fetch``: requests to the network, answered as they come.

Connections are kept by one client for each event loop. What the worker's ``cf`` options ask of Cloudflare's network
has no meaning here and is accepted.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from edgeagents.objects import writes_kept
from wrangler_compat.host.context import outbound_here
from wrangler_compat.host.model.errors import DomException, JsException, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import is_nullish, js_function
from wrangler_compat.host.web.abortable import unless_aborted
from wrangler_compat.host.web.encoding import atob
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.streams import stream_of
from wrangler_compat.host.web.websocket import connect

if TYPE_CHECKING:
    import httpx2

__all__ = ["close_clients", "fetch", "send"]

_HOPS: Final = 20
_NOT_SENT: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade", "keep-alive"})
_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = weakref.WeakKeyDictionary()


@js_function
def fetch(resource: Any, init: Any = None) -> JsPromise:
    """Return a promise of the answer to a request."""
    try:
        request = Request(resource, init)
    except Exception as error:
        return JsPromise.rejected(error)
    if not is_nullish(request.fetcher):
        return request.fetcher.fetch(request)
    outbound = outbound_here()
    if outbound is not None:
        try:
            return outbound.fetch(request)
        except PermissionError as error:
            return JsPromise.rejected(JsException(str(error)))
    return JsPromise.of(send(request))


async def send(request: Request) -> Response:
    """Send ``request`` to the network."""
    scheme = urlsplit(request.url).scheme
    if scheme == "data":
        return _of_data(request.url)
    if scheme not in ("http", "https"):
        raise JsTypeError(f"Fetch API cannot load: {request.url}")
    if request.headers.get("upgrade") == "websocket":
        return await _upgrade(request)
    await writes_kept()
    return await unless_aborted(request._signal, _send(request))


async def _send(request: Request) -> Response:
    body = request._native_body()
    try:
        return await _answer(request, body)
    finally:
        if isinstance(body, AsyncGenerator):
            await body.aclose()  # Where it was not sent to its end, its source is told.


async def _answer(request: Request, body: bytes | AsyncIterator[bytes] | None) -> Response:
    import httpx2

    url, method = request.url, request.method
    headers = [(name, value) for name, value in request.headers._fields if name not in _NOT_SENT]
    for _ in range(_HOPS):
        try:
            answer = await _client().send(
                httpx2.Request(method, url, headers=headers, content=b"" if body is None else body), stream=True
            )
        except httpx2.HTTPError as error:
            raise JsTypeError(f"Network connection lost: {error or type(error).__name__}") from error
        location = answer.headers.get("location")
        if request.redirect != "follow" or answer.status_code not in (301, 302, 303, 307, 308) or location is None:
            return _response(answer, url, is_redirected=url != request.url)
        await answer.aclose()
        url = str(answer.url.join(location))
        if answer.status_code == 303 or (answer.status_code in (301, 302) and method == "POST"):
            method, body = "GET", None
        elif body is not None and not isinstance(body, bytes):
            raise JsTypeError("A request with a one-time-use body (it was initialized from a stream) was redirected.")
    raise JsTypeError("Too many redirects.")


def _response(answer: httpx2.Response, url: str, *, is_redirected: bool) -> Response:
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "transfer-encoding"]
    response = Response(None, {"status": max(answer.status_code, 200), "headers": headers})
    response.status, response.statusText = answer.status_code, answer.reason_phrase
    response.url, response.redirected = url, is_redirected
    response.encodeBody = "automatic"
    response._take_body(stream_of(_Content(answer)))
    return response


class _Content:
    """The chunks of an answer. What nobody reads to its end is let go of, and its connection with it."""

    def __init__(self, answer: httpx2.Response) -> None:
        import httpx2

        self._answer, self._chunks, self._faults = answer, answer.aiter_bytes(), httpx2.HTTPError
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> _Content:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except self._faults as error:
            raise JsTypeError(f"Network connection lost: {error}") from error

    async def aclose(self) -> None:
        """Want no more."""
        await self._answer.aclose()

    def __del__(self) -> None:
        if not self._answer.is_closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.create_task, self._answer.aclose())


async def _upgrade(request: Request) -> Response:
    address = urlsplit(request.url)
    url = address._replace(scheme="wss" if address.scheme == "https" else "ws").geturl()
    own = [(n, v) for n, v in request.headers._fields if n not in _NOT_SENT and not n.startswith("sec-websocket")]
    try:
        socket, protocol = await connect(url, own)
    except Exception as error:
        raise JsTypeError(f"The WebSocket could not be opened: {error}") from error
    headers = {} if protocol is None else {"sec-websocket-protocol": protocol}
    return Response(None, {"status": 101, "webSocket": socket, "headers": headers})


def _of_data(url: str) -> Response:
    head, comma, content = url.removeprefix("data:").partition(",")
    if not comma:
        raise JsTypeError("Fetch API cannot load: the data: URL has no comma.")
    kind, is_base64 = (head.removesuffix(";base64"), True) if head.endswith(";base64") else (head, False)
    data = unquote_to_bytes(content)
    if is_base64:
        try:
            data = atob(data.decode("latin-1")).encode("latin-1")
        except DomException as error:
            raise JsTypeError(f"Fetch API cannot load: {error.message}") from error
    return Response(data, {"headers": {"content-type": kind or "text/plain;charset=US-ASCII"}})


def _client() -> httpx2.AsyncClient:
    # Takes long to import, and many a worker asks nobody.
    import httpx2

    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = _clients[loop] = httpx2.AsyncClient(
            timeout=None,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
    return client


async def close_clients() -> None:
    """Close the connections of this event loop."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()
