"""Requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeagents.http import Request as NativeRequest
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.late import Late
from wrangler_compat.host.model.proxy import JsObject, is_nullish, jsnull, properties
from wrangler_compat.host.web.body import BodyMixin
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.streams import stream_of
from wrangler_compat.host.web.url import normal_url

__all__ = ["Request"]

_BODILESS = frozenset({"GET", "HEAD"})
_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "PURGE", "OPTIONS", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE",
     "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "MSEARCH",
     "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "QUERY", "BAN")
)  # fmt: skip
_CACHE = frozenset({"no-store", "no-cache", "reload"})


class Request(BodyMixin):
    """``Request``."""

    _js_name = "Request"

    redirect: str = "follow"
    integrity: str = ""
    cache: Any = None
    keepalive = isHistoryNavigation = False
    credentials, mode, destination = "same-origin", "cors", ""
    referrer, referrerPolicy = "about:client", ""
    fetcher: Any = jsnull
    _signal: Any = None
    _native: NativeRequest | None = None
    _cf: Mapping[str, Any] | None = None

    def __init__(self, resource: Any, init: Any = None) -> None:
        options = properties(init)
        other = resource if isinstance(resource, Request) else None
        self.url = resource.url if isinstance(resource, Request) else normal_url(to_text(resource))
        method = to_text(_given(options, "method", other.method if other is not None else "GET"))
        self.method = method.upper()
        if self.method not in _METHODS:
            raise JsTypeError(f"Invalid HTTP method string: {method}")
        self.headers = Headers(_given(options, "headers", other.headers if other is not None else None))
        redirect = to_text(_given(options, "redirect", other.redirect if other is not None else "follow"))
        if redirect not in ("follow", "manual"):
            raise JsTypeError(
                'Invalid redirect value, must be one of "follow" or "manual" ("error" won\'t be implemented '
                'since it does not make sense at the edge; use "manual" and check the response status code).'
            )
        self.redirect = redirect
        self.cf = _given(options, "cf", other.cf if other is not None else None)
        self._signal = _given(options, "signal", other._signal if other is not None else None)
        self.integrity = to_text(_given(options, "integrity", ""))
        self.cache = _given(options, "cache", None)
        if self.cache is not None and self.cache not in _CACHE:
            raise JsTypeError(f"Unsupported cache mode: {to_text(self.cache)}")
        self.fetcher = _given(options, "fetcher", jsnull)
        body = options.get("body")
        if not is_nullish(body) and self.method in _BODILESS:
            raise JsTypeError("Request with a GET or HEAD method cannot have a body.")
        self._take_body(body if "body" in options or other is None else other._given_away())

    @classmethod
    def of(cls, native: NativeRequest, cf: Mapping[str, Any] | None = None) -> Request:
        """Return the request that came in as ``native``."""
        request = cls.__new__(cls)
        request.method, request.redirect, request._native, request._cf = native.method, "manual", native, cf
        if native.method not in _BODILESS:
            request._stream = stream_of(native.stream())
        return request

    @Late
    def url(self) -> str:
        """The URL, as it is written after parsing."""
        return normal_url(self._came_in.url)

    @Late
    def headers(self) -> Headers:
        """The header fields."""
        return Headers.of(self._came_in.headers)

    @Late
    def cf(self) -> JsObject:
        """What Cloudflare knows of where it came from."""
        return JsObject(self._cf)

    @property
    def _came_in(self) -> NativeRequest:
        assert self._native is not None
        return self._native

    def to_native(self) -> NativeRequest:
        """Return it for an object, or for another worker. The body goes with it."""
        native, body, headers = self._native, self._native_body(), list(self.headers._fields)
        if isinstance(body, bytes) and body and not self.headers.has("content-length"):
            headers.append(("content-length", str(len(body))))
        made = NativeRequest(
            self.url,
            method=self.method,
            headers=headers,
            body=body,
            client=None if native is None else native.client,
            scope=None if native is None else native.scope,
            signal=None if native is None else native.signal,
        )
        if native is not None:
            made.identity = native.identity
            made.buffer_limit, made.json_depth = native.buffer_limit, native.json_depth
        return made

    def _given_away(self) -> Any:
        if self.method in _BODILESS:
            return None
        if self.bodyUsed:
            raise JsTypeError("Cannot construct a Request with a Request object that has already been used.")
        body, self._used = (self._content if self._stream is None else self._stream), True
        return body

    @property
    def signal(self) -> Any:
        """What says that nobody waits for it any more."""
        if is_nullish(self._signal):
            from wrangler_compat.host.web.abort import AbortSignal

            self._signal = AbortSignal.of(None if self._native is None else self._native.signal)
        return self._signal

    def clone(self) -> Request:
        """Return another one with the same body."""
        body = self._copy_body()
        copy = Request(self.url, {"method": self.method, "headers": self.headers, "redirect": self.redirect})
        copy.cf, copy._native, copy._signal = self.cf, self._native, self._signal
        copy._take_body(body)
        return copy


def _given(options: Any, name: str, default: Any) -> Any:
    value = options.get(name)
    return default if is_nullish(value) else value
