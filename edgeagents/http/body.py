"""Bodies: bytes that are there, or that come while they are read.

A ``ByteStream`` is what every kind of body source is read through: text becomes UTF-8, empty chunks are left
out, and ``aclose()`` reaches the source. A ``Body`` is the body of a request: it is read once as a stream, or
kept when it was read whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from edgeagents.errors import BodyTooLarge
from edgeagents.http.closing import close

if TYPE_CHECKING:
    from types import AsyncGeneratorType

    from edgeagents.http.forms import FormData

__all__ = ["DEFAULT_BUFFER_LIMIT", "Body", "BodySource", "ByteStream", "encodable", "encode_text"]

BodySource = None | bytes | str | AsyncIterable[bytes | str] | Iterable[bytes | str]

DEFAULT_BUFFER_LIMIT = 32 * 1024 * 1024

_END = object()


def encode_text(text: str) -> bytes:
    """Return ``text`` in UTF-8. A lone surrogate, which has no encoding, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _without_lone_surrogates(text).encode()


def encodable(text: str) -> str:
    """Return ``text``, in which a lone surrogate, which no encoding has, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _without_lone_surrogates(text)
    return text


def _without_lone_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class ByteStream(AsyncIterator[bytes]):
    """The chunks of a source as bytes. You must call ``aclose()`` when you stop before the end.

    The items of an iterator that is not asynchronous are made in a thread, because making one may block.
    """

    __slots__ = ("_chunks", "_source")

    def __init__(self, source: AsyncIterable[bytes | str] | Iterable[bytes | str]) -> None:
        self._source: AsyncIterator[bytes | str]
        if isinstance(source, AsyncIterable):
            self._source = aiter(source)
        elif isinstance(source, list | tuple):
            self._source = _from_sequence(source)
        else:
            self._source = _InThread(iter(source))
        self._chunks = cast("AsyncGeneratorType[bytes, None]", _as_bytes(self._source))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._going()

    def __anext__(self) -> Awaitable[bytes]:
        return self._going().__anext__()

    def _going(self) -> AsyncGeneratorType[bytes, None]:
        if self._chunks.ag_frame is None:
            # A generator ends where its reader is cancelled. Whether the source has ended the source knows.
            self._chunks = cast("AsyncGeneratorType[bytes, None]", _as_bytes(self._source))
        return self._chunks

    async def aclose(self) -> None:
        """Stop: the source's own cleaning up runs."""
        if not self._chunks.ag_running:
            await self._chunks.aclose()
        # It is not the chunks' to do: where none was taken, they close nothing.
        await close(self._source)


async def _as_bytes(source: AsyncIterator[bytes | str]) -> AsyncGenerator[bytes, None]:
    async for chunk in source:
        if type(chunk) is bytes:
            data = chunk
        elif isinstance(chunk, str):
            data = encode_text(chunk)
        elif isinstance(chunk, bytes | bytearray | memoryview):
            data = bytes(chunk)
        else:
            raise TypeError(f"A streamed body is made of bytes or str, not {type(chunk).__name__}.")
        if data:
            yield data


async def _from_sequence(chunks: Iterable[bytes | str]) -> AsyncIterator[bytes | str]:
    for chunk in chunks:
        yield chunk


class _InThread(AsyncIterator["bytes | str"]):
    """The items of ``iterator``, each made in a thread."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Iterator[bytes | str]) -> None:
        self._iterator = iterator

    async def __anext__(self) -> bytes | str:
        item = await asyncio.to_thread(next, self._iterator, _END)
        if item is _END:
            raise StopAsyncIteration
        return cast("bytes | str", item)

    async def aclose(self) -> None:
        end = getattr(self._iterator, "close", None)
        if end is not None:
            try:
                await asyncio.to_thread(end)
            except ValueError:
                # "generator already executing": its thread is still making the chunk that nobody waits for.
                pass


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
        await close(stream)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
