"""``EventSource``: events that a server sends one by one, over a connection that is opened again when it ends."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import DomException
from wrangler_compat.host.model.proxy import is_nullish, properties
from wrangler_compat.host.web.events import ErrorEvent, Event, EventTarget, MessageEvent
from wrangler_compat.host.web.fetching import fetch
from wrangler_compat.host.web.streams import ReadableStream, bytes_from
from wrangler_compat.host.web.url import URL

__all__ = ["EventSource"]

_RETRY_MS: Final = 2000
_running: set[asyncio.Future[Any]] = set()


class EventSource(EventTarget):
    """``EventSource``: ``open``, ``message`` and named events; ``error`` whenever the connection is lost."""

    class Statics(EventTarget.Statics):
        """The states, and a source that reads a stream."""

        CONNECTING, OPEN, CLOSED = 0, 1, 2

        def from_(stream: Any = None) -> EventSource:
            """Return the events of a stream that is there already. It is not opened again."""
            source = EventSource.__new__(EventSource)
            source._begin("", None)
            _keep(asyncio.ensure_future(source._read(stream)))
            return source

    CONNECTING, OPEN, CLOSED = 0, 1, 2

    def __init__(self, url: Any, options: Any = None) -> None:
        text = to_text(url)
        if not URL.Statics.canParse(text) or urlsplit(text).scheme not in ("http", "https"):
            raise DomException(f"Cannot open an EventSource to '{text}'. The URL is invalid.", "SyntaxError")
        self._begin(text, properties(options).get("fetcher"))
        _keep(asyncio.ensure_future(_run(weakref.ref(self))))

    def _begin(self, url: str, fetcher: Any) -> None:
        EventTarget.__init__(self)
        self.url, self.readyState, self.withCredentials = url, EventSource.CONNECTING, False
        self._fetcher = fetcher
        self._last_id, self._retry_ms = "", _RETRY_MS
        self._body: ReadableStream | None = None

    def close(self) -> None:
        """Want no more."""
        self.readyState = EventSource.CLOSED
        if self._body is not None:
            self._body._give_up(DomException("The EventSource was closed.", "AbortError"))

    async def _connect(self) -> bool:
        """Read what one connection gives. Return whether another one is to be opened."""
        headers = {"accept": "text/event-stream", "cache-control": "no-cache"}
        if self._last_id:
            headers["last-event-id"] = self._last_id
        send = fetch if is_nullish(self._fetcher) else self._fetcher.fetch
        try:
            answer = await send(self.url, {"headers": headers})
        except Exception as error:
            self._fail(error)
            return True
        kind = answer.headers.get("content-type")
        if answer.status != 200 or not to_text(kind).startswith("text/event-stream"):
            self.readyState = EventSource.CLOSED
            self._fail(DomException(f"The server answered {answer.status}, with {to_text(kind)}.", "NetworkError"))
            return False
        self.url = urljoin(self.url, answer.url or self.url)
        await self._read(answer.body)
        return True

    async def _read(self, body: ReadableStream) -> None:
        if self.readyState == EventSource.CLOSED:
            return
        self._body, self.readyState = body, EventSource.OPEN
        self.dispatchEvent(Event("open"))
        try:
            async for event in self._events(body):
                self.dispatchEvent(event)
            self._fail(None)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception | None) -> None:
        if self.readyState == EventSource.OPEN:
            self.readyState = EventSource.CONNECTING
        if self.readyState != EventSource.CLOSED or self._body is None:
            self.dispatchEvent(ErrorEvent("error", {"error": error, "message": "" if error is None else str(error)}))

    async def _events(self, body: ReadableStream) -> AsyncIterator[MessageEvent]:
        kind, data = "", list[str]()
        async for line in _lines(body):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    told = {"data": "\n".join(data), "lastEventId": self._last_id, "origin": _origin(self.url)}
                    yield MessageEvent(kind or "message", told)
                kind, data = "", []
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                self._last_id = value
            elif name == "retry" and value.isdecimal():
                self._retry_ms = int(value)


async def _run(source: weakref.ref[EventSource]) -> None:
    while (held := source()) is not None and held.readyState != EventSource.CLOSED:
        if not await held._connect():
            return
        delay = held._retry_ms / 1000
        # While it waits, nobody but its listeners' owner holds it.
        del held
        await asyncio.sleep(delay)


async def _lines(body: ReadableStream) -> AsyncIterator[str]:
    rest = b""
    async for piece in bytes_from(body):
        # A line may end with both; the second may still be to come.
        *lines, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            for part in line.split(b"\r"):
                yield part.decode("utf-8", "replace").removeprefix("\ufeff")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _keep(running: asyncio.Future[Any]) -> None:
    _running.add(running)
    running.add_done_callback(_running.discard)
