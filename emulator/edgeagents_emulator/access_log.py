"""A line a request, after it was answered: ``GET /path 200 OK (9ms)``."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from functools import lru_cache
from http import HTTPStatus

from edgeagents.asgi.types import ASGIApp, Message, Receive, Scope, Send
from edgeagents.redaction import what_is_known
from edgeagents_emulator.log import LineFormatter, line_handler

__all__ = ["with_request_lines"]

_log = logging.getLogger("edgeagents.requests")


def with_request_lines(app: ASGIApp) -> ASGIApp:
    """Return ``app`` with a line logged for each request, and for each WebSocket when its handshake is answered."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if not _log.isEnabledFor(logging.INFO):
            await app(scope, receive, send)
            return
        line = _RequestLine(scope, send)
        try:
            await app(scope, receive, line.send)
        finally:
            line.write()

    return serve


class _RequestLine:
    __slots__ = ("_began", "_is_written", "_scope", "_send", "_status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._began = time.monotonic()
        self._status: int | None = None
        self._is_written = False

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
        elif kind == "websocket.accept" or kind == "websocket.close":
            return self._send_of_socket(message, 101 if kind == "websocket.accept" else 403)
        return self._send(message)

    async def _send_of_socket(self, message: Message, status: int) -> None:
        if self._status is None:
            self._status = status
        await self._send(message)
        self.write()

    def write(self) -> None:
        if self._is_written:
            return
        self._is_written = True
        scope = self._scope
        raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
        head = (scope.get("method", "GET"), raw.partition(b"?")[0])
        milliseconds = f"({(time.monotonic() - self._began) * 1000:.0f}ms)"
        handler = line_handler(_log)
        if handler is not None:
            # Nobody else wants a record of it, which would take longer to make than many an answer.
            handler.write_soon(f"{_shown(*head, self._status, handler.lines, what_is_known())} {milliseconds}")
        elif self._status is None:
            _log.info("%s canceled %s", _request(*head), milliseconds)
        else:
            status = _in_words(self._status)
            _log.info("%s %s %s", _request(*head), status, milliseconds, extra={"status": status})


def _request(method: str, path: bytes) -> str:
    # The path as it was sent: percent-encoded, so that no request can write a line of its own.
    return f"{method} {path.decode('ascii', 'backslashreplace').encode('unicode_escape').decode()}"


@lru_cache(maxsize=1024)
def _shown(method: str, path: bytes, status: int | None, lines: LineFormatter, known: object) -> str:
    """Return all of a line but its time. ``known`` changes when something more is known to be secret."""
    words = None if status is None else _in_words(status)
    return lines.shown(f"{_request(method, path)} {words or 'canceled'}", words)


def _in_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
