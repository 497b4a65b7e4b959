"""Bodies: what a request or response carries, read once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

from edgeagents.errors import BadRequest
from edgeagents.http import Request as NativeRequest
from wrangler_compat.host.model.buffers import JsArrayBuffer, Uint8Array, bytes_of
from wrangler_compat.host.model.convert import from_json, json_complaint, to_text
from wrangler_compat.host.model.errors import JsSyntaxError, JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull
from wrangler_compat.host.web.blob import Blob, File, FormData, form_of
from wrangler_compat.host.web.streams import ReadableStream, bytes_from, stream_of
from wrangler_compat.host.web.url import URLSearchParams

__all__ = ["BodyMixin"]

_TEXT = "text/plain;charset=UTF-8"
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_USED = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."


class BodyMixin(JsProxy):
    """What ``Request`` and ``Response`` do with their bodies. Bytes become a stream when one is asked for."""

    _js_name = "Body"
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
            self._content, kind = body.encode("utf-8", "replace"), _TEXT
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
                self._content, kind = to_text(body).encode("utf-8", "replace"), _TEXT
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

    async def _bytes(self) -> bytes:
        if self.bodyUsed:
            raise JsTypeError(_USED)
        if self._stream is None:
            self._used = self._content is not None
            return self._content or b""
        if self._stream.locked:
            raise JsTypeError("This ReadableStream is currently locked to a reader.")
        self._used = True
        return b"".join([chunk async for chunk in bytes_from(self._stream)])

    async def text(self) -> str:
        """Read it as text."""
        return (await self._bytes()).decode("utf-8", "replace").removeprefix("\ufeff")

    async def json(self) -> Any:
        """Read it as JSON."""
        text = (await self._bytes()).decode("utf-8", "replace").removeprefix("\ufeff")
        try:
            return from_json(text)
        except ValueError as error:
            raise JsSyntaxError(json_complaint(error)) from error

    async def arrayBuffer(self) -> JsArrayBuffer:
        """Read it as an ``ArrayBuffer``."""
        return JsArrayBuffer(await self._bytes())

    async def bytes(self) -> Any:
        """Read it as a ``Uint8Array``."""
        return Uint8Array(await self._bytes())

    async def blob(self) -> Blob:
        """Read it as a ``Blob`` of its content type."""
        kind = self.headers.get("content-type")
        return Blob([await self._bytes()], {"type": kind})

    async def formData(self) -> FormData:
        """Read it as a form."""
        kind = self.headers.get("content-type")
        if kind is jsnull:
            raise JsTypeError("Parsing a Body as FormData requires a Content-Type header.")
        reading = NativeRequest("/", method="POST", headers={"content-type": kind}, body=await self._bytes())
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


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
