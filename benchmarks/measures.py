"""What is measured: each function runs one measure against running servers and returns rows for the report."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import load, memory
from tests.servers import Server

MIB = 1 << 20
STREAMS = 200


@dataclass(frozen=True)
class Scale:
    """How long and how large: ``QUICK`` shows that the harness works, ``FULL`` gives figures to quote."""

    rounds: int
    seconds: float
    connections: int
    stream_events: int
    body_bytes: int
    crowd_events: int
    silence_seconds: float


QUICK = Scale(
    rounds=2, seconds=0.5, connections=16, stream_events=500, body_bytes=32 * MIB, crowd_events=20, silence_seconds=1
)
FULL = Scale(
    rounds=5,
    seconds=3,
    connections=32,
    stream_events=5000,
    body_bytes=1024 * MIB,
    crowd_events=200,
    silence_seconds=180,
)


@dataclass(frozen=True)
class Variant:
    """One way to get the same answer: where it is served, and what its paths start with."""

    label: str
    server: Server
    prefix: str

    def path(self, rest: str) -> str:
        return f"{self.prefix}{rest}"


Row = Mapping[str, Any]


def compare(runs: Mapping[str, Iterable[load.Figures]]) -> list[Row]:
    """Return a row for each variant: medians over its runs, and the ratio of its rate to the first variant's."""
    rows: list[Row] = []
    base = 0.0
    for label, figures in runs.items():
        made = list(figures)
        rate = statistics.median(f.rate for f in made)
        base = base or rate
        rows.append(
            {
                "variant": label,
                "per second": f"{rate:,.0f}",
                "ratio": f"{rate / base:.2f}",
                "p50 ms": f"{statistics.median(f.quantile(0.5) for f in made):.2f}",
                "p99 ms": f"{statistics.median(f.quantile(0.99) for f in made):.2f}",
            }
        )
    return rows


async def interleaved(
    variants: Iterable[Variant], rounds: int, run: Callable[[Variant], Awaitable[load.Figures]]
) -> dict[str, list[load.Figures]]:
    """Run each variant once a round, after one round that is not counted."""
    variants = list(variants)
    figures: dict[str, list[load.Figures]] = {variant.label: [] for variant in variants}
    for round_number in range(rounds + 1):
        for variant in variants:
            seen = await run(variant)
            if round_number:
                figures[variant.label].append(seen)
    return figures


async def hello(variants: Iterable[Variant], scale: Scale) -> list[Row]:
    """GET a short text, on connections that are kept."""

    def run(variant: Variant) -> Awaitable[load.Figures]:
        return load.exchanges(
            load.HttpExchange,
            variant.server.port,
            variant.path("/hello"),
            connections=scale.connections,
            seconds=scale.seconds,
        )

    return compare(await interleaved(variants, scale.rounds, run))


async def echo(variants: Iterable[Variant], scale: Scale) -> list[Row]:
    """A WebSocket text frame there and back, one at a time on each connection."""

    def run(variant: Variant) -> Awaitable[load.Figures]:
        return load.exchanges(
            load.EchoExchange,
            variant.server.port,
            variant.path("/ws"),
            connections=scale.connections,
            seconds=scale.seconds,
        )

    return compare(await interleaved(variants, scale.rounds, run))


async def events(variants: Iterable[Variant], scale: Scale) -> list[Row]:
    """Server-Sent Events on several streams at once, as fast as they come. Latency is that of the first event."""

    async def run(variant: Variant) -> load.Figures:
        path = variant.path(f"/events?n={scale.stream_events}")
        started = time.perf_counter()
        seen = await asyncio.gather(
            *(load.count_events(variant.server.port, path) for _ in range(scale.connections // 4))
        )
        figures = load.Figures(seconds=time.perf_counter() - started)
        for count, first in seen:
            assert count == scale.stream_events, f"{count} of {scale.stream_events} events came"
            figures.count += count
            figures.latencies.append(first)
        return figures

    return compare(await interleaved(variants, scale.rounds, run))


async def crowd(variants: Iterable[Variant], scale: Scale) -> list[Row]:
    """Two hundred streams at once: every event of each must come."""
    rows: list[Row] = []
    for variant in variants:
        pid = variant.server.pid
        memory.forget_peak(pid)
        before = memory.resident(pid)
        path = variant.path(f"/events?n={scale.crowd_events}")
        started = time.perf_counter()
        seen = await asyncio.gather(*(load.count_events(variant.server.port, path) for _ in range(STREAMS)))
        seconds = time.perf_counter() - started
        rows.append(
            {
                "variant": variant.label,
                "streams complete": sum(count == scale.crowd_events for count, _ in seen),
                "events per second": f"{STREAMS * scale.crowd_events / seconds:,.0f}",
                "peak growth MiB": growth(before, memory.peak(pid)),
            }
        )
    return rows


def growth(before: int, after: int) -> str:
    return f"{max(0, after - before) / MIB:.1f}"


async def large_bodies(variants: Iterable[Variant], scale: Scale) -> list[Row]:
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


async def slow_reader(variants: Iterable[Variant], scale: Scale) -> list[Row]:
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


async def silence(variants: Iterable[Variant], scale: Scale) -> list[Row]:
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
