"""A request as a handler sees it: a value, not a connection.

Everything is worked out when it is asked for. The URL is the one that was sent, never decoded; ``path`` is what
routing looks at. A front end (``edgeagents.asgi``) makes requests whose body and headers come from a server;
a program makes its own: ``Request("https://example.com/", method="POST", json={"n": 1})``.
"""

from __future__ import annotations

import builtins
import json as jsonlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote_plus

from werkzeug.datastructures import Authorization, ETags, Headers, IfRange, MIMEAccept, MultiDict, Range
from werkzeug.sansio.request import Request as SansIORequest

from edgeagents.errors import BadRequest, JsonTooDeep
from edgeagents.http.abort import AbortSignal
from edgeagents.http.body import DEFAULT_BUFFER_LIMIT, Body, BodySource, encode_text
from edgeagents.http.forms import FormData, read_form
from edgeagents.http.identity import Identity
from edgeagents.http.json_values import is_too_deep

__all__ = ["HeadersInit", "Request", "percent_encoded"]

HeadersInit = Headers | Mapping[str, Any] | Iterable[tuple[str, Any]] | None

_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]")
_DEFAULT_ORIGIN = "http://localhost"


class Request:
    """One HTTP request. A relative ``url`` is one of ``http://localhost``.

    ``json`` is a body that is encoded here. A ``Request`` in place of the url gives its own values for what is
    left out; the two share one body, which can be streamed once.

    ``scope`` is what the front end attached: the ASGI scope with its user and session. It stays in this process.
    ``identity`` is who the hook ``authorise`` found it to be from, or None.
    """

    __slots__ = (
        "_body",
        "_head",
        "_headers",
        "_origin_of_signal",
        "_path",
        "_query",
        "_signal",
        "_url",
        "buffer_limit",
        "client",
        "identity",
        "json_depth",
        "method",
        "root_path",
        "scope",
    )

    method: str
    client: tuple[str, int] | None
    root_path: str
    scope: Mapping[str, Any] | None
    identity: Identity | None
    buffer_limit: int
    json_depth: int | None
    _url: str | None
    _path: str | None
    _headers: Headers | None
    _query: MultiDict[str, str] | None
    _head: SansIORequest | None
    _body: Body | None
    _signal: AbortSignal | None
    _origin_of_signal: Request | None

    def __init__(
        self,
        url: str | Request,
        *,
        method: str | None = None,
        headers: HeadersInit = None,
        body: BodySource = None,
        json: object = None,
        signal: AbortSignal | None = None,
        client: tuple[str, int] | None = None,
        root_path: str = "",
        scope: Mapping[str, Any] | None = None,
    ) -> None:
        if body is not None and json is not None:
            raise TypeError("A request has one body: give either body or json.")
        self._path = self._query = self._head = self._origin_of_signal = None
        self._signal = signal
        if isinstance(url, Request):
            other = url
            self._url = other.url
            self.method = other.method if method is None else method.upper()
            self._headers = Headers(other.headers if headers is None else headers)
            self.client = client or other.client
            self.root_path = root_path or other.root_path
            self.scope = other.scope if scope is None else scope
            self.buffer_limit, self.json_depth = other.buffer_limit, other.json_depth
            self.identity = other.identity
            if signal is None:
                self._origin_of_signal = other
            self._body = other._the_body() if body is None and json is None else None
        else:
            self._url = _absolute(url)
            self.method = "GET" if method is None else method.upper()
            self._headers = Headers(headers)
            self.client = client
            self.root_path = root_path
            self.scope = scope
            self.buffer_limit, self.json_depth = DEFAULT_BUFFER_LIMIT, None
            self.identity = None
            self._body = None
        if json is not None:
            body = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":"))
            self._headers.setdefault("content-type", "application/json")
        elif isinstance(body, str):
            self._headers.setdefault("content-type", "text/plain;charset=UTF-8")
        if self._body is None:
            self._body = Body(body)

    # What the front end overrides to work things out late.

    def _make_url(self) -> str:
        raise NotImplementedError

    def _make_headers(self) -> Headers:
        raise NotImplementedError

    def _make_body(self) -> Body:
        raise NotImplementedError

    def _make_signal(self) -> AbortSignal:
        return AbortSignal() if self._origin_of_signal is None else self._origin_of_signal.signal

    def _the_body(self) -> Body:
        if self._body is None:
            self._body = self._make_body()
        return self._body

    # The head.

    @property
    def url(self) -> str:
        """The whole URL, percent-encoded as it was sent."""
        if self._url is None:
            self._url = self._make_url()
        return self._url

    @property
    def path(self) -> str:
        """The path that routing looks at: still percent-encoded, without the ``root_path`` it is mounted under."""
        if self._path is None:
            self._path = _path_below(self.url, self.root_path)
        return self._path

    @property
    def headers(self) -> Headers:
        """The header fields, by name in any case. Bytes outside of ASCII are read as latin-1."""
        if self._headers is None:
            self._headers = self._make_headers()
        return self._headers

    def has_headers_like(self, prefixes: tuple[str, ...]) -> bool:
        """Return whether the name of a header field begins with one of ``prefixes``, which are in lower case."""
        return any(name.lower().startswith(prefixes) for name, _ in self.headers)

    def headers_named(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return the header fields that have one of these names, which are in lower case; of several the last."""
        return {lower: value for name, value in self.headers if (lower := name.lower()) in names}

    @property
    def query_string(self) -> str:
        """What stands behind the question mark, as it was sent."""
        return self.url.partition("#")[0].partition("?")[2]

    @property
    def query(self) -> MultiDict[str, str]:
        """The decoded parameters of the URL: ``query.get("cursor")``, ``query.getlist("tag")``."""
        if self._query is None:
            self._query = MultiDict(parse_qsl(self.query_string, keep_blank_values=True, errors="replace"))
        return self._query

    @property
    def cookies(self) -> MultiDict[str, str]:
        """The cookies that came with it."""
        return self._parsed.cookies

    @property
    def is_websocket_upgrade(self) -> bool:
        """Whether this asks for a WebSocket."""
        # Asked twice for every request, and the usual answer is that there is no such header: Headers.get() would raise
        # and catch to find that out.
        return any(name.lower() == "upgrade" and value.lower() == "websocket" for name, value in self.headers)

    @property
    def subprotocols(self) -> list[str]:
        """The WebSocket subprotocols that the client offers, the ones it likes best first."""
        offered = ",".join(self.headers.getlist("sec-websocket-protocol"))
        return [name for part in offered.split(",") if (name := part.strip())]

    @property
    def signal(self) -> AbortSignal:
        """Aborted when the client has gone. To ask for it makes the front end watch for that."""
        if self._signal is None:
            self._signal = self._make_signal()
        return self._signal

    @property
    def _parsed(self) -> SansIORequest:
        if self._head is None:
            self._head = SansIORequest(
                self.method, "http", None, "", "/", b"", self.headers, self.client[0] if self.client else None
            )
            self._head.dict_storage_class = MultiDict
        return self._head

    @property
    def content_type(self) -> str:
        """The content type with its parameters, or an empty string."""
        return self.headers.get("content-type", "")

    @property
    def content_length(self) -> int | None:
        """How many bytes the client says that the body has, if it does."""
        return self._parsed.content_length

    @property
    def accept(self) -> MIMEAccept:
        """What the client would like: ``request.accept.best_match(["text/html", "application/json"])``."""
        return self._parsed.accept_mimetypes

    @property
    def authorization(self) -> Authorization | None:
        """The credentials in the authorization header, if they can be read."""
        return self._parsed.authorization

    @property
    def if_match(self) -> ETags:
        """The entity tags of which one must be current."""
        return self._parsed.if_match

    @property
    def if_none_match(self) -> ETags:
        """The entity tags that the client has."""
        return self._parsed.if_none_match

    @property
    def if_modified_since(self) -> datetime | None:
        """The time of the version that the client has."""
        return self._parsed.if_modified_since

    @property
    def if_unmodified_since(self) -> datetime | None:
        """The time since when nothing may have changed."""
        return self._parsed.if_unmodified_since

    @property
    def if_range(self) -> IfRange:
        """The version of which a range is wanted."""
        return self._parsed.if_range

    @property
    def range(self) -> Range | None:
        """The byte ranges that the client asks for, if they can be read."""
        return self._parsed.range

    # The body.

    @property
    def body_used(self) -> bool:
        """Whether the body was read, or began to be."""
        body = self._body
        return body is not None and body.used

    def stream(self) -> AsyncIterator[builtins.bytes]:
        """Return the body's chunks as they arrive. Nothing is read before the first is asked for.

        The client is slowed down to the speed of the reader. A body can be streamed once.
        """
        return self._the_body().stream()

    async def bytes(self, *, limit: int | None = None) -> builtins.bytes:
        """Return the body. It is kept, so it may be asked for again.

        More than ``limit`` bytes (by default what the runtime's limits allow) raise BodyTooLarge.
        """
        if limit is not None:
            return await self._the_body().read(limit)
        return await self._the_body().read(self.buffer_limit, "buffered_body_bytes")

    async def text(self, *, limit: int | None = None) -> str:
        """Return the body as text: always UTF-8, with U+FFFD for what is not."""
        return (await self.bytes(limit=limit)).decode("utf-8", "replace").removeprefix("\ufeff")

    async def json(self, *, limit: int | None = None) -> Any:
        """Return the value that the body is in JSON. A body that is not JSON raises BadRequest."""
        return read_json(await self.bytes(limit=limit), self.json_depth)

    async def form(self, *, limit: int | None = None) -> FormData:
        """Return the body's form fields, and its files as ``.files``. It is kept, so it may be asked for again."""
        body = self._the_body()
        if body.form is None:
            bound = (self.buffer_limit, "buffered_body_bytes") if limit is None else (limit, None)
            body.form = await read_form(self.content_type, body.stream(), *bound)
        return body.form

    def copy(self, *, url: str | None = None, headers: HeadersInit = None, method: str | None = None) -> Request:
        """Return a request with other values, and with the same body and signal."""
        copied = Request(self, headers=headers, method=method)
        if url is not None:
            copied._url = _absolute(url)
            copied.root_path = ""
        return copied

    def forget_parameter(self, name: str) -> None:
        """Take a parameter out of the URL that agents see: a ticket that has done its work."""
        url, mark, query = self.url.partition("#")[0].partition("?")
        parts = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != name]
        self._url = f"{url}{mark}{'&'.join(parts)}" if parts else url
        self._query = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.partition('?')[0]}>"


def percent_encoded(url: str) -> str:
    """Return ``url`` with all percent-encoded that none may hold."""
    return _NOT_IN_A_URL.sub(_percent, url) if _NOT_IN_A_URL.search(url) else url


def _absolute(url: str) -> str:
    url = percent_encoded(url)
    if _HAS_SCHEME.match(url):
        return url
    return f"{_DEFAULT_ORIGIN}{url}" if url.startswith("/") else f"{_DEFAULT_ORIGIN}/{url}"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in encode_text(found.group()))


def _path_below(url: str, root_path: str) -> str:
    start = url.find("://") + 3
    rest = url[start:].partition("#")[0].partition("?")[0]
    _, slash, path = rest.partition("/")
    path = slash + path or "/"
    if root_path and path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
        return path[len(root_path) :] or "/"
    return path


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = jsonlib.JSONDecoder(parse_constant=_refuse_constant)


def read_json(data: bytes, depth: int | None = None) -> Any:
    """Return the value that ``data`` is in JSON, or raise BadRequest; JsonTooDeep for more than ``depth`` levels."""
    try:
        value = _decoder.decode(data.decode("utf-8").removeprefix("\ufeff"))
    except jsonlib.JSONDecodeError as error:
        if not data.strip():
            raise BadRequest("The body of this request is empty, and JSON was expected.") from None
        raise BadRequest(
            f"The body of this request is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    except UnicodeDecodeError:
        raise BadRequest("The body of this request is not JSON: it is not UTF-8.") from None
    except RecursionError:
        if depth is not None:
            raise JsonTooDeep(depth) from None
        raise BadRequest("The body of this request is JSON that is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body of this request is not JSON: {error}.") from None
    if depth is not None and is_too_deep(data, value, depth):
        raise JsonTooDeep(depth)
    return value
