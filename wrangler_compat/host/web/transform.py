"""Streams that stand between others: what is written to one end is read from the other.

An identity transform writes as workerd's does: a write is done when the chunk was taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed, method_of
from wrangler_compat.host.model.promise import settle_with
from wrangler_compat.host.model.proxy import JsProxy
from wrangler_compat.host.web.streams import ReadableStream, chunk_bytes
from wrangler_compat.host.web.writable import WritableStream

__all__ = ["FixedLengthStream", "IdentityTransformStream", "TransformStream"]


class TransformStream(JsProxy):
    """``TransformStream``: what is written to one end comes out of the other, changed."""

    def __init__(self, transformer: Any = None, writable_strategy: Any = None, readable_strategy: Any = None) -> None:
        self._transform, self._flush = method_of(transformer, "transform"), method_of(transformer, "flush")
        self.readable = ReadableStream({"cancel": self._cancelled})
        start = method_of(transformer, "start")
        sink: dict[str, Any] = {"write": self._written, "close": self._closed, "abort": self._aborted}
        if start is not None:
            sink["start"] = lambda _: self._or_fail(call_relaxed(start, self.readable._controller))
        self.writable = WritableStream(sink)

    async def _or_fail(self, doing: Any) -> None:
        """Wait for what the transformer does. Its failure is the reader's too."""
        try:
            await settle_with(doing)
        except Exception as error:
            self.readable._fail(error)
            raise

    async def _written(self, chunk: Any) -> None:
        if self._transform is None:
            self.readable._enqueue(chunk)
        else:
            await self._or_fail(self._called(self._transform, chunk))
        if self.readable._taken:
            await self.readable._taken[-1]

    async def _called(self, method: Callable[..., Any], *args: Any) -> None:
        await settle_with(call_relaxed(method, *args, self.readable._controller))

    async def _closed(self) -> None:
        if self._flush is not None:
            await self._or_fail(self._called(self._flush))
        self.readable._close()

    def _aborted(self, reason: Any = None) -> None:
        self.readable._fail(reason if isinstance(reason, BaseException) else JsException(reason))

    def _cancelled(self, reason: Any = None) -> None:
        self.writable.error(JsTypeError("The readable side was cancelled."))

    def _keys(self) -> list[str]:
        return ["readable", "writable"]


class IdentityTransformStream(TransformStream):
    """``IdentityTransformStream``: bytes pass unchanged."""

    def __init__(self, options: Any = None) -> None:
        super().__init__()


class FixedLengthStream(TransformStream):
    """``FixedLengthStream``: bytes pass unchanged, exactly so many."""

    def __init__(self, length: Any = 0) -> None:
        super().__init__()
        self._length, self._count = length, 0

    async def _written(self, chunk: Any) -> None:
        self._count += len(chunk_bytes(chunk))
        if self._count > self._length:
            raise JsTypeError("Attempt to write too many bytes through a FixedLengthStream.")
        await super()._written(chunk)

    async def _closed(self) -> None:
        if self._count < self._length:
            error = JsTypeError("FixedLengthStream did not see all expected bytes before close().")
            self.readable._fail(error)
            raise error
        await super()._closed()
