"""Readable streams of the web: what is read chunk by chunk, when somebody asks.

A stream pulls: its source is asked for more when somebody reads and nothing waits. ``writable`` has the other end, and
``transform`` what stands between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import Buffer, Uint8Array, bytes_of
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed, method_of
from wrangler_compat.host.model.promise import JsPromise, settle_with
from wrangler_compat.host.model.proxy import JsObject, JsProxy, properties

if TYPE_CHECKING:
    from wrangler_compat.host.web.writable import WritableStream

__all__ = [
    "ByobReader",
    "Controller",
    "DefaultReader",
    "ReadableStream",
    "bytes_from",
    "chunk_bytes",
    "stream_of",
]


class ReadableStream(JsProxy):
    """``ReadableStream``. Its chunks can be read once, by ``async for`` too."""

    class Statics(JsProxy.Statics):
        """ReadableStream.from."""

        def from_(chunks: Any = ()) -> ReadableStream:
            """Return a stream of what can be iterated."""
            return stream_of(_each(chunks))

    def __init__(self, source: Any = None, strategy: Any = None) -> None:
        self._chunks: deque[Any] = deque()
        self._state: str = "readable"
        self._error: BaseException | None = None
        self._changed, self._ended = asyncio.Event(), asyncio.Event()
        self._reader: JsProxy | None = None
        self._pulling: asyncio.Future[Any] | None = None
        self._disturbed = False
        self._taken: deque[asyncio.Future[None]] = deque()
        self._pull, self._cancel = method_of(source, "pull"), method_of(source, "cancel")
        self._controller = Controller(self)
        self._starting: asyncio.Future[Any] | None = None
        start = method_of(source, "start")
        if start is not None:
            started = call_relaxed(start, self._controller)
            if hasattr(started, "__await__"):
                self._starting = starting = asyncio.ensure_future(started)
                starting.add_done_callback(self._started)

    def _started(self, starting: asyncio.Future[Any]) -> None:
        if not starting.cancelled() and (error := starting.exception()) is not None:
            self._fail(error)

    # What the source does

    def _enqueue(self, chunk: Any) -> None:
        if self._state != "readable":
            raise JsTypeError("Unable to enqueue: the stream is closed.")
        self._chunks.append(chunk)
        self._taken.append(asyncio.get_running_loop().create_future())
        self._changed.set()

    def _close(self) -> None:
        if self._state == "readable":
            self._state = "closed"
            self._changed.set()
            self._ended.set()

    def _fail(self, error: BaseException) -> None:
        if self._state == "readable":
            self._state, self._error = "errored", error
            self._drop(error)
            self._changed.set()
            self._ended.set()

    def _give_up(self, error: BaseException) -> None:
        """Fail whoever reads, and let go of what the chunks come from."""
        if self._state != "readable":
            return
        self._fail(error)
        ending = asyncio.ensure_future(self._let_go())
        ending.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _let_go(self) -> None:
        if self._pulling is not None:
            self._pulling.cancel()
            await asyncio.wait([self._pulling])
        if self._cancel is not None:
            await settle_with(call_relaxed(self._cancel))

    def _drop(self, error: BaseException) -> None:
        """Forget what waits. Whoever waits for it to be taken is told ``error``."""
        self._chunks.clear()
        while self._taken:
            taken = self._taken.popleft()
            if not taken.done():
                taken.set_exception(error)
                taken.exception()  # Often nobody waits.

    # What readers do

    async def _next(self, reader: DefaultReader | None = None) -> tuple[Any, bool]:
        """Return the next chunk, or undefined and True at the end. Fails when ``reader`` has let go of the stream."""
        self._disturbed = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        while not self._chunks:
            if self._state == "errored":
                assert self._error is not None
                raise self._error
            if self._state == "closed":
                return None, True
            await self._more()
            if reader is not None:
                reader._own()
        return self._take(), False

    def _take(self) -> Any:
        taken = self._taken.popleft()
        if not taken.done():
            taken.set_result(None)
        return self._chunks.popleft()

    async def _more(self) -> None:
        self._changed.clear()
        if self._pull is not None and self._pulling is None:
            try:
                pulled = call_relaxed(self._pull, self._controller)
            except Exception as error:
                self._fail(error)
                return
            self._pulling = asyncio.ensure_future(pulled if asyncio.iscoroutine(pulled) else settle_with(pulled))
            self._pulling.add_done_callback(self._pulled)
        await self._changed.wait()

    def _pulled(self, pulling: asyncio.Future[Any]) -> None:
        self._pulling = None
        if not pulling.cancelled() and (error := pulling.exception()) is not None:
            self._fail(error)
        self._changed.set()

    @property
    def locked(self) -> bool:
        """Whether a reader has it."""
        return self._reader is not None

    def _lock(self, reader: JsProxy) -> None:
        if self._reader is not None:
            raise JsTypeError("This ReadableStream is currently locked to a reader.")
        self._reader = reader

    def getReader(self, options: Any = None) -> Any:
        """Return what reads it chunk by chunk; with ``{mode: "byob"}`` into buffers that are given."""
        mode = options.get("mode") if isinstance(options, dict) else getattr(options, "mode", None)
        return ByobReader(self) if mode == "byob" else DefaultReader(self)

    async def cancel(self, reason: Any = None) -> None:
        """Say that no more is wanted. One that a reader has is cancelled by that."""
        if self._reader is not None:
            raise JsTypeError("This ReadableStream is currently locked to a reader.")
        await self._stop(reason)

    async def _stop(self, reason: Any = None) -> None:
        self._disturbed = True
        if self._error is not None:
            raise self._error
        self._drop(JsTypeError("The readable side was cancelled."))
        if self._state == "readable":
            self._close()
            if self._cancel is not None:
                await settle_with(call_relaxed(self._cancel, reason))

    def tee(self) -> JsArray:
        """Return two streams of the same chunks."""
        reader = DefaultReader(self)
        return JsArray(_Tee(reader).branches)

    async def pipeTo(self, destination: WritableStream, options: Any = None) -> None:
        """Write all of it to ``destination``, and close that. A failure of either end reaches the other.

        ``{preventClose, preventAbort, preventCancel}`` leave an end as it is.
        """
        given = properties(options)
        reader, writer = DefaultReader(self), destination.getWriter()
        try:
            try:
                while not (found := await self._next())[1]:
                    await writer.write(found[0])
            except Exception as error:
                if self._state == "errored":
                    if given.get("preventAbort") is not True:
                        await writer.abort(error)
                elif given.get("preventCancel") is not True:
                    await self._stop(error)
                raise
            if given.get("preventClose") is not True:
                await writer.close()
        finally:
            reader.releaseLock()
            writer.releaseLock()

    def pipeThrough(self, pair: Any, options: Any = None) -> ReadableStream:
        """Write all of it to one end of ``pair``; return the other."""
        _ = self.pipeTo(pair.writable, options)  # A promise: it goes on by itself.
        return pair.readable

    def values(self, options: Any = None) -> AsyncIterator[Any]:
        """Iterate over the chunks."""
        return self.__aiter__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        reader = DefaultReader(self)
        try:
            while True:
                chunk, done = await self._next()
                if done:
                    return
                yield chunk
        finally:
            reader.releaseLock()

    def _keys(self) -> list[str]:
        return []


class Controller(JsProxy):
    """What a source is given: ``enqueue``, ``close``, ``error``."""

    _js_name = "ReadableStreamDefaultController"
    _is_made_by_host = True

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream

    @property
    def desiredSize(self) -> Any:
        """How much more is wanted."""
        return 1 - len(self._stream._chunks) if self._stream._state == "readable" else 0

    def enqueue(self, chunk: Any) -> None:
        """Add a chunk."""
        self._stream._enqueue(chunk)

    def close(self) -> None:
        """There is no more."""
        self._stream._close()

    def error(self, reason: Any) -> None:
        """Fail whoever reads."""
        self._stream._fail(reason if isinstance(reason, BaseException) else JsException(reason))

    def terminate(self) -> None:
        """There is no more: what a transformer says."""
        self._stream._close()


class DefaultReader(JsProxy):
    """``ReadableStreamDefaultReader``."""

    _js_name = "ReadableStreamDefaultReader"

    def __init__(self, stream: ReadableStream) -> None:
        stream._lock(self)
        self._stream: ReadableStream | None = stream

    def _own(self) -> ReadableStream:
        if self._stream is None:
            raise JsTypeError("This ReadableStream reader has been released.")
        return self._stream

    async def read(self) -> JsObject:
        """Return ``{value, done}``."""
        value, done = await self._own()._next(self)
        return JsObject({"value": value, "done": done})

    async def cancel(self, reason: Any = None) -> None:
        """Say that no more is wanted."""
        await self._own()._stop(reason)

    def releaseLock(self) -> None:
        """Let others read. What is being read fails."""
        if self._stream is not None:
            self._stream._changed.set()
            self._stream._reader, self._stream = None, None

    @property
    def closed(self) -> JsPromise:
        """A promise of the end."""
        return JsPromise.of(self._closed())

    async def _closed(self) -> None:
        stream = self._own()
        await stream._ended.wait()
        if stream._error is not None:
            raise stream._error


class ByobReader(DefaultReader):
    """``ReadableStreamBYOBReader``: reads into a buffer that it is given."""

    _js_name = "ReadableStreamBYOBReader"

    def __init__(self, stream: ReadableStream) -> None:
        super().__init__(stream)
        self._rest = b""

    async def read(self, view: Any = None) -> JsObject:
        """Fill ``view``, a typed array, with what there is; return ``{value, done}``."""
        if not self._rest:
            chunk, done = await self._own()._next(self)
            if done:
                return JsObject({"value": type(view)(view.buffer, view.byteOffset, 0), "done": True})
            self._rest = chunk_bytes(chunk)
        part, self._rest = self._rest[: view.byteLength], self._rest[view.byteLength :]
        view._view.cast("B")[: len(part)] = part
        filled = type(view)(view.buffer, view.byteOffset, len(part) // view.BYTES_PER_ELEMENT)
        return JsObject({"value": filled, "done": False})

    async def readAtLeast(self, count: Any, view: Any) -> JsObject:
        """Fill ``view`` with at least ``count`` bytes, unless the stream ends before."""
        whole = view._view.cast("B")
        have = 0
        while have < count:
            part = await self.read(type(view)(view.buffer, view.byteOffset + have, len(whole) - have))
            if part.done:
                break
            have += part.value.byteLength
        return JsObject({"value": type(view)(view.buffer, view.byteOffset, have), "done": not have})


class _Tee:
    def __init__(self, reader: DefaultReader) -> None:
        self._reader, self._source = reader, reader._own()
        self._reading = asyncio.Lock()
        self._cancelled = 0
        self.branches = [self._branch(0), self._branch(1)]

    def _branch(self, number: int) -> ReadableStream:
        async def pull() -> None:
            async with self._reading:
                branch = self.branches[number]
                if branch._chunks or branch._state != "readable":
                    return
                try:
                    chunk, done = await self._source._next()
                except Exception as error:
                    for each in self.branches:
                        each._fail(error)
                    return
                for each in self.branches:
                    if done:
                        each._close()
                    elif each._state == "readable":
                        each._enqueue(chunk)

        async def cancel(reason: Any = None) -> None:
            self._cancelled += 1
            if self._cancelled == len(self.branches):
                await self._source._stop(reason)

        return ReadableStream({"pull": pull, "cancel": cancel})


def stream_of(chunks: AsyncIterator[Any]) -> ReadableStream:
    """Return a stream of what ``chunks`` gives, asked for as it is read. Bytes come as ``Uint8Array``."""
    made: ReadableStream

    async def pull() -> None:
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            made._close()
        else:
            made._enqueue(Uint8Array(chunk) if isinstance(chunk, bytes | bytearray | memoryview) else chunk)

    async def cancel() -> None:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()

    made = ReadableStream({"pull": pull, "cancel": cancel})
    return made


async def bytes_from(stream: ReadableStream) -> AsyncIterator[bytes]:
    """Yield the bytes of ``stream``."""
    reader = DefaultReader(stream)
    ended = False
    try:
        while True:
            chunk, ended = await stream._next()
            if ended:
                return
            data = bytes_of(chunk)
            if data is None:
                raise JsTypeError("This ReadableStream did not return bytes.")
            yield data
    finally:
        if not ended and stream._state == "readable":
            await stream._stop()
        reader.releaseLock()


def chunk_bytes(chunk: Any) -> bytes:
    """Return the bytes of a chunk, or of its text. Raises ``TypeError`` for what has neither."""
    data = bytes_of(chunk)
    if data is not None:
        return data
    if isinstance(chunk, str):
        return chunk.encode()
    kind = to_text(chunk) if not isinstance(chunk, Buffer) else ""
    raise JsTypeError(f"This TransformStream is being used as a byte stream, but received {kind}.")


async def _each(values: Any) -> AsyncIterator[Any]:
    if hasattr(values, "__aiter__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value
