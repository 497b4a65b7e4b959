"""Responses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from edgeagents.http import Response as NativeResponse
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import to_number
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.json_object import stringify
from wrangler_compat.host.model.late import Late
from wrangler_compat.host.model.proxy import is_nullish, jsnull, properties
from wrangler_compat.host.web.body import BodyMixin
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.streams import stream_of
from wrangler_compat.host.web.url import normal_url

__all__ = ["Response"]

_BODILESS = frozenset({101, 204, 205, 304})
# Where workerd's words are not those of every Python.
_PHRASES = {
    413: "Payload Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a teapot",
    422: "Unprocessable Entity",
    425: "Client Error",
}
_BY_CLASS = {2: "Successful", 3: "Redirection", 4: "Client Error", 5: "Server Error"}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Response(BodyMixin):
    """``Response``."""

    _js_name = "Response"

    class Statics(BodyMixin.Statics):
        """Response.json, redirect and error."""

        def json(data: Any = None, init: Any = None) -> Response:
            """Answer with JSON."""
            text = stringify(data) or "undefined"
            response = Response(None, init)
            response.headers._set_default("content-type", "application/json")
            response._take_checked_body(text)
            return response

        def redirect(url: Any = None, status: Any = 302) -> Response:
            """Send the client to ``url``."""
            if status not in _REDIRECTS:
                raise JsRangeError(
                    f"{to_text(status)} is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308."
                )
            try:
                target = normal_url(to_text(url))
            except JsTypeError:
                raise JsTypeError(f"Unable to parse URL: {to_text(url)}") from None
            return Response(None, {"status": status, "headers": {"location": target}})

        def error() -> Response:
            """Return a response that says that there is none."""
            response = Response()
            response.status, response.type = 0, "error"
            return response

    status: int = 200
    webSocket: Any = jsnull
    cf: Any = None
    encodeBody: str = "automatic"
    redirected: bool = False
    url: str = ""
    type: str = "default"

    def __init__(self, body: Any = None, init: Any = None) -> None:
        if is_nullish(init):
            self.headers = Headers()
        elif isinstance(init, Response):
            self._take_options(
                {"status": init.status, "statusText": init.statusText, "headers": init.headers, "cf": init.cf}
            )
        else:
            self._take_options(properties(init))
        self._take_checked_body(body)

    def _take_options(self, options: Mapping[str, Any]) -> None:
        status, socket, text = options.get("status"), options.get("webSocket"), options.get("statusText")
        if not is_nullish(status):
            self.status = status if type(status) is int else _whole(status)
        if not is_nullish(socket):
            self.webSocket = socket
        if not (200 <= self.status <= 599 or (self.status == 101 and self.webSocket is not jsnull)):
            raise JsRangeError(
                "Responses may only be constructed with status codes in the range 200 to 599, inclusive."
            )
        if text != "" and not is_nullish(text):
            self.statusText = to_text(text)
            if not self.statusText.isascii() or not self.statusText.isprintable():
                raise JsTypeError("Invalid statusText")
        self.headers = Headers(options.get("headers"))
        self.cf = options.get("cf")
        self.encodeBody = options.get("encodeBody") or "automatic"

    def _take_checked_body(self, body: Any) -> None:
        if is_nullish(body):
            return
        if self.status in _BODILESS:
            raise JsTypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.")
        self._take_body(body)

    @Late
    def statusText(self) -> str:
        """The words that go with the status."""
        return _phrase(self.status)

    @classmethod
    def of(cls, native: NativeResponse, url: str = "") -> Response:
        """Return what an object or another worker answered."""
        from wrangler_compat.host.web.websocket import WebSocket

        socket = None if native.websocket is None else WebSocket.of(native.websocket)
        response = cls(None, {"status": native.status, "headers": Headers.of(native.headers), "webSocket": socket})
        response.url = url
        if native.status not in _BODILESS:
            response._take_body(stream_of(native.stream()) if native.is_streaming else native.body or b"")
        return response

    def to_native(self) -> NativeResponse:
        """Return it for the client, or for another worker. The body goes with it."""
        socket = None if self.webSocket is jsnull else self.webSocket.to_native()
        if self.status in _BODILESS:
            return NativeResponse(status=self.status, headers=self.headers._fields, websocket=socket)
        return NativeResponse(self._native_body(), status=self.status, headers=self.headers._fields)

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status <= 299

    def clone(self) -> Response:
        """Return another one with the same body."""
        if self.webSocket is not jsnull:
            raise JsTypeError("Cannot clone a response to a WebSocket handshake.")
        copy = Response(self._copy_body(), self)
        copy.url, copy.redirected, copy.type = self.url, self.redirected, self.type
        return copy


def _whole(status: Any) -> int:
    number = to_number(status)
    return int(number) if math.isfinite(number) else 0


def _phrase(status: int) -> str:
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return _BY_CLASS.get(status // 100, "")
