"""A response as a handler makes it: a status, headers and a body that may still be in the making."""

from __future__ import annotations

import builtins
import json as jsonlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, overload

from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie, generate_etag, quote_etag

from edgeagents.http.body import BodySource, ByteStream, encode_text, gather
from edgeagents.http.closing import close
from edgeagents.http.conditions import NO_SUCH_PART, failed_condition, wanted_part
from edgeagents.http.header_fields import FIELD_NAMES, check_cookie, check_value
from edgeagents.http.json_values import write_json
from edgeagents.http.request import HeadersInit, Request, percent_encoded
from edgeagents.http.server_sent_events import ServerSentEvent

if TYPE_CHECKING:
    # The one look upwards, for a checker: a response only carries the socket and never uses it.
    from edgeagents.objects.websocket import WebSocket

__all__ = ["Response"]

_TEXT = "text/plain;charset=UTF-8"
_EVENT_STREAM = "text/event-stream; charset=utf-8"


class _Maker(Protocol):
    def __call__(self, data: object, *, status: int = 200, headers: HeadersInit = None) -> Response: ...


class _Json:
    # JavaScript has both under this name: one on the class, one on its instances.
    @overload
    def __get__(self, response: None, kind: type[Response]) -> _Maker: ...
    @overload
    def __get__(self, response: Response, kind: type[Response]) -> Callable[[], Coroutine[Any, Any, Any]]: ...
    def __get__(self, response: Response | None, kind: type[Response]) -> Any:
        return kind.from_json if response is None else response._read_json  # pyright: ignore[reportPrivateUsage]


class Response:
    """The answer to a request.

    A ``str`` or ``bytes`` body is sent whole. An iterable of them is streamed: each item is sent as soon as it
    is made, and when the client goes away the iterable is closed. ``websocket`` is the client's end of a pair
    and belongs to status 101; it says yes to an upgrade.
    """

    __slots__ = ("_body", "_maps", "headers", "status", "websocket")

    def __init__(
        self,
        body: BodySource = None,
        *,
        status: int = 200,
        headers: HeadersInit = None,
        websocket: WebSocket | None = None,
    ) -> None:
        if status != 200:
            _check_status(status)
        self.status = status
        self.headers = _headers(headers)
        self.websocket = websocket
        self._maps: list[Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]] | None = None
        self._body: bytes | AsyncIterable[bytes | str] | Iterable[bytes | str] | None
        if type(body) is str:
            self._body = encode_text(body)
            if not _has_content_type(self.headers):
                self.headers.add("content-type", _TEXT)
        elif body is None or type(body) is bytes:
            self._body = body
        elif isinstance(body, str):
            self._body = encode_text(body)
            self.headers.setdefault("content-type", _TEXT)
        elif isinstance(body, bytearray | memoryview):
            self._body = bytes(body)
        elif isinstance(body, dict) or not isinstance(body, AsyncIterable | Iterable):
            raise TypeError(
                f"The body of a response is bytes, str or an iterable of them, not {type(body).__name__}. "
                "Response.from_json() encodes a value."
            )
        else:
            self._body = body

    @classmethod
    def from_json(cls, data: object, *, status: int = 200, headers: HeadersInit = None) -> Response:
        """Answer with ``data`` in JSON. Dataclasses, pydantic models, dates and UUIDs are known how to write."""
        response = cls(write_json(data), status=status, headers=headers)
        response.headers.setdefault("content-type", "application/json")
        return response

    @classmethod
    def redirect(cls, url: str, status: int = 302) -> Response:
        """Send the client to ``url``, in which what no URL may hold is percent-encoded."""
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status} is not the status of a redirect.")
        return cls(status=status, headers={"location": percent_encoded(url)})

    @classmethod
    def event_stream(
        cls, events: AsyncIterable[str | ServerSentEvent], *, status: int = 200, headers: HeadersInit = None
    ) -> Response:
        """Answer with Server-Sent Events; a ``str`` is the data of one. The front end keeps a silent stream alive."""
        response = cls(_EncodedEvents(events), status=status, headers=headers)
        response.headers.setdefault("content-type", _EVENT_STREAM)
        return response

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status <= 299

    @property
    def body(self) -> builtins.bytes | AsyncIterable[builtins.bytes | str] | Iterable[builtins.bytes | str] | None:
        """The body: bytes, or what they are made by."""
        return self._body

    @property
    def is_streaming(self) -> bool:
        """Whether the body is made while it is sent."""
        return self._body is not None and type(self._body) is not bytes

    def stream(self) -> AsyncIterator[builtins.bytes]:
        """Return the chunks of the body. You must close it with ``aclose()`` when you stop before the end."""
        stream: AsyncIterator[bytes]
        if self._body is None or isinstance(self._body, bytes):
            stream = ByteStream([self._body or b""])
        else:
            stream = ByteStream(self._body)
        for fn in self._maps or ():
            stream = fn(stream)
        return stream

    def map_body(self, fn: Callable[[AsyncIterator[builtins.bytes]], AsyncIterator[builtins.bytes]]) -> None:
        """Let the chunks of a streamed body pass through ``fn``. A body that is there already is left alone.

        What ``fn`` returns is closed in place of the body, so it must close what it was given.
        """
        if self.is_streaming:
            self._maps = [*(self._maps or ()), fn]

    async def aclose(self) -> None:
        """Close a streamed body that nobody will read: what made it cleans up. A body that is there stays."""
        if self._body is None or isinstance(self._body, bytes):
            return
        # A generator that never ran does not close what it was given, so the source is closed by itself too.
        streams = (self.stream(), ByteStream(self._body)) if self._maps else (self.stream(),)
        for stream in streams:
            await close(stream)

    async def bytes(self) -> builtins.bytes:
        """Return the body, all of it."""
        if self._body is None or isinstance(self._body, bytes):
            return self._body or b""
        # Read once and kept, so that a caller may ask again.
        self._body = await gather(self.stream(), None)
        self._maps = None
        return self._body

    async def text(self) -> str:
        """Return the body as text: always UTF-8, with U+FFFD for what is not."""
        return (await self.bytes()).decode("utf-8", "replace").removeprefix("\ufeff")

    json = _Json()
    """``await response.json()`` is what the body is in JSON; ``Response.json(data)`` is ``from_json``."""

    async def _read_json(self) -> Any:
        return jsonlib.loads(await self.bytes())

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: timedelta | int | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Set a cookie. A ``max_age`` that is a number is in seconds."""
        check_cookie(name, domain)
        cookie = dump_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.add("set-cookie", cookie)

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        partitioned: bool = False,
    ) -> None:
        """Make the client forget a cookie. What is given here must be what it was set with.

        A cookie whose name begins with ``__Secure-`` or ``__Host-`` is ``secure`` in any case.
        """
        self.set_cookie(
            name,
            max_age=0,
            expires=datetime.fromtimestamp(0, UTC),
            path=path,
            domain=domain,
            secure=secure or name.startswith(("__Secure-", "__Host-")),
            partitioned=partitioned,
        )

    def make_conditional(self, request: Request) -> Response:
        """Answer what ``request`` asks for on a condition: 304, 412, 206 with the range, or 416. Return self.

        Validators are the ``etag`` and ``last-modified`` headers; a body that is there gets an ``etag`` of its
        own when it has none. Only GET and HEAD that were answered with 200 are changed.
        """
        if request.method not in ("GET", "HEAD") or self.status != 200:
            return self
        body = None if self.is_streaming else (self._body or b"")
        assert body is None or isinstance(body, bytes)
        if body is not None and "etag" not in self.headers:
            self.headers["etag"] = quote_etag(generate_etag(body))
        failed = failed_condition(request.headers, self.headers)
        if failed is not None:
            self.status = failed
            self._body = None
            return self
        if body is None:
            return self
        self.headers["accept-ranges"] = "bytes"
        part = wanted_part(request.headers, self.headers, len(body)) if request.method == "GET" else None
        if part is NO_SUCH_PART:
            self.status = 416
            self._body = None
            self.headers["content-range"] = f"bytes */{len(body)}"
        elif part is not None:
            self.status = 206
            self._body = body[part]
            self.headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{len(body)}"
        return self

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def _check_status(status: object) -> None:
    if not isinstance(status, int) or not (status == 101 or 200 <= status <= 999):
        raise ValueError(f"Response(status={status!r}): it is a number from 200 on, or 101 to say yes to a WebSocket.")


def _headers(init: HeadersInit) -> Headers:
    if init is None:
        return Headers()
    # The usual ways to give some. Headers() takes three times as long to see what it is.
    pairs: Iterable[tuple[str, Any]]
    if type(init) is dict:
        pairs = init.items()
    elif type(init) is list:
        pairs = init
    else:
        return Headers(init)
    headers = Headers()
    for name, value in pairs:
        if type(value) is str:
            # Those that are added later are looked at when they are sent; here the traceback shows who did it.
            FIELD_NAMES[name]
            if not value.isprintable():
                check_value(name, value)
            headers.add(name, value)
        else:
            headers.extend([(name, value)] if type(init) is list else {name: value})
    return headers


def _has_content_type(headers: Headers) -> bool:
    # To find that it is not there, Headers raises and catches an error; and any() makes a generator.
    for name, _ in headers:  # noqa: SIM110
        if name.lower() == "content-type":
            return True
    return False


class _EncodedEvents(AsyncIterator[bytes]):
    def __init__(self, events: AsyncIterable[str | ServerSentEvent]) -> None:
        self._events = aiter(events)

    async def __anext__(self) -> bytes:
        event = await self._events.__anext__()
        if isinstance(event, str):
            event = ServerSentEvent(data=event)
        return event.encode()

    async def aclose(self) -> None:
        await close(self._events)
