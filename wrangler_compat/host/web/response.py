"""Responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from edgeagents.http import Response as NativeResponse
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.json_object import stringify
from wrangler_compat.host.model.proxy import is_nullish, jsnull, properties
from wrangler_compat.host.web.body import BodyMixin
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.streams import stream_of
from wrangler_compat.host.web.url import normal_url

__all__ = ["Response"]

_BODILESS = frozenset({101, 204, 205, 304})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Response(BodyMixin):
    """``Response``."""

    _js_name = "Response"

    class Statics(BodyMixin.Statics):
        """Response.json, redirect and error."""

        def json(data: Any = None, init: Any = None) -> Response:
            """Answer with JSON."""
            text = stringify(data)
            if text is None:
                raise JsTypeError("The data has no form in JSON.")
            response = Response(text, init)
            if not Headers(properties(init).get("headers")).has("content-type"):
                response.headers.set("content-type", "application/json")
            return response

        def redirect(url: Any = None, status: Any = 302) -> Response:
            """Send the client to ``url``."""
            if status not in _REDIRECTS:
                raise JsRangeError(f"{to_text(status)} is not a valid redirect status code.")
            return Response(None, {"status": status, "headers": {"location": normal_url(to_text(url))}})

        def error() -> Response:
            """Return a response that says that there is none."""
            response = Response()
            response.status, response.type = 0, "error"
            return response

    def __init__(self, body: Any = None, init: Any = None) -> None:
        options: Any = properties(init)
        if isinstance(init, Response):
            options = {"status": init.status, "statusText": init.statusText, "headers": init.headers, "cf": init.cf}
        status = options.get("status")
        self.status = 200 if is_nullish(status) else int(status)
        socket = options.get("webSocket")
        self.webSocket: Any = jsnull if is_nullish(socket) else socket
        if not (200 <= self.status <= 599 or (self.status == 101 and self.webSocket is not jsnull)):
            raise JsRangeError(
                "Responses may only be constructed with status codes in the range 200 to 599, inclusive."
                if self.status != 101
                else "Responses with status code 101 need a WebSocket."
            )
        if not is_nullish(body) and self.status in _BODILESS:
            raise JsTypeError(f"Response with null body status ({self.status}) cannot have a body.")
        text = options.get("statusText")
        self.statusText = _phrase(self.status) if is_nullish(text) or text == "" else to_text(text)
        self.headers = Headers(options.get("headers"))
        self.cf = options.get("cf")
        self.encodeBody = options.get("encodeBody") or "automatic"
        self.redirected, self.url, self.type = False, "", "default"
        self._take_body(body)

    @classmethod
    def of(cls, native: NativeResponse, url: str = "") -> Response:
        """Return what an object or another worker answered."""
        from wrangler_compat.host.web.websocket import WebSocket

        socket = None if native.websocket is None else WebSocket.of(native.websocket)
        response = cls(None, {"status": native.status, "headers": list(native.headers), "webSocket": socket})
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


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
