"""Durable streams: append-only logs that many readers follow, each from its own cursor.

A stream is a row of chunks (JSON values) numbered from 0, kept in the agent's own database. A writer appends, readers
replay what is there and then follow. Keeping and delivering are one act: a reader is given what the log has, never
what a writer merely said, so a reader that was cut off goes on after the last number it has seen and misses nothing.

What leaves the agent as a response waits for the disk at the object's output gate, like all else. A stream that was
being written when the server died has no writer any more: it is ``interrupted`` until somebody opens it again.

What the chunks mean is not known here. Wiring: ``streams = DurableStreams(ctx)``; ``await streams.start()`` while the
agent wakes, before anything uses it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from edgeagents.agents.tables import Tables
from edgeagents.errors import BadRequest, StorageLimitError, StreamClosedError, StreamError
from edgeagents.http import AbortSignal, Headers, HeadersInit, Request, Response
from edgeagents.objects.clock import Clock
from edgeagents.objects.records import record

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["DurableStreams", "StreamContext", "StreamState", "StreamStatus", "StreamWriter", "event_cursor"]

Json: TypeAlias = Any

StreamState = Literal["streaming", "completed", "errored", "interrupted"]

LONGEST_CHUNK = 1024 * 1024
LONGEST_ID = 512

# A row is written again with each chunk that joins it, so it stays about as small as a page of the database.
BLOCK_CHUNKS = 64
BLOCK_CHARACTERS = 4096

_EVENT_STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}

_SCHEMA = (
    """create table if not exists cf_agents_streams (
        number integer primary key autoincrement,
        id text not null unique,
        tag text,
        metadata text,
        state text not null,
        reason text,
        created_at real not null,
        updated_at real not null
    )""",
    """create table if not exists cf_agents_stream_blocks (
        stream integer not null,
        first integer not null,
        count integer not null,
        chunks text not null,
        primary key (stream, first)
    ) without rowid""",
)


class StreamContext(Protocol):
    """What streams need of an object's ``ctx``."""

    @property
    def storage(self) -> _HasDatabase: ...

    @property
    def clock(self) -> Clock: ...


class _HasDatabase(Protocol):
    @property
    def database(self) -> Database: ...


@record("stream status")
@dataclass(frozen=True, slots=True)
class StreamStatus:
    """What is known of a stream. ``cursor`` is the number that the next chunk gets."""

    id: str
    state: StreamState
    cursor: int
    tag: str | None
    metadata: Json
    reason: str | None
    created_at: datetime
    updated_at: datetime


class StreamWriter:
    """The writing end of a stream. As a context manager it closes the stream, or ends it with the error that left."""

    def __init__(self, streams: DurableStreams, stream_id: str, live: _Live) -> None:
        self._streams, self._live = streams, live
        self.id = stream_id

    @property
    def cursor(self) -> int:
        """The number that the next chunk gets."""
        return self._live.cursor

    def append(self, chunk: Json) -> int:
        """Add a JSON value of at most 1 MiB and return its number. Readers get it when it is kept."""
        return self._streams.append_to(self.id, self._live, chunk)

    def append_text(self, text: str) -> int:
        """Add a JSON value that is text already, on one line and fit for UTF-8. Else as ``append``."""
        return self._streams.append_text_to(self.id, self._live, text)

    def close(self) -> None:
        """End the stream. Harmless when it has ended."""
        self._streams.settle(self.id, self._live, "completed", None)

    def error(self, reason: str) -> None:
        """End the stream with an error that its readers are told. Harmless when it has ended."""
        self._streams.settle(self.id, self._live, "errored", reason)

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif isinstance(error, Exception):
            self.error(f"{type(error).__name__}: {error}")
        # A cancelled writer has not failed: whoever opens the stream again may go on with it.


class _Live:
    """A stream with a writer in this activation: its last block, and who waits for more."""

    __slots__ = ("block", "is_settled", "number", "waiting")

    def __init__(self, number: int, block: _Block) -> None:
        self.number = number
        self.block = block
        self.is_settled = False
        self.waiting: dict[asyncio.Future[None], None] = {}

    @property
    def cursor(self) -> int:
        block = self.block
        return block.first + len(block.texts)


class _Block:
    __slots__ = ("characters", "first", "texts")

    def __init__(self, first: int, texts: list[str]) -> None:
        self.first, self.texts = first, texts
        self.characters = sum(map(len, texts))


_UP_TO_DATE = object()
_SILENCE = object()


class DurableStreams:
    """All durable streams of one agent."""

    def __init__(self, ctx: StreamContext) -> None:
        self._database = database = ctx.storage.database
        self._tables = Tables(database, "cf_agents_stream_blocks", *_SCHEMA)
        self._clock = ctx.clock
        self._live: dict[str, _Live] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Make ready for use. Call it on the event loop, before all else."""
        self._loop = asyncio.get_running_loop()

    # Writing

    def open(self, stream_id: str, *, tag: str | None = None, metadata: Json = None) -> StreamWriter:
        """Return a writer at the end of the stream, which is made when there is none of this id.

        ``tag`` and ``metadata`` are those of a new stream. Raises ``StreamClosedError`` when the stream has ended.
        """
        if not stream_id or len(stream_id) > LONGEST_ID:
            raise ValueError(f"The id of a stream has 1 to {LONGEST_ID} characters, not {len(stream_id)}.")
        live = self._live.get(stream_id)
        if live is not None:
            return StreamWriter(self, stream_id, live)
        self._tables.make()
        row = self._row(stream_id)
        if row is None:
            now = self._clock.now().timestamp()
            self._database.fetch(
                "insert into cf_agents_streams (id, tag, metadata, state, created_at, updated_at) "
                "values (?, ?, ?, 'streaming', ?, ?)",
                (stream_id, tag, json.dumps(metadata, ensure_ascii=False), now, now),
            )
            row = self._row(stream_id)
            assert row is not None
        elif row.state != "streaming":
            raise StreamClosedError(f"The stream {stream_id!r} is {row.state}; write to a new one.", stream_id)
        live = self._live[stream_id] = _Live(row.number, self._last_block(row.number))
        return StreamWriter(self, stream_id, live)

    def append_to(self, stream_id: str, live: _Live, chunk: Json) -> int:
        """Add to a stream; a ``StreamWriter`` does."""
        text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if not text.isascii() and _SURROGATES.search(text):
            # SQLite keeps UTF-8 only, and JSON can write half a pair as an escape.
            text = json.dumps(chunk, separators=(",", ":"), allow_nan=False)
        return self.append_text_to(stream_id, live, text)

    def append_text_to(self, stream_id: str, live: _Live, text: str) -> int:
        """Add JSON text to a stream; a ``StreamWriter`` does."""
        if live.is_settled:
            raise StreamClosedError(f"The stream {stream_id!r} has ended; nothing can be added to it.", stream_id)
        if self._database.held:
            # Readers have a chunk at once. One that a rollback takes away again would come twice, or differ.
            raise StreamError(f"The stream {stream_id!r} cannot be written to inside a transaction.", stream_id)
        if len(text) > LONGEST_CHUNK // 4 and len(text.encode("utf-8", "surrogatepass")) > LONGEST_CHUNK:
            raise StorageLimitError(f"A chunk of the stream {stream_id!r} is larger than {LONGEST_CHUNK} bytes.")
        block = live.block
        position = live.cursor
        if block.texts and (len(block.texts) >= BLOCK_CHUNKS or block.characters + len(text) > BLOCK_CHARACTERS):
            block = _Block(position, [])
        if block.texts:
            self._database.fetch(
                "update cf_agents_stream_blocks set count = count + 1, chunks = chunks || char(10) || ? "
                "where stream = ? and first = ?",
                (text, live.number, block.first),
            )
        else:
            self._database.fetch(
                "insert into cf_agents_stream_blocks (stream, first, count, chunks) values (?, ?, 1, ?)",
                (live.number, position, text),
            )
        block.texts.append(text)
        block.characters += len(text)
        live.block = block
        self._database.let_go()
        self._wake(live)
        return position

    def settle(self, stream_id: str, live: _Live, state: Literal["completed", "errored"], reason: str | None) -> None:
        """End a stream; a ``StreamWriter`` does."""
        if live.is_settled:
            return
        self._database.fetch(
            "update cf_agents_streams set state = ?, reason = ?, updated_at = ? where number = ?",
            (state, reason, self._clock.now().timestamp(), live.number),
        )
        live.is_settled = True
        self._live.pop(stream_id, None)
        self._database.let_go()
        self._wake(live)

    def set_metadata(self, stream_id: str, metadata: Json) -> None:
        """Replace what was kept beside the stream."""
        self._database.fetch(
            "update cf_agents_streams set metadata = ?, updated_at = ? where id = ?",
            (json.dumps(metadata, ensure_ascii=False), self._clock.now().timestamp(), stream_id),
        )

    def delete(self, stream_id: str) -> bool:
        """Forget the stream; return whether there was one. Who reads or writes it gets an error."""
        row = self._row(stream_id)
        if row is None:
            return False
        self._database.fetch("delete from cf_agents_stream_blocks where stream = ?", (row.number,))
        self._database.fetch("delete from cf_agents_streams where number = ?", (row.number,))
        live = self._live.pop(stream_id, None)
        if live is not None:
            live.is_settled = True
            self._wake(live)
        return True

    def _wake(self, live: _Live) -> None:
        if not live.waiting:
            return
        try:
            on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            on_loop = False
        if on_loop:
            _settle_all(live)
        elif self._loop is not None:
            # A sync handler writes in a thread.
            self._loop.call_soon_threadsafe(_settle_all, live)

    # Looking

    def status(self, stream_id: str) -> StreamStatus | None:
        """Return what is known of the stream, or None when there is none."""
        row = self._row(stream_id)
        return None if row is None else self._status(row)

    def list(
        self, *, state: StreamState | None = None, tag: str | None = None, prefix: str = "", limit: int = 100
    ) -> list[StreamStatus]:
        """Return the streams, the newest first: those in ``state``, with ``tag``, whose id begins with ``prefix``."""
        where = "where (?1 is null or tag = ?1) and id >= ?2 and id < ?2 || char(1114111)"
        found = [] if not self._tables.exist else self._rows(where, (tag, prefix))
        known = (self._status(row) for row in found)
        matching = (each for each in known if state is None or each.state == state)
        return [each for each, _ in zip(matching, range(limit), strict=False)]

    def older(self, tag: str, *, than: int) -> list[str]:
        """Return the ids of the streams with ``tag``, the newest first, without the newest ``than`` of them."""
        if not self._tables.exist:
            return []
        query = "select id from cf_agents_streams where tag = ? order by number desc limit -1 offset ?"
        return [id for (id,) in self._database.fetch(query, (tag, than))]

    def _status(self, row: _Row) -> StreamStatus:
        live = self._live.get(row.id)
        state: StreamState = row.state
        if state == "streaming" and live is None:
            state = "interrupted"
        return StreamStatus(
            row.id,
            state,
            live.cursor if live is not None else self._cursor(row.number),
            row.tag,
            json.loads(row.metadata),
            row.reason,
            datetime.fromtimestamp(row.created_at, UTC),
            datetime.fromtimestamp(row.updated_at, UTC),
        )

    def _row(self, stream_id: str) -> _Row | None:
        if not self._tables.exist:
            return None
        return next(iter(self._rows("where id = ?", (stream_id,))), None)

    def _rows(self, where: str, params: tuple[Any, ...]) -> Iterable[_Row]:
        query = (
            "select number, id, tag, metadata, state, reason, created_at, updated_at "
            f"from cf_agents_streams {where} order by number desc"
        )
        return [_Row(*row) for row in self._database.fetch(query, params)]

    def _cursor(self, number: int) -> int:
        query = "select first + count from cf_agents_stream_blocks where stream = ? order by first desc limit 1"
        rows = list(self._database.fetch(query, (number,)))
        return rows[0][0] if rows else 0

    def _last_block(self, number: int) -> _Block:
        query = "select first, chunks from cf_agents_stream_blocks where stream = ? order by first desc limit 1"
        rows = list(self._database.fetch(query, (number,)))
        return _Block(rows[0][0], rows[0][1].split("\n")) if rows else _Block(0, [])

    def _texts(self, number: int, live: _Live | None, start: int) -> list[str]:
        """Return chunks from ``start`` on: those of one block."""
        if live is not None and start >= live.block.first:
            return live.block.texts[start - live.block.first :]
        query = (
            "select first, chunks from cf_agents_stream_blocks "
            "where stream = ? and first <= ? order by first desc limit 1"
        )
        rows = list(self._database.fetch(query, (number, start)))
        return rows[0][1].split("\n")[start - rows[0][0] :] if rows else []

    # Reading

    def kept(self, stream_id: str) -> list[Json]:
        """Return all chunks that are there now."""
        return [json.loads(text) for text in self.kept_texts(stream_id)]

    def kept_texts(self, stream_id: str) -> list[str]:
        """Return all chunks that are there now, as the JSON text that they are kept as."""
        row = self._row(stream_id)
        if row is None:
            return []
        query = "select chunks from cf_agents_stream_blocks where stream = ? order by first"
        return [text for (block,) in self._database.fetch(query, (row.number,)) for text in block.split("\n")]

    async def read(
        self, stream_id: str, *, from_: int = 0, signal: AbortSignal | None = None
    ) -> AsyncGenerator[tuple[int, Json], None]:
        """Yield each chunk with its number, from ``from_`` on: first what is there, then what comes.

        Ends when the stream is complete, or ``signal`` fires. Raises ``StreamError`` when the stream is not there,
        ended with an error, or was interrupted and nobody writes it.
        """
        async for batch in self.read_batches(stream_id, from_=from_, signal=signal):
            for numbered in batch:
                yield numbered

    async def read_batches(
        self,
        stream_id: str,
        *,
        from_: int = 0,
        batch_size: int = 100,
        on_up_to_date: Callable[[], object] | None = None,
        signal: AbortSignal | None = None,
    ) -> AsyncGenerator[list[tuple[int, Json]], None]:
        """Like ``read``, with all that is there at once, up to ``batch_size``.

        ``on_up_to_date`` is called when the reader has caught up for the first time.
        """
        events = self._follow(stream_id, from_, batch_size=batch_size, signal=signal)
        try:
            async for event in events:
                if isinstance(event, _Batch):
                    yield [(event.first + i, json.loads(text)) for i, text in enumerate(event.texts)]
                elif event is _UP_TO_DATE and on_up_to_date is not None:
                    on_up_to_date()
        finally:
            await events.aclose()

    async def _follow(
        self,
        stream_id: str,
        start: int,
        *,
        batch_size: int,
        signal: AbortSignal | None = None,
        heartbeat: float | None = None,
    ) -> AsyncGenerator[object, None]:
        """Yield batches, ``_UP_TO_DATE`` once, and ``_SILENCE`` when nothing came for ``heartbeat`` seconds."""
        position, is_up_to_date = start, False
        while signal is None or not signal.aborted:
            row = self._row(stream_id)
            if row is None:
                raise StreamError(f"There is no stream {stream_id!r}.", stream_id)
            live = self._live.get(stream_id)
            # Without a look at the stream's row each time: this loop runs once a chunk for each reader.
            while True:
                texts = self._texts(row.number, live, position)[:batch_size]
                if texts:
                    yield _Batch(position, texts)
                    position += len(texts)
                    continue
                if not is_up_to_date:
                    is_up_to_date = True
                    yield _UP_TO_DATE
                    continue
                if live is None or live.is_settled or (signal is not None and signal.aborted):
                    break
                if not await self._news(live, position, signal, heartbeat):
                    yield _SILENCE
            if live is None:
                if row.state == "streaming":
                    raise StreamError(f"The stream {stream_id!r} was interrupted.", stream_id)
                if row.state == "errored":
                    raise StreamError(row.reason or "The stream failed.", stream_id)
                return

    async def _news(self, live: _Live, position: int, signal: AbortSignal | None, heartbeat: float | None) -> bool:
        """Wait for a chunk at ``position`` or an end; return False when none came for ``heartbeat`` seconds."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        is_silent = False

        def silence() -> None:
            nonlocal is_silent
            is_silent = True
            _settle_one(woken)

        live.waiting[woken] = None
        if live.is_settled or live.cursor > position:
            # A writer in a thread was quicker than we were to wait for it.
            _settle_one(woken)
        timer = None if heartbeat is None else self._clock.call_later(heartbeat, silence)
        remove = None if signal is None else signal.add_listener(lambda: loop.call_soon_threadsafe(_settle_one, woken))
        try:
            await woken
        finally:
            live.waiting.pop(woken, None)
            if timer is not None:
                timer.cancel()
            if remove is not None:
                remove()
        return not is_silent

    # Answering requests

    def sse_response(
        self,
        request: Request,
        stream_id: str,
        *,
        from_: int | None = None,
        batch_size: int = 100,
        heartbeat_seconds: float = 30.0,
        headers: HeadersInit = None,
    ) -> Response:
        """Answer with the stream as Server-Sent Events: a chunk each, its number as the event's id.

        It starts after ``Last-Event-ID``, else at ``?cursor=`` or ``?from=``, else at ``from_`` or 0. The events
        ``up-to-date``, ``done`` and ``error`` tell how the stream stands. An unknown stream is 404, a cursor that
        cannot be one of its is 400.
        """
        status = self.status(stream_id)
        if status is None:
            return Response(f"There is no stream {stream_id!r}.", status=404)
        try:
            start = event_cursor(request, default=from_ or 0, end=status.cursor)
        except BadRequest as error:
            return Response(str(error), status=400)
        body = self._events(stream_id, start, batch_size, heartbeat_seconds)
        return Response(body, headers=_with_usual(headers, _EVENT_STREAM_HEADERS))

    async def _events(
        self, stream_id: str, start: int, batch_size: int, heartbeat: float
    ) -> AsyncGenerator[bytes, None]:
        events = self._follow(stream_id, start, batch_size=batch_size, heartbeat=heartbeat)
        try:
            async for event in events:
                if isinstance(event, _Batch):
                    numbered = enumerate(event.texts, event.first)
                    yield "".join(f"id: {i}\ndata: {text}\n\n" for i, text in numbered).encode()
                elif event is _UP_TO_DATE:
                    yield b"event: up-to-date\ndata: {}\n\n"
                else:
                    yield b": heartbeat\n\n"
            yield b"event: done\ndata: {}\n\n"
        except StreamError as error:
            reason = json.dumps({"reason": str(error)})
            yield f"event: error\ndata: {reason}\n\n".encode()
        finally:
            await events.aclose()

    def text_response(
        self,
        request: Request,
        stream_id: str,
        *,
        text_of: Callable[[Json], str] = lambda chunk: chunk if isinstance(chunk, str) else "",
        headers: HeadersInit = None,
    ) -> Response:
        """Answer with the stream's text alone, as it comes.

        ``text_of`` gives the text of a chunk; by default that of a string is the string, and others have none.
        ``?cursor=`` is how many **bytes** the client has: it knows nothing else. An unknown stream is 404, a cursor
        that is no number is 400. A stream that ends with an error cuts the connection.
        """
        if self.status(stream_id) is None:
            return Response(f"There is no stream {stream_id!r}.", status=404)
        try:
            skip = _number(request.query.get("cursor"), "cursor") or 0
        except BadRequest as error:
            return Response(str(error), status=400)
        usual = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
        return Response(self._text(stream_id, text_of, skip), headers=_with_usual(headers, usual))

    async def _text(self, stream_id: str, text_of: Callable[[Json], str], skip: int) -> AsyncGenerator[bytes, None]:
        chunks = self.read(stream_id)
        try:
            async for _, chunk in chunks:
                data = text_of(chunk).encode("utf-8", "replace")
                data, skip = data[skip:], max(skip - len(data), 0)
                if data:
                    yield data
        finally:
            await chunks.aclose()


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    id: str
    tag: str | None
    metadata: str
    state: Literal["streaming", "completed", "errored"]
    reason: str | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class _Batch:
    first: int
    texts: list[str]


_SURROGATES = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"[0-9]{1,18}")


def event_cursor(request: Request, *, default: int = 0, end: int) -> int:
    """Return the number of the event to send first: the one after ``Last-Event-ID``, else ``?cursor=``, ``?from=``.

    Raises ``BadRequest`` for what is no number, or lies beyond ``end``, the number that the next chunk gets.
    """
    last = _number(request.headers.get("last-event-id"), "Last-Event-ID")
    if last is not None:
        start = last + 1
    else:
        query = request.query
        asked = [_number(query.get(name), name) for name in ("cursor", "from")]
        start = next((number for number in asked if number is not None), default)
    if start > end:
        raise BadRequest(f"This stream has {end} events so far; there is none with the number {start - 1} before it.")
    return start


def _number(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    if not _DIGITS.fullmatch(text):
        raise BadRequest(f"{name} must be a whole number from 0, not {text[:40]!r}.")
    return int(text)


def _with_usual(given: HeadersInit, usual: Mapping[str, str]) -> Headers:
    headers = Headers(given)
    for name, value in usual.items():
        headers.setdefault(name, value)
    return headers


def _settle_all(live: _Live) -> None:
    for woken in tuple(live.waiting):
        _settle_one(woken)


def _settle_one(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
