"""Bodies: bytes that are there, or that come while they are read.

A ``ByteStream`` is what every kind of body source is read through: text becomes UTF-8, empty chunks are left
out, and ``aclose()`` reaches the source. A ``Body`` is the body of a request: it is read once as a stream, or
kept when it was read whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from edgeagents.errors import BodyTooLarge

if TYPE_CHECKING:
    from edgeagents.http.forms import FormData

__all__ = ["DEFAULT_BUFFER_LIMIT", "Body", "BodySource", "ByteStream", "encode_text"]

BodySource = None | bytes | str | AsyncIterable[bytes | str] | Iterable[bytes | str]

DEFAULT_BUFFER_LIMIT = 32 * 1024 * 1024

_END = object()


def encode_text(text: str) -> bytes:
    """Return ``text`` in UTF-8. A lone surrogate, which has no encoding, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


class ByteStream(AsyncIterator[bytes]):
    """The chunks of a source as bytes. You must call ``aclose()`` when you stop before the end.

    The items of an iterator that is not asynchronous are made in a thread, because making one may block.
    """

    __slots__ = ("_in_thread", "_iterator", "_next")

    def __init__(self, source: AsyncIterable[bytes | str] | Iterable[bytes | str]) -> None:
        self._iterator: AsyncIterator[bytes | str] | None
        self._in_thread: Iterator[bytes | str] | None = None
        if isinstance(source, AsyncIterable):
            self._iterator = aiter(source)
        elif isinstance(source, list | tuple):
            self._iterator = _from_sequence(source)
        else:
            self._iterator = None
            self._in_thread = iter(source)
        self._next = self._next_in_thread if self._iterator is None else self._iterator.__anext__

    def __aiter__(self) -> ByteStream:
        return self

    async def __anext__(self) -> bytes:
        while True:
            chunk = await self._next()
            if type(chunk) is bytes:
                data = chunk
            elif isinstance(chunk, str):
                data = encode_text(chunk)
            elif isinstance(chunk, bytes | bytearray | memoryview):
                data = bytes(chunk)
            else:
                raise TypeError(f"A streamed body is made of bytes or str, not {type(chunk).__name__}.")
            if data:
                return data

    async def _next_in_thread(self) -> bytes | str:
        chunk = await asyncio.to_thread(next, cast("Iterator[bytes | str]", self._in_thread), _END)
        if chunk is _END:
            raise StopAsyncIteration
        return cast("bytes | str", chunk)

    async def aclose(self) -> None:
        """Stop: the source's own cleaning up runs."""
        if self._iterator is not None:
            aclose = getattr(self._iterator, "aclose", None)
            if aclose is not None:
                await aclose()
            return
        close = getattr(self._in_thread, "close", None)
        if close is not None:
            try:
                await asyncio.to_thread(close)
            except ValueError:
                # "generator already executing": its thread is still making the chunk that nobody waits for.
                pass


async def _from_sequence(chunks: Iterable[bytes | str]) -> AsyncIterator[bytes | str]:
    for chunk in chunks:
        yield chunk


class Body:
    """The body of one request, shared by the request's copies."""

    __slots__ = ("_source", "data", "form", "used")

    def __init__(self, source: BodySource = None) -> None:
        self._source: AsyncIterable[bytes | str] | Iterable[bytes | str] | None = None
        self.data: bytes | None = None
        self.form: FormData | None = None
        self.used = False
        if source is None:
            self.data = b""
        elif isinstance(source, str):
            self.data = encode_text(source)
        elif isinstance(source, bytes | bytearray | memoryview):
            self.data = bytes(source)
        elif isinstance(source, AsyncIterable | Iterable):
            self._source = source
        else:
            raise TypeError(f"A body is bytes, str or an iterable of them, not {type(source).__name__}.")

    def stream(self) -> AsyncIterator[bytes]:
        """Return the chunks. What was read whole can be read again, what was streamed cannot."""
        if self.data is not None:
            self.used = True
            return ByteStream([self.data])
        if self.used:
            raise RuntimeError("The body of this request was streamed already and is not kept.")
        self.used = True
        return self._open()

    def _open(self) -> AsyncIterator[bytes]:
        assert self._source is not None
        return ByteStream(self._source)

    async def read(self, limit: int, setting: str | None = None) -> bytes:
        """Return all of it, and keep it. More than ``limit`` bytes raise BodyTooLarge, with ``setting``."""
        if self.data is None:
            self.data = await gather(self.stream(), limit, setting)
        elif len(self.data) > limit:
            raise BodyTooLarge(limit, setting)
        self.used = True
        return self.data

    def close(self) -> None:
        """Let go of the files of a form."""
        if self.form is not None:
            self.form.close()


async def gather(stream: AsyncIterator[bytes], limit: int | None, setting: str | None = None) -> bytes:
    """Return the chunks of ``stream`` as one. More than ``limit`` bytes raise BodyTooLarge, with ``setting``."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            size += len(chunk)
            if limit is not None and size > limit:
                raise BodyTooLarge(limit, setting)
            chunks.append(chunk)
    finally:
        aclose = getattr(stream, "aclose", None)
        if aclose is not None:
            await aclose()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
