"""Answering with an ASGI app: a handler may return one, and what the app sends becomes the response.

So an agent can have routes of FastAPI, and a handler can return a response of Starlette or Django.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from typing import Any, TypeGuard
from urllib.parse import unquote

from edgeagents.asgi.types import ASGIApp, Message, Scope
from edgeagents.http import Request, Response, to_response

__all__ = ["is_asgi_app", "respond"]

_log = logging.getLogger("edgeagents.asgi")


async def respond(value: object, request: Request) -> Response:
    """Return the response that ``value`` stands for: that of ``to_response``, or what an ASGI app answers."""
    if is_asgi_app(value):
        return await _AppRun(value, request).response()
    return to_response(value)


def is_asgi_app(value: object) -> TypeGuard[ASGIApp]:
    """Whether ``value`` is called with scope, receive and send."""
    if not callable(value) or isinstance(value, type | Response):
        return False
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(needed) == 3


class _AppRun:
    """One call of an ASGI app, in a task of its own.

    The task is cancelled when the response's body is closed before its end. After the end it goes on: what an app
    does in the background follows its response.
    """

    def __init__(self, app: ASGIApp, request: Request) -> None:
        self._app, self._request = app, request
        # One chunk waits at most: the app is slowed down to the speed of the client.
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)
        self._body: AsyncIterator[bytes] | None = None
        self._has_read_body = False
        self._is_answered = False
        self._is_over = asyncio.Event()
        self._task: asyncio.Task[None]

    async def response(self) -> Response:
        """Run the app until it has begun to answer."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="edgeagents: an app answers a request")
        _running.add(self._task)
        self._task.add_done_callback(_ended)
        try:
            start = await self._next()
            if start is None or start["type"] != "http.response.start":
                raise RuntimeError("The ASGI app that the handler returned did not answer.")
            fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start.get("headers", ())]
            first = await self.next_chunk()
            if self._is_answered:
                self._is_over.set()
            body = first if self._is_answered else _Chunks(self, first or b"")
            return Response(body, status=start["status"], headers=fields)
        except BaseException:
            self._task.cancel()
            raise

    async def next_chunk(self) -> bytes | None:
        """Return the next chunk of the body, or None at its end. Raises what the app raised before that."""
        if self._is_answered:
            return None
        message = await self._next()
        if message is None:
            raise RuntimeError("The ASGI app that the handler returned did not end its response.")
        return message.get("body", b"")

    async def aclose(self) -> None:
        """End it: the app sees the client leave."""
        self._is_over.set()
        if not self._is_answered and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        await self._app(_scope_of(self._request), self._receive, self._send)

    async def _next(self) -> Message | None:
        """Return the app's next message, or None when it has returned. Raises what the app raised."""
        if self._messages.empty():
            getting = asyncio.ensure_future(self._messages.get())
            try:
                await asyncio.wait((getting, self._task), return_when=asyncio.FIRST_COMPLETED)
                message = getting.result() if getting.done() else None
            finally:
                getting.cancel()
            if message is None:
                if self._task.cancelled():
                    # It was the app that was cancelled, and not its reader.
                    raise RuntimeError("The ASGI app that the handler returned was cancelled.")
                self._task.result()
                return None
        else:
            message = self._messages.get_nowait()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_answered = True
        return message

    async def _receive(self) -> Message:
        if self._body is None:
            self._body = self._request.stream()
        async for chunk in self._body:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if not self._has_read_body:
            self._has_read_body = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._is_over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "http.response.body") and not self._is_over.is_set():
            await self._messages.put(message)


_running: set[asyncio.Task[None]] = set()


def _ended(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        # Raised to the reader of the response too, if there is still one.
        _log.debug("An ASGI app that a handler returned failed", exc_info=error)


class _Chunks(AsyncIterator[bytes]):
    def __init__(self, run: _AppRun, first: bytes) -> None:
        self._run = run
        self._first: bytes | None = first

    async def __anext__(self) -> bytes:
        if self._first is not None:
            chunk, self._first = self._first, None
        else:
            chunk = await self._run.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        await self._run.aclose()


def _scope_of(request: Request) -> Scope:
    scope: dict[str, Any] = dict(request.scope or {})
    scheme, _, rest = request.url.partition("://")
    authority, slash, path = rest.partition("#")[0].partition("?")[0].partition("/")
    raw_path = slash + path or "/"
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in request.headers]
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, (b"host", authority.encode("ascii")))
    scope.update(
        type="http",
        asgi={"version": "3.0", "spec_version": "2.4"},
        http_version=scope.get("http_version", "1.1"),
        method=request.method,
        scheme=scheme,
        path=unquote(raw_path),
        raw_path=raw_path.encode("ascii"),
        query_string=request.query_string.encode("ascii"),
        root_path=request.root_path,
        headers=headers,
        client=request.client,
        server=scope.get("server") or (authority.rpartition(":")[0] or authority, 80),
        extensions={},
    )
    scope.setdefault("state", {})
    return scope
