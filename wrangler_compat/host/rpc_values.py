"""Values on their way through a stub: copies of what is data, and by reference what is not.

Data crosses as the runtime's own (``clone``), so that an agent of edgeagents and an object of a Python Worker
understand each other. Requests and responses cross as the runtime's too. Functions, and what is behind a ``Proxy``,
become stubs of themselves; streams, blobs and stubs are handed over. What is by reference stays within the process.
"""

from __future__ import annotations

from typing import Any

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from edgeagents.objects.rpc import HandedOver
from wrangler_compat.cloned import ViewData
from wrangler_compat.host.clone import FromData, ToData
from wrangler_compat.host.ffi import PyProxy
from wrangler_compat.host.model.errors import JsTypeError, data_clone_error
from wrangler_compat.host.model.proxy import JsClass, JsNull, JsObject, JsProxy
from wrangler_compat.host.model.shaped import ShapedObject
from wrangler_compat.host.model.trapped import Trapped
from wrangler_compat.host.rpc_stub import JsRpcStub, RpcTarget
from wrangler_compat.host.web.blob import Blob
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.streams import ReadableStream
from wrangler_compat.host.web.writable import WritableStream

__all__ = ["received", "sent", "sent_result"]

_LARGEST = 32 * 1024 * 1024
_HANDED_OVER = (JsRpcStub, Blob, ReadableStream, WritableStream)


def sent(value: Any) -> Any:
    """Return what is sent for ``value``. Raises ``DataCloneError`` for what can neither be copied nor handed over."""
    return _Sending().convert(value)


def sent_result(value: Any) -> Any:
    """Return the same for what a call returns: where it is not data alone, handed over."""
    sending = _Sending()
    made = sending.convert(value)
    if not sending.has_references or isinstance(made, NativeRequest | NativeResponse):
        return made
    return HandedOver(made)


def received(value: Any) -> Any:
    """Return JavaScript's value for what was sent."""
    return _Receiving().convert(value)


class _Sending(ToData):
    has_references = False
    _bytes = 0

    def convert(self, value: Any) -> Any:
        # What makes a message large is text and bytes; what is around them is not counted.
        if isinstance(value, str):
            self._count(len(value))
            return value
        made = super().convert(value)
        if isinstance(made, bytes) and not (isinstance(made, ViewData) and made.buffer is not None):
            self._count(len(made))
        return made

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > _LARGEST:
            raise JsTypeError(
                "Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: "
                f"{self._bytes} bytes."
            )

    def object(self, value: JsObject) -> Any:
        # What is no plain object has methods, which would be lost.
        if isinstance(value, ShapedObject) and value._prototype is not JsClass.of(JsObject).prototype:
            raise data_clone_error(value)
        return super().object(value)

    def other(self, value: Any) -> Any:
        self.has_references = True
        if isinstance(value, Request | Response):
            return value.to_native()
        if isinstance(value, NativeRequest | NativeResponse | JsRpcStub):
            return value
        if isinstance(value, _HANDED_OVER) or getattr(value, "_is_sendable", False) is True:
            return value
        if isinstance(value, RpcTarget | Trapped):
            return JsRpcStub(value)
        if isinstance(value, PyProxy):
            if callable(value._alive()):
                return JsRpcStub(value._alive())
        elif callable(value) and not isinstance(value, type | JsProxy | JsNull):
            return JsRpcStub(value)
        return super().other(value)


class _Receiving(FromData):
    def other(self, value: Any) -> Any:
        if isinstance(value, HandedOver):
            return self.convert(value.value)
        if isinstance(value, NativeRequest):
            return Request.of(value)
        if isinstance(value, NativeResponse):
            return Response.of(value)
        return super().other(value)
