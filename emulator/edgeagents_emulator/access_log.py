"""A line a request, after it was answered: ``GET /path 200 OK (9ms)``."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus

from edgeagents.asgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["with_request_lines"]

_log = logging.getLogger("edgeagents.requests")


def with_request_lines(app: ASGIApp) -> ASGIApp:
    """Return ``app`` with a line logged for each request, and for each WebSocket when its handshake is answered."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        line = _RequestLine(scope)

        async def watched(message: Message) -> None:
            line.see(message)
            await send(message)
            if message["type"] in ("websocket.accept", "websocket.close"):
                line.write()

        try:
            await app(scope, receive, watched)
        finally:
            line.write()

    return serve


class _RequestLine:
    def __init__(self, scope: Scope) -> None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
        # The path as it was sent: percent-encoded, so that no request can write a line of its own.
        path = raw.partition(b"?")[0].decode("ascii", "backslashreplace")
        self._request = f"{scope.get('method', 'GET')} {path.encode('unicode_escape').decode()}"
        self._began = time.monotonic()
        self._status: int | None = None
        self._is_written = False

    def see(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
        elif kind == "websocket.accept":
            self._status = 101
        elif kind == "websocket.close" and self._status is None:
            self._status = 403

    def write(self) -> None:
        if self._is_written:
            return
        self._is_written = True
        milliseconds = (time.monotonic() - self._began) * 1000
        if self._status is None:
            _log.info("%s canceled (%.0fms)", self._request, milliseconds)
            return
        status = _in_words(self._status)
        _log.info("%s %s (%.0fms)", self._request, status, milliseconds, extra={"status": status})


def _in_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
