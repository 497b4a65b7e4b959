"""What ``on_chat_message`` may return, as a stream of UI chunks.

An agent answers with whatever it has: the response of another service, a model's stream, a generator of its own, or
a piece of text. ``read_reply`` makes chunks of each. ``stamp_start`` and ``rewrite_finish`` give the two chunks that
frame a message the form that an agent's clients know.

How chunks become a message is ``message_builder``'s business.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, cast, get_args

from edgeagents.agents.chat.ui import Chunk
from edgeagents.agents.protocol import decode
from edgeagents.http import EventStreamParser, Response
from edgeagents.http.closing import close
from edgeagents.models.encoding import UIOptions, ui_chunk
from edgeagents.models.parts import Part
from edgeagents.models.result import TextResult

__all__ = ["Reply", "event_stream_chunks", "read_reply", "rewrite_finish", "stamp_start"]

Reply: TypeAlias = Response | TextResult | AsyncIterable[Any] | Iterable[Any] | str | None
"""A response; what ``stream_text`` returned; text; or chunks, model parts and text, as they are made."""

_MODEL_PARTS = get_args(Part)
_END = object()


def read_reply(
    reply: Reply, request_id: str, *, options: UIOptions | None = None
) -> AsyncGenerator[Chunk, None] | None:
    """Return the chunks of ``reply``, or None when there is no reply.

    Text becomes one text part whose id is ``request_id``, with neither ``start`` nor ``finish`` around it. Text that
    stands between chunks becomes a part for each run of it. ``options`` say how a model's parts are shown; without
    them a browser is not told what went wrong.

    Close the generator to stop early: that closes the reply too, so that whoever makes it stops. Raises TypeError for
    what is no reply; what the reply raises while it is read comes through.
    """
    if reply is None:
        return None
    if isinstance(reply, Response):
        return _response_chunks(reply, request_id)
    if isinstance(reply, TextResult):
        return _part_chunks(reply, options or UIOptions())
    if isinstance(reply, str):
        return _mixed_chunks([reply], request_id, options or UIOptions())
    if isinstance(reply, AsyncIterable | Iterable) and not isinstance(reply, bytes | bytearray | Mapping):
        return _mixed_chunks(reply, request_id, options or UIOptions())
    raise TypeError(
        f"on_chat_message returned {type(reply).__name__}. Return a Response, what stream_text returned, a generator "
        "of chunks or of text, a string, or None."
    )


async def _response_chunks(response: Response, request_id: str) -> AsyncGenerator[Chunk, None]:
    if response.body is None:
        return
    body = response.stream()
    try:
        if "text/event-stream" in response.headers.get("content-type", ""):
            chunks = event_stream_chunks(body)
        else:
            chunks = _mixed_chunks(_decoded(body), request_id, UIOptions())
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    finally:
        await close(body)


async def event_stream_chunks(body: AsyncIterable[bytes]) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of a UI message stream in Server-Sent Events, however its bytes were cut.

    The end mark, comments and whatever is no chunk are left out. The last event counts even when the stream breaks
    off before its blank line.
    """
    parser = EventStreamParser()
    async for piece in body:
        for event in parser.feed(piece):
            for chunk in _read_chunks(event.data or ""):
                yield chunk
    for event in parser.feed(b"\n\n"):
        for chunk in _read_chunks(event.data or ""):
            yield chunk


def _read_chunks(data: str) -> Iterable[Chunk]:
    chunk = decode(data)
    if chunk is not None:
        return [chunk] if _is_chunk(chunk) else ()
    # Some writers leave out the blank lines between their events.
    lines = data.split("\n") if "\n" in data else ()
    return [found for line in lines if (found := decode(line)) is not None and _is_chunk(found)]


def _is_chunk(value: Mapping[Any, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind != ""


async def _decoded(body: AsyncIterable[bytes]) -> AsyncGenerator[str, None]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    # Nothing at first, so that a body of no bytes is still a text.
    yield ""
    async for piece in body:
        yield decoder.decode(piece)
    yield decoder.decode(b"", True)


async def _part_chunks(result: TextResult, options: UIOptions) -> AsyncGenerator[Chunk, None]:
    async with aclosing(result.response_parts()) as parts:
        async for _, part in parts:
            chunk = ui_chunk(part, options)
            if chunk is not None:
                yield chunk


async def _mixed_chunks(
    source: AsyncIterable[Any] | Iterable[Any], request_id: str, options: UIOptions
) -> AsyncGenerator[Chunk, None]:
    items = aiter(source) if isinstance(source, AsyncIterable) else _each(source)
    texts = 0
    text_id: str | None = None
    try:
        async for item in items:
            if isinstance(item, str):
                if text_id is None:
                    text_id = f"{request_id}-{texts}" if texts else request_id
                    texts += 1
                    yield {"type": "text-start", "id": text_id}
                if item:
                    yield {"type": "text-delta", "id": text_id, "delta": item}
                continue
            chunk = _to_chunk(item, options)
            if chunk is None:
                continue
            if text_id is not None:
                yield {"type": "text-end", "id": text_id}
                text_id = None
            yield chunk
        if text_id is not None:
            yield {"type": "text-end", "id": text_id}
    finally:
        await close(items)


def _to_chunk(item: Any, options: UIOptions) -> Chunk | None:
    if isinstance(item, _MODEL_PARTS):
        return ui_chunk(cast(Part, item), options)
    if isinstance(item, Mapping) and _is_chunk(cast("Mapping[Any, Any]", item)):
        return dict(cast("Mapping[str, Any]", item))
    raise TypeError(
        f"A reply is made of text, of chunks (dicts with a 'type') and of a model's parts, not of {item!r:.100}."
    )


async def _each(source: Iterable[Any]) -> AsyncGenerator[Any, None]:
    if isinstance(source, list | tuple):
        for item in cast("Iterable[Any]", source):
            yield item
        return
    # In a thread: a generator that is not asynchronous may block while it makes an item.
    iterator: Iterator[Any] = iter(source)
    try:
        while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
            yield item
    finally:
        end = getattr(iterator, "close", None)
        if end is not None:
            try:
                await asyncio.to_thread(end)
            except ValueError:
                # "generator already executing": its thread is still making the item that nobody waits for.
                pass


def stamp_start(chunk: Chunk, message_id: str, *, continuation: bool = False) -> Chunk:
    """Return ``chunk`` with the message's id, if it is a ``start`` and has none.

    A client must build the message under the id that it is kept under, or it shows it twice. In a continuation the
    client has the message already, so a ``start`` loses its id. Other chunks are returned as they are.
    """
    if chunk["type"] != "start":
        return chunk
    if continuation:
        return {name: value for name, value in chunk.items() if name != "messageId"}
    return chunk if chunk.get("messageId") is not None else {**chunk, "messageId": message_id}


def rewrite_finish(chunk: Chunk) -> Chunk:
    """Return ``chunk`` with its finish reason in the message's metadata, if it is a ``finish`` that has one.

    That is where clients of every version look for it. What metadata there is stays.
    """
    if chunk["type"] != "finish" or "finishReason" not in chunk:
        return chunk
    rest = {name: value for name, value in chunk.items() if name != "finishReason"}
    metadata = rest.get("messageMetadata")
    known = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    return {**rest, "messageMetadata": {**known, "finishReason": chunk["finishReason"]}}
