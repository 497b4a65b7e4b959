from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edgeagents.agents.streams import DurableStreams
from edgeagents.errors import StorageLimitError, StreamClosedError, StreamError
from edgeagents.http import AbortController, EventStreamParser, Request, Response
from edgeagents.objects.sqlite import Database
from tests.agents.durable_fakes import PlainContext, PlainDatabase
from tests.models.fakes import settle

pytestmark = pytest.mark.cloudflare(
    "Agents", "durable streams, `sseResponse`", "same; a stream cut by a crash is `interrupted`"
)


@pytest.fixture(params=["real", "plain"])
def ctx(request: pytest.FixtureRequest) -> Iterator[PlainContext]:
    database = Database.open(None) if request.param == "real" else PlainDatabase()
    yield PlainContext(database)
    database.close()


@pytest.fixture
def plain() -> Iterator[PlainContext]:
    database = PlainDatabase()
    yield PlainContext(database)
    database.close()


@pytest.fixture
async def streams(ctx: PlainContext) -> DurableStreams:
    return await waken(ctx)


async def waken(ctx: PlainContext) -> DurableStreams:
    """Return the streams as an agent has them that has just woken."""
    streams = DurableStreams(ctx)
    await streams.start()
    return streams


async def read(streams: DurableStreams, stream_id: str, from_: int = 0) -> list[Any]:
    return [numbered async for numbered in streams.read(stream_id, from_=from_)]


def following(streams: DurableStreams, stream_id: str, from_: int = 0) -> tuple[asyncio.Task[None], list[Any]]:
    found: list[Any] = []

    async def follow() -> None:
        async for numbered in streams.read(stream_id, from_=from_):
            found.append(numbered)  # noqa: PERF401 - the list is looked at meanwhile

    return asyncio.create_task(follow()), found


async def test_a_reader_gets_what_was_written_in_order(streams: DurableStreams) -> None:
    with streams.open("s") as writer:
        assert [writer.append(chunk) for chunk in ("a", {"b": 1}, None)] == [0, 1, 2]
        assert writer.cursor == 3
    assert await read(streams, "s") == [(0, "a"), (1, {"b": 1}), (2, None)]
    assert await read(streams, "s", 2) == [(2, None)]
    assert await read(streams, "s", 9) == []


async def test_a_reader_follows_a_writer(streams: DurableStreams) -> None:
    writer = streams.open("s")
    writer.append(0)
    task, found = following(streams, "s")
    await settle()
    assert found == [(0, 0)]
    writer.append(1)
    writer.append(2)
    await settle()
    assert found == [(0, 0), (1, 1), (2, 2)]
    writer.close()
    await task


async def test_a_reader_follows_a_writer_in_a_thread(streams: DurableStreams) -> None:
    writer = streams.open("s")
    task, found = following(streams, "s")
    await settle()

    def write() -> None:
        for number in range(500):
            writer.append(number)
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    await task
    thread.join()
    assert [number for number, _ in found] == list(range(500))


async def test_chunks_share_rows_and_lose_nothing(ctx: PlainContext, streams: DurableStreams) -> None:
    # Small ones fill a row by their number, large ones by their size, and line ends are no ends of chunks.
    chunks = [*range(200), *["x" * 3000] * 5, "a\nb", "😀", "\ud800", ""]
    with streams.open("s") as writer:
        for chunk in chunks:
            writer.append(chunk)
    rows = list(ctx.storage.database.fetch("select count from cf_agents_stream_blocks"))
    assert sum(count for (count,) in rows) == len(chunks)
    assert len(rows) < 12
    for start in (0, 1, 63, 64, 65, 199, 203, len(chunks) - 1):
        assert await read(streams, "s", start) == list(enumerate(chunks))[start:]
    assert streams.kept("s") == chunks


async def test_an_append_is_one_statement(plain: PlainContext) -> None:
    ctx, streams = plain, await waken(plain)
    writer = streams.open("s")
    writer.append("first")
    before = len(ctx.storage.database.statements)
    writer.append("second")
    assert len(ctx.storage.database.statements) == before + 1


async def test_opening_again_goes_on_at_the_cursor(ctx: PlainContext, streams: DurableStreams) -> None:
    streams.open("s").append("a")
    assert streams.open("s").cursor == 1
    again = await waken(ctx)
    writer = again.open("s")
    assert writer.append("b") == 1
    writer.close()
    assert await read(again, "s") == [(0, "a"), (1, "b")]


async def test_a_settled_stream_takes_nothing_more(streams: DurableStreams) -> None:
    writer = streams.open("s")
    writer.close()
    writer.close()
    with pytest.raises(StreamClosedError, match="has ended"):
        writer.append(1)
    with pytest.raises(StreamClosedError, match="'s' is completed; write to a new one"):
        streams.open("s")


async def test_an_error_reaches_readers_after_what_came_before(streams: DurableStreams) -> None:
    with contextlib.suppress(RuntimeError), streams.open("s") as writer:
        writer.append("a")
        raise RuntimeError("no more")
    task, found = following(streams, "s")
    with pytest.raises(StreamError, match="RuntimeError: no more"):
        await task
    assert found == [(0, "a")]
    status = streams.status("s")
    assert status is not None
    assert (status.state, status.reason) == ("errored", "RuntimeError: no more")


async def test_a_stream_whose_server_died_is_interrupted(ctx: PlainContext, streams: DurableStreams) -> None:
    streams.open("s").append("a")
    again = await waken(ctx)
    assert [status.state for status in again.list()] == ["interrupted"]
    with pytest.raises(StreamError, match="was interrupted"):
        await read(again, "s")
    again.open("s")
    assert [status.state for status in again.list()] == ["streaming"]


async def test_streams_are_listed_newest_first(streams: DurableStreams) -> None:
    for number in range(5):
        writer = streams.open(f"s{number}", tag="odd" if number % 2 else "even", metadata={"n": number})
        if number < 3:
            writer.close()
    assert [status.id for status in streams.list()] == ["s4", "s3", "s2", "s1", "s0"]
    assert [status.id for status in streams.list(tag="odd")] == ["s3", "s1"]
    assert [status.id for status in streams.list(state="completed", limit=2)] == ["s2", "s1"]
    assert [status.metadata for status in streams.list(tag="odd", state="streaming")] == [{"n": 3}]


async def test_a_deleted_stream_is_gone(streams: DurableStreams) -> None:
    writer = streams.open("s")
    task, _ = following(streams, "s")
    await settle()
    assert streams.delete("s") is True
    assert streams.delete("s") is False
    assert streams.status("s") is None
    with pytest.raises(StreamError, match="no stream 's'"):
        await task
    with pytest.raises(StreamClosedError):
        writer.append(1)


async def test_a_signal_ends_a_reader_and_nothing_else(streams: DurableStreams) -> None:
    writer = streams.open("s")
    controller = AbortController()
    reading = asyncio.create_task(anext(streams.read("s", signal=controller.signal), None))  # type: ignore[arg-type]
    await settle()
    controller.abort()
    assert await reading is None
    writer.append(1)


async def test_batches_tell_when_a_reader_has_caught_up(streams: DurableStreams) -> None:
    with streams.open("s") as writer:
        for number in range(5):
            writer.append(number)
    seen: list[Any] = []
    async for batch in streams.read_batches("s", batch_size=2, on_up_to_date=lambda: seen.append("up to date")):
        seen.append([chunk for _, chunk in batch])  # noqa: PERF401 - in the order of what happens
    assert seen == [[0, 1], [2, 3], [4], "up to date"]


@pytest.mark.parametrize("stream_id", ["", "x" * 513])
async def test_an_id_is_neither_empty_nor_endless(streams: DurableStreams, stream_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 512 characters"):
        streams.open(stream_id)


async def test_what_cannot_be_kept_is_refused(plain: PlainContext) -> None:
    ctx, streams = plain, await waken(plain)
    writer = streams.open("s")
    with pytest.raises(StorageLimitError, match="larger than 1048576 bytes"):
        writer.append("é" * 600_000)
    with pytest.raises(TypeError):
        writer.append(object())
    with pytest.raises(ValueError):
        writer.append(float("nan"))
    ctx.storage.database.held = True
    with pytest.raises(StreamError, match="inside a transaction"):
        writer.append(1)
    assert writer.cursor == 0


async def test_looking_at_nothing_makes_nothing(plain: PlainContext) -> None:
    ctx, streams = plain, await waken(plain)
    ctx.storage.database.exists = False
    assert streams.status("s") is None
    assert streams.list() == []
    assert ctx.storage.database.statements == []


# Server-Sent Events


def ask(path: str = "/", **headers: str) -> Request:
    return Request(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def events(response: Response) -> list[tuple[str | None, str | None, str | None]]:
    parser = EventStreamParser()
    return [(each.event, each.id, each.data) for each in parser.feed(await response.bytes())]


async def test_events_carry_numbers_and_say_how_the_stream_stands(streams: DurableStreams) -> None:
    with streams.open("s") as writer:
        writer.append("a")
        writer.append({"b": 1})
    response = streams.sse_response(ask(), "s")
    assert dict(response.headers.items()) == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }
    assert await response.text() == (
        'id: 0\ndata: "a"\n\nid: 1\ndata: {"b":1}\n\nevent: up-to-date\ndata: {}\n\nevent: done\ndata: {}\n\n'
    )


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        (ask(last_event_id="0"), 1),
        (ask("/?cursor=2"), 2),
        (ask("/?from=1"), 1),
        (ask("/?cursor=1", last_event_id="1"), 2),
        (ask("/?cursor=", last_event_id=""), 0),
        (ask("/?cursor=3"), 3),
    ],
    ids=["Last-Event-ID", "cursor", "from", "header first", "empty", "at the end"],
)
async def test_a_reader_comes_back_where_it_was(streams: DurableStreams, request_: Request, first: int) -> None:
    with streams.open("s") as writer:
        for number in range(3):
            writer.append(number)
    found = await events(streams.sse_response(request_, "s"))
    assert [data for event, _, data in found if event is None] == [str(number) for number in range(first, 3)]


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (ask("/?cursor=x"), "cursor must be a whole number from 0, not 'x'"),
        (ask("/?from=-1"), "from must be a whole number"),
        (ask("/?cursor=" + "9" * 400), "cursor must be a whole number"),
        (ask("/?cursor=%D9%A3"), "cursor must be a whole number"),  # a digit, in Arabic
        (ask(last_event_id="1.5"), "Last-Event-ID must be a whole number"),
        (ask(last_event_id="7"), "This stream has 1 events so far"),
    ],
    ids=["no number", "negative", "endless", "not ascii", "fraction", "beyond the end"],
)
async def test_a_cursor_that_cannot_be_one_is_400(streams: DurableStreams, request_: Request, problem: str) -> None:
    streams.open("s").append("a")
    response = streams.sse_response(request_, "s")
    assert response.status == 400
    assert problem in await response.text()


async def test_an_unknown_stream_is_404(streams: DurableStreams) -> None:
    assert streams.sse_response(ask(), "s").status == 404
    assert streams.text_response(ask(), "s").status == 404


async def test_a_silent_stream_shows_that_it_lives(ctx: PlainContext, streams: DurableStreams) -> None:
    writer = streams.open("s")
    chunks = streams.sse_response(ask(), "s", heartbeat_seconds=30).stream()
    assert await anext(chunks) == b"event: up-to-date\ndata: {}\n\n"
    waiting = asyncio.ensure_future(anext(chunks))
    await ctx.clock.advance(29)
    assert not waiting.done()
    await ctx.clock.advance(1)
    assert await waiting == b": heartbeat\n\n"
    waiting = asyncio.ensure_future(anext(chunks))
    await settle()
    writer.append("a")
    assert await waiting == b'id: 0\ndata: "a"\n\n'
    await chunks.aclose()  # type: ignore[attr-defined]
    assert not ctx.clock.waits


async def test_events_tell_of_an_error(streams: DurableStreams) -> None:
    writer = streams.open("s")
    writer.append("a")
    writer.error("no more")
    assert (await events(streams.sse_response(ask(), "s")))[-1] == ("error", "0", '{"reason": "no more"}')


# Text


@pytest.mark.parametrize(("cursor", "rest"), [("", "héllo"), ("1", "éllo"), ("4", "lo"), ("6", ""), ("99", "")])
async def test_text_goes_on_from_a_byte(streams: DurableStreams, cursor: str, rest: str) -> None:
    with streams.open("s") as writer:
        for chunk in ("hé", {"not": "text"}, "l", "lo"):
            writer.append(chunk)
    response = streams.text_response(ask(f"/?cursor={cursor}"), "s", headers={"content-type": "text/x-unknown"})
    assert response.headers["content-type"] == "text/x-unknown"
    assert await response.text() == rest


async def test_text_is_broken_off_by_an_error(streams: DurableStreams) -> None:
    writer = streams.open("s")
    writer.append("a")
    chunks = streams.text_response(ask(), "s").stream()
    assert await anext(chunks) == b"a"
    writer.error("no more")
    with pytest.raises(StreamError, match="no more"):
        await anext(chunks)


async def test_a_bad_cursor_of_a_text_is_400(streams: DurableStreams) -> None:
    streams.open("s")
    assert streams.text_response(ask("/?cursor=x"), "s").status == 400
