"""Bodies: what a request or response carries, read once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from edgeagents.errors import BadRequest
from edgeagents.http import Request as NativeRequest
from wrangler_compat.host.model.buffers import JsArrayBuffer, Uint8Array, bytes_of
from wrangler_compat.host.model.convert import from_json, json_complaint, to_text, utf8
from wrangler_compat.host.model.errors import JsException, JsSyntaxError, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull
from wrangler_compat.host.web.blob import Blob, File, FormData, form_of
from wrangler_compat.host.web.streams import ReadableStream, bytes_from, stream_of
from wrangler_compat.host.web.url_search_params import URLSearchParams

__all__ = ["BodyMixin"]

_TEXT = "text/plain;charset=UTF-8"
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_USED = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."


class BodyMixin(JsProxy):
    """What ``Request`` and ``Response`` do with their bodies. Bytes become a stream when one is asked for."""

    _js_name = "Body"
    _is_made_by_host = True
    headers: Any
    _used: bool = False
    _stream: ReadableStream | None = None
    _content: bytes | None = None

    def _take_body(self, body: Any) -> None:
        self._used, self._stream, self._content = False, None, None
        if is_nullish(body):
            return
        kind: str | None = None
        if type(body) is str:
            self._content, kind = utf8(body), _TEXT
        elif isinstance(body, ReadableStream):
            if body.locked or body._disturbed:
                raise JsTypeError(
                    "This ReadableStream is disturbed (has already been read from), and cannot be used as a body."
                )
            self._stream = body
        elif isinstance(body, Blob):
            self._content, kind = body._content, body.type or None
        elif isinstance(body, URLSearchParams):
            self._content, kind = str(body).encode(), "application/x-www-form-urlencoded;charset=UTF-8"
        elif isinstance(body, FormData):
            boundary = secrets.token_hex(16)
            self._content, kind = body._encoded(boundary), f"multipart/form-data; boundary={boundary}"
        else:
            self._content = bytes_of(body)
            if self._content is None:
                self._content, kind = utf8(to_text(body)), _TEXT
        if kind is not None:
            self.headers._set_default("content-type", kind)

    @property
    def body(self) -> Any:
        """The body as a stream, or null."""
        if self._stream is None:
            if self._content is None:
                return jsnull
            self._stream = stream_of(_whole(self._content))
            self._content = None
        return self._stream

    @property
    def bodyUsed(self) -> bool:
        """Whether it was read."""
        return self._used or (self._stream is not None and self._stream._disturbed)

    def _taken(self) -> bytes | ReadableStream:
        """Take the body away, so that nobody else can."""
        if self.bodyUsed:
            raise JsTypeError(_USED)
        if self._stream is not None and self._stream.locked:
            raise JsTypeError("This ReadableStream is currently locked to a reader.")
        self._used = self._content is not None or self._stream is not None
        return self._content or b"" if self._stream is None else self._stream

    def _read(self, make: Callable[[bytes], Any]) -> JsPromise:
        """Return the promise of what ``make`` makes of the body, which is used from now on."""
        try:
            taken = self._taken()
            if not isinstance(taken, bytes):
                return JsPromise.of(_gathered(taken, make))
            return JsPromise.resolved(make(taken))
        except JsException as error:
            return JsPromise.rejected(error)

    def text(self) -> JsPromise:
        """Read it as text."""
        return self._read(_text)

    def json(self) -> JsPromise:
        """Read it as JSON."""
        return self._read(_json)

    def arrayBuffer(self) -> JsPromise:
        """Read it as an ``ArrayBuffer``."""
        return self._read(JsArrayBuffer)

    def bytes(self) -> JsPromise:
        """Read it as a ``Uint8Array``."""
        return self._read(Uint8Array)

    def blob(self) -> JsPromise:
        """Read it as a ``Blob`` of its content type."""
        kind = self.headers.get("content-type")
        return self._read(lambda content: Blob([content], {"type": kind}))

    async def formData(self) -> FormData:
        """Read it as a form."""
        kind = self.headers.get("content-type")
        if kind is jsnull:
            raise JsTypeError("Parsing a Body as FormData requires a Content-Type header.")
        content = await self._read(lambda content: content)
        reading = NativeRequest("/", method="POST", headers={"content-type": kind}, body=content)
        try:
            form = await reading.form()
        except BadRequest as error:
            if not kind.lower().startswith(_FORMS):
                raise JsTypeError(
                    "Unrecognized Content-Type header value. FormData can only parse the following MIME types: "
                    + ", ".join(_FORMS)
                ) from error
            raise JsTypeError(f"The form cannot be read: {error}") from error
        files = [
            (name, File([file.read()], file.filename or "blob", {"type": file.content_type or ""}))
            for name, file in form.files.items(multi=True)
        ]
        form.close()
        return form_of([*form.items(multi=True), *files])

    def _copy_body(self) -> Any:
        """Return what a clone has for a body."""
        if self.bodyUsed:
            raise JsTypeError("This ReadableStream is currently locked to a reader,")
        if self._stream is None:
            return self._content
        self._stream, copy = self._stream.tee()
        return copy

    def _native_body(self) -> bytes | AsyncIterator[bytes] | None:
        """Give the body away: to the network, or to an object."""
        if self.bodyUsed:
            raise JsTypeError(_USED)
        self._used = self._content is not None or self._stream is not None
        return self._content if self._stream is None else bytes_from(self._stream)

    def _keys(self) -> list[str]:
        return []


async def _gathered(stream: ReadableStream, make: Callable[[bytes], Any]) -> Any:
    return make(b"".join([chunk async for chunk in bytes_from(stream)]))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").removeprefix("\ufeff")


def _json(content: bytes) -> Any:
    try:
        return from_json(_text(content))
    except ValueError as error:
        raise JsSyntaxError(json_complaint(error)) from error


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
