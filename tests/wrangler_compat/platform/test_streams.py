"""Streams pull, push, split and change; text and bytes are encoded and packed; code waits for what is asynchronous."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from edgeagents.testing.clock import settle


@pytest.fixture
def g() -> Any:
    import js

    return js


async def chunks(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


async def test_a_source_is_pulled_as_it_is_read(g):
    asked: list[int] = []

    async def pull(controller: Any) -> None:
        asked.append(len(asked))
        if len(asked) > 3:
            controller.close()
        else:
            controller.enqueue(len(asked))

    stream = g.ReadableStream.new({"pull": pull})
    reader = stream.getReader()
    first = await reader.read()
    assert (first.value, first.done, stream.locked, asked) == (1, False, True, [0])
    reader.releaseLock()
    assert await chunks(stream) == [2, 3]


async def test_a_source_that_fails_fails_its_reader(g):
    stream = g.ReadableStream.new({"start": lambda controller: controller.error("no")})
    with pytest.raises(Exception, match="no"):
        await stream.getReader().read()


async def test_cancelling_reaches_the_source(g):
    told: list[Any] = []
    stream = g.ReadableStream.new({"cancel": told.append})
    await stream.cancel("enough")
    assert told == ["enough"]


async def test_a_tee_gives_the_same_to_both(g):
    one, other = g.ReadableStream.from_([1, 2, 3]).tee()
    assert await asyncio.gather(chunks(one), chunks(other)) == [[1, 2, 3], [1, 2, 3]]


async def test_a_transform_changes_what_passes(g):
    def transform(chunk: int, controller: Any) -> None:
        controller.enqueue(chunk * 2)

    doubled = g.TransformStream.new({"transform": transform, "flush": lambda controller: controller.enqueue("end")})
    assert await chunks(g.ReadableStream.from_([1, 2]).pipeThrough(doubled)) == [2, 4, "end"]


async def test_an_identity_waits_for_its_reader(g):
    pair = g.TransformStream.new()
    writer = pair.writable.getWriter()
    written = asyncio.ensure_future(writer.write("a"))
    await asyncio.sleep(0)
    assert not written.done()
    reader = pair.readable.getReader()
    assert (await reader.read()).value == "a"
    await written
    closing = writer.close()
    assert (await reader.read()).done
    await closing


async def test_a_fixed_length_is_kept(g):
    pair = g.FixedLengthStream.new(3)
    writer = pair.writable.getWriter()
    reading = asyncio.ensure_future(chunks(pair.readable))
    await writer.write(b"ab")
    with pytest.raises(Exception, match="too many bytes"):
        await writer.write(b"cd")
    with pytest.raises(Exception, match="TypeError"):
        await writer.close()
    reading.cancel()


async def test_bytes_are_read_into_a_buffer(g):
    reader = g.ReadableStream.from_([b"abcde"]).getReader(mode="byob")
    first = await reader.read(g.Uint8Array.new(3))
    second = await reader.read(g.Uint8Array.new(3))
    assert (first.value.to_bytes(), second.value.to_bytes()) == (b"abc", b"de")
    assert (await reader.read(g.Uint8Array.new(3))).done


def test_text_is_decoded_across_chunks(g):
    decoder = g.TextDecoder.new()
    assert decoder.decode(b"\xef\xbb\xbf\xc3", stream=True) == ""
    assert decoder.decode(b"\xa9") == "é"
    assert g.TextDecoder.new("latin1").decode(b"\x80") == "€"
    with pytest.raises(Exception, match="RangeError"):
        g.TextDecoder.new("nope")
    with pytest.raises(Exception, match="TypeError"):
        g.TextDecoder.new("utf-8", fatal=True).decode(b"\xff")
    assert g.TextEncoder.new().encode("é").to_bytes() == "é".encode()
    assert (g.btoa("é"), g.atob("6Q")) == ("6Q==", "é")
    with pytest.raises(Exception, match="InvalidCharacterError"):
        g.btoa("€")


async def test_bytes_are_compressed(g):
    packed = g.Response.new("x" * 1000).body.pipeThrough(g.CompressionStream.new("gzip"))
    data = (await g.Response.new(packed).arrayBuffer()).to_bytes()
    assert gzip.decompress(data) == b"x" * 1000
    opened = g.Response.new(data).body.pipeThrough(g.DecompressionStream.new("gzip"))
    assert await g.Response.new(opened).text() == "x" * 1000


async def test_timers_and_microtasks(g):
    seen: list[str] = []
    never = g.setTimeout(lambda: seen.append("never"), 0)
    g.setTimeout(seen.append, 0, "timer")
    g.clearTimeout(never)
    g.queueMicrotask(lambda: seen.append("task"))
    await g.scheduler.wait(1)
    assert seen == ["task", "timer"]


async def test_code_without_await_waits_while_others_go_on():
    from pyodide.ffi import can_run_sync, run_sync

    from wrangler_compat.host.run_sync import Suspendable

    order: list[str] = []

    async def other() -> None:
        order.append("other")

    def deep() -> str:
        assert can_run_sync()
        run_sync(asyncio.sleep(0.01))
        order.append("deep")
        try:
            run_sync(failing())
        except ValueError as error:
            return str(error)
        return ""

    async def failing() -> None:
        raise ValueError("seen")

    async def worker() -> str:
        return deep()

    task = asyncio.ensure_future(other())
    assert await Suspendable(worker()) == "seen"
    await task
    assert order == ["other", "deep"]
    assert not can_run_sync()
    with pytest.raises(RuntimeError, match="No suspender"):
        run_sync(asyncio.get_running_loop().create_future())


async def test_many_wait_at_once_each_with_its_own_context():
    from contextvars import ContextVar

    from pyodide.ffi import run_sync

    from wrangler_compat.host.run_sync import Suspendable

    mine: ContextVar[int] = ContextVar("mine")

    async def worker(n: int) -> int:
        mine.set(n)
        for _ in range(5):
            run_sync(asyncio.sleep(0))
            await asyncio.sleep(0)
        return mine.get()

    async def run(n: int) -> int:
        return await Suspendable(worker(n))

    assert await asyncio.gather(*map(run, range(50))) == list(range(50))


def source(g: Any, **given: Any) -> Any:
    """Return a stream, its controller, and what it was cancelled with."""
    held: list[Any] = []
    cancelled: list[Any] = []
    methods = {"start": held.append, "cancel": lambda reason: cancelled.append(str(reason)), **given}
    return g.ReadableStream.new(methods), held[0], cancelled


async def test_an_error_drops_what_waits(g):
    stream, controller, _ = source(g)
    controller.enqueue("a")
    controller.error(ValueError("broken"))
    reader = stream.getReader()
    with pytest.raises(ValueError, match="broken"):
        await reader.read()
    with pytest.raises(ValueError, match="broken"):
        await reader.cancel()


async def test_a_tee_is_cancelled_when_both_are(g):
    stream, _, cancelled = source(g)
    one, other = stream.tee()
    await one.cancel("first")
    assert cancelled == []
    await other.cancel("second")
    assert cancelled == ["second"]


async def test_a_stream_with_a_reader_is_cancelled_by_that(g):
    stream, _, cancelled = source(g)
    reader = stream.getReader()
    with pytest.raises(Exception, match="locked to a reader"):
        await stream.cancel()
    await reader.cancel("enough")
    assert cancelled == ["enough"]


async def test_a_reader_that_lets_go_reads_no_more(g):
    stream, controller, _ = source(g)
    reader = stream.getReader()
    reading = reader.read()
    await asyncio.sleep(0)
    reader.releaseLock()
    with pytest.raises(Exception, match="has been released"):
        await reading
    controller.enqueue("a")
    assert (await stream.getReader().read()).value == "a"


async def test_a_pipe_tells_each_end_of_the_others_failure(g):
    def fail(*args: Any) -> None:
        raise ValueError("broken")

    stream, controller, cancelled = source(g)
    controller.enqueue("a")
    with pytest.raises(ValueError, match="broken"):
        await stream.pipeTo(g.WritableStream.new({"write": fail}))
    assert cancelled == ["broken"]
    assert not stream.locked
    aborted: list[str] = []
    sink = g.WritableStream.new({"abort": lambda reason: aborted.append(str(reason))})
    with pytest.raises(ValueError, match="broken"):
        await g.ReadableStream.new({"pull": fail}).pipeTo(sink)
    assert aborted == ["broken"]
    with pytest.raises(ValueError, match="broken"):
        await sink.getWriter().closed


async def test_a_pipe_leaves_an_end_as_it_is(g):
    closed: list[bool] = []
    sink = g.WritableStream.new({"close": lambda: closed.append(True)})
    await g.ReadableStream.from_(["a"]).pipeTo(sink, {"preventClose": True})
    assert (closed, sink.locked) == ([], False)
    await g.ReadableStream.from_(["a"]).pipeTo(sink)
    assert closed == [True]


@pytest.mark.parametrize("step", ["start", "transform", "flush"])
async def test_a_transform_that_fails_fails_its_reader(g, step):
    async def fail(*args: Any) -> None:
        raise ValueError("broken")

    changed = g.ReadableStream.from_(["a"]).pipeThrough(g.TransformStream.new({step: fail}))
    with pytest.raises(ValueError, match="broken"):
        await chunks(changed)


async def test_a_transform_goes_no_faster_than_its_reader(g):
    given = 0

    def pull(controller: Any) -> None:
        nonlocal given
        given += 1
        controller.enqueue(given)

    double = g.TransformStream.new({"transform": lambda chunk, controller: controller.enqueue(chunk * 2)})
    reader = g.ReadableStream.new({"pull": pull}).pipeThrough(double).getReader()
    assert [(await reader.read()).value for _ in range(3)] == [2, 4, 6]
    await settle()
    assert given <= 5
    await reader.cancel()


async def test_an_abort_frees_whoever_writes(g):
    through = g.TransformStream.new()
    writer = through.writable.getWriter()
    writing = writer.write("a")
    await settle()
    await writer.abort(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await writing
    with pytest.raises(ValueError, match="broken"):
        await through.readable.getReader().read()
