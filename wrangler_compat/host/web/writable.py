"""Writable streams of the web: what is written chunk by chunk, one after the other."""

from __future__ import annotations

import asyncio
from typing import Any

from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed, method_of
from wrangler_compat.host.model.promise import JsPromise, settle_with
from wrangler_compat.host.model.proxy import JsProxy, is_nullish

__all__ = ["WritableStream", "Writer"]


class WritableStream(JsProxy):
    """``WritableStream``."""

    def __init__(self, sink: Any = None, strategy: Any = None) -> None:
        self._write, self._end = method_of(sink, "write"), method_of(sink, "close")
        self._abort = method_of(sink, "abort")
        self._writer: Writer | None = None
        self._state = "writable"
        self._error: BaseException | None = None
        self._turn = asyncio.Lock()
        self._closed = asyncio.Event()
        start = method_of(sink, "start")
        self._starting = None if start is None else _begun(call_relaxed(start, self))

    @property
    def locked(self) -> bool:
        """Whether a writer has it."""
        return self._writer is not None

    def getWriter(self) -> Writer:
        """Return what writes to it."""
        if self._writer is not None:
            raise JsTypeError("This WritableStream is currently locked to a writer.")
        self._writer = Writer(self)
        return self._writer

    def close(self) -> JsPromise:
        """Say that there is no more."""
        return JsPromise.of(self._finish())

    def abort(self, reason: Any = None) -> JsPromise:
        """Fail whoever reads."""
        return JsPromise.of(self._break(reason))

    def error(self, reason: Any) -> None:
        """Fail whoever writes: what a sink may say in ``start``."""
        self._state = "errored"
        self._error = reason if isinstance(reason, BaseException) else JsException(reason)
        self._closed.set()

    async def _started(self) -> None:
        if self._starting is not None:
            try:
                await self._starting
            except Exception as error:
                self.error(error)

    async def _put(self, chunk: Any) -> None:
        async with self._turn:
            await self._started()
            self._check()
            if self._write is not None:
                try:
                    await settle_with(call_relaxed(self._write, chunk, self))
                except Exception as error:
                    self.error(error)
                    raise

    async def _finish(self) -> None:
        async with self._turn:
            await self._started()
            self._check()
            self._state = "closed"
            if self._end is not None:
                await settle_with(call_relaxed(self._end))
            self._closed.set()

    async def _break(self, reason: Any) -> None:
        if self._state == "writable":
            self.error(reason if not is_nullish(reason) else JsTypeError("The stream was aborted."))
            if self._abort is not None:
                await settle_with(call_relaxed(self._abort, reason))

    def _check(self) -> None:
        if self._state == "closed":
            raise JsTypeError("This WritableStream has been closed.")
        if self._error is not None:
            raise self._error

    def _keys(self) -> list[str]:
        return []


class Writer(JsProxy):
    """``WritableStreamDefaultWriter``."""

    _js_name = "WritableStreamDefaultWriter"

    def __init__(self, stream: WritableStream) -> None:
        self._stream = stream

    @property
    def desiredSize(self) -> int:
        """How much more is wanted."""
        return 1

    @property
    def ready(self) -> JsPromise:
        """A promise of room for more."""
        return JsPromise.resolved(None)

    @property
    def closed(self) -> JsPromise:
        """A promise of the end, which fails when the stream does."""
        return JsPromise.of(self._ended())

    async def _ended(self) -> None:
        await self._stream._closed.wait()
        if self._stream._error is not None:
            raise self._stream._error

    def write(self, chunk: Any) -> JsPromise:
        """Write a chunk."""
        return JsPromise.of(self._stream._put(chunk))

    def close(self) -> JsPromise:
        """Say that there is no more."""
        return self._stream.close()

    def abort(self, reason: Any = None) -> JsPromise:
        """Fail whoever reads."""
        return self._stream.abort(reason)

    def releaseLock(self) -> None:
        """Let others write."""
        self._stream._writer = None


def _begun(started: Any) -> asyncio.Future[Any] | None:
    """Return what goes on after a ``start`` that takes its time."""
    if not hasattr(started, "__await__"):
        return None
    starting = asyncio.ensure_future(started)
    # Told to whoever writes.
    starting.add_done_callback(lambda done: done.cancelled() or done.exception())
    return starting
