"""Streams: events, large bodies, readers that stop reading, silence."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from functools import partial

from benchmarks import load, memory
from benchmarks.measures.compare import MIB, compare, growth, interleaved
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.variants import Variant

__all__ = ["crowd", "event_stream", "events", "large_bodies", "silence", "slow_reader"]


async def event_stream(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """Server-Sent Events on one stream, as fast as they come. Latency is that of the first event."""
    return await _events(variants, scale, 1, scale.stream_events * 4)


async def events(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """Server-Sent Events on 200 streams at once, as fast as they come. Latency is that of the first event."""
    return await _events(variants, scale, scale.streams, max(20, scale.stream_events // 20))


async def _events(variants: Sequence[Variant], scale: Scale, streams: int, count: int) -> list[Row]:
    async def run(variant: Variant) -> load.Figures:
        path = variant.path(f"/events?n={count}")
        started = time.perf_counter()
        seen = await asyncio.gather(*(load.count_events(variant.server.port, path) for _ in range(streams)))
        figures = load.Figures(seconds=time.perf_counter() - started)
        for came, first in seen:
            assert came == count, f"{came} of {count} events came"
            figures.count += came
            figures.latencies.append(first)
        return figures

    return compare(await interleaved(variants, scale.rounds, run))


async def crowd(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """Two hundred streams at once: every event of each must come."""
    rows: list[Row] = []
    for variant in variants:
        pid = variant.server.pid
        memory.forget_peak(pid)
        before = memory.resident(pid)
        path = variant.path(f"/events?n={scale.crowd_events}")
        started = time.perf_counter()
        seen = await asyncio.gather(*(load.count_events(variant.server.port, path) for _ in range(scale.streams)))
        seconds = time.perf_counter() - started
        rows.append(
            {
                "variant": variant.label,
                "streams complete": sum(count == scale.crowd_events for count, _ in seen),
                "events per second": f"{scale.streams * scale.crowd_events / seconds:,.0f}",
                "peak growth MiB": growth(before, memory.peak(pid)),
            }
        )
    return rows


async def large_bodies(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """A large response and a large upload, both streamed: the server's memory must not follow their size."""
    rows: list[Row] = []
    for variant in variants:
        pid, port = variant.server.pid, variant.server.port
        # The first stream of a process takes buffers that it keeps.
        await load.read_stream(port, variant.path(f"/download?bytes={4 * MIB}"))
        await load.upload(port, variant.path("/upload"), 4 * MIB)
        for direction in ("response", "upload"):
            memory.forget_peak(pid)
            before = memory.resident(pid)
            started = time.perf_counter()
            if direction == "response":
                size, _ = await load.read_stream(port, variant.path(f"/download?bytes={scale.body_bytes}"))
                assert size >= scale.body_bytes
            else:
                answer = await load.upload(port, variant.path("/upload"), scale.body_bytes)
                assert str(scale.body_bytes) in answer, answer
            seconds = time.perf_counter() - started
            rows.append(
                {
                    "variant": variant.label,
                    "what": f"{scale.body_bytes // MIB} MiB {direction}",
                    "MiB per second": f"{scale.body_bytes / MIB / seconds:,.0f}",
                    "before MiB": f"{before / MIB:.1f}",
                    "peak growth MiB": growth(before, memory.peak(pid)),
                }
            )
    return rows


async def slow_reader(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """Readers beside one that stopped reading: they must not notice, and what it leaves unread must stay bounded."""
    rows: list[Row] = []
    for variant in variants:
        pid, port = variant.server.pid, variant.server.port
        run = partial(_events_per_second, variant, scale)
        alone = [await run() for _ in range(max(2, scale.rounds))]
        memory.forget_peak(pid)
        before = memory.resident(pid)
        stalled = [await _stalled(port, variant.path(f"/download?bytes={scale.body_bytes}")) for _ in range(8)]
        beside = [await run() for _ in range(max(2, scale.rounds))]
        rows.append(
            {
                "variant": variant.label,
                "events/s alone": f"{statistics.median(alone):,.0f}",
                "events/s beside 8 stalled readers": f"{statistics.median(beside):,.0f}",
                "ratio": f"{statistics.median(beside) / statistics.median(alone):.2f}",
                "peak growth MiB": growth(before, memory.peak(pid)),
            }
        )
        for writer in stalled:
            writer.transport.abort()
    return rows


async def _events_per_second(variant: Variant, scale: Scale) -> float:
    path = variant.path(f"/events?n={scale.stream_events}")
    started = time.perf_counter()
    await asyncio.gather(*(load.count_events(variant.server.port, path) for _ in range(4)))
    return 4 * scale.stream_events / (time.perf_counter() - started)


async def _stalled(port: int, path: str) -> asyncio.StreamWriter:
    """Ask for ``path`` and read no more than the start of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
    await reader.readexactly(64)
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    return writer


async def silence(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """A token, a long silence, a token: the stream must not be cut in between."""

    async def one(variant: Variant) -> Row:
        times: list[float] = []
        arrived = b""
        started = time.perf_counter()

        def on_data(data: bytes) -> None:
            nonlocal arrived
            arrived += data
            if b"data:" in data:
                times.append(time.perf_counter() - started)

        await load.read_stream(
            variant.server.port, variant.path(f"/silence?seconds={scale.silence_seconds}"), on_data=on_data
        )
        return {
            "variant": variant.label,
            "tokens": arrived.count(b"data:"),
            "first after s": f"{times[0]:.2f}",
            "second after s": f"{times[-1]:.2f}",
            "comments in between": arrived.count(b"\n: ") + arrived.count(b"\n:\n"),
        }

    return list(await asyncio.gather(*(one(variant) for variant in variants)))
