"""WebSockets: echo, one to many, a shared state, and those on which nothing happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from benchmarks import load, memory
from benchmarks.measures.compare import compare, interleaved
from benchmarks.report import Row
from benchmarks.room import Listener, open_room
from benchmarks.scale import Scale
from benchmarks.variants import Variant

__all__ = ["broadcast", "echo", "echo_one", "idle", "state"]

SHOUT = b"shout " + b"x" * 58
WATCHERS = 9


async def echo_one(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """A WebSocket text frame there and back, on one connection."""
    return await _echo(variants, scale, 1)


async def echo(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """A WebSocket text frame there and back, one at a time on each of 100 connections."""
    return await _echo(variants, scale, 100)


async def _echo(variants: Sequence[Variant], scale: Scale, connections: int) -> list[Row]:
    def run(variant: Variant) -> Awaitable[load.Figures]:
        path = variant.path("/ws", "echo")
        return load.exchanges(
            lambda figures: load.EchoExchange(figures, path),
            variant.server.port,
            connections=connections,
            seconds=scale.seconds,
        )

    return compare(await interleaved(variants, scale.rounds, run))


async def broadcast(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """One client's message to all clients of an agent (1,000 in a full run). Counted are the messages that arrive."""
    return await _to_many(variants, scale, "bench", scale.receivers, lambda n: (SHOUT, len(SHOUT) + 2))


async def state(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """A client changes the state, nine others see it. Agents keep each state safe on disk; the bare app keeps none."""

    def change(number: int) -> tuple[bytes, int]:
        text = b'{"type":"cf_agent_state","state":{"n":%d,"text":"a state"}}' % (1_000_000 + number)
        return text, len(text) + 2

    return await _to_many(variants, scale, "shared", WATCHERS + 1, change, includes_speaker=False)


async def _to_many(
    variants: Sequence[Variant],
    scale: Scale,
    of: str,
    count: int,
    message: Callable[[int], tuple[bytes, int]],
    *,
    includes_speaker: bool = True,
) -> list[Row]:
    rooms: dict[str, list[Listener]] = {}
    for variant in variants:
        room = rooms[variant.label] = await open_room(variant.server.port, variant.path("/ws", "room", of=of), count)
        await room[-1].is_quiet()

    async def run(variant: Variant) -> load.Figures:
        room = rooms[variant.label]
        listeners = room if includes_speaker else room[1:]
        figures = load.Figures()
        started = now = time.perf_counter()
        while now - started < scale.seconds:
            text, size = message(figures.count)
            heard = [each.hears(size) for each in listeners]
            room[0].say(text)
            await asyncio.gather(*heard)
            figures.count += len(listeners)
            figures.latencies.append(time.perf_counter() - now)
            now = time.perf_counter()
        figures.seconds = now - started
        return figures

    try:
        return compare(await interleaved(variants, scale.rounds, run))
    finally:
        for room in rooms.values():
            for each in room:
                each.transport.abort()


async def idle(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """WebSockets on which nothing happens (10,000 in a full run, 100 to an agent), and a request meanwhile.

    Agents leave memory while their clients stay connected, so this waits until they have.
    """
    rows: list[Row] = []
    for variant in variants:
        pid, port = variant.server.pid, variant.server.port
        before = memory.resident(pid)
        started = time.perf_counter()
        room: list[Listener] = []
        for number in range(scale.idle_sockets // 100):
            room += await open_room(port, variant.path("/ws", f"idle-{number}"), 100)
        seconds = time.perf_counter() - started
        awake = memory.resident(pid)
        await asyncio.sleep(15 if variant.is_agent else 0)
        asleep = memory.resident(pid)
        one = iter([load.get(variant.path("/hello"))])
        answered = await load.exchanges(lambda figures, one=one: load.HttpExchange(figures, one), port, connections=1)
        rows.append(
            {
                "variant": variant.label,
                "open": len(room),
                "opened per second": f"{len(room) / seconds:,.0f}",
                "KB each, just opened": f"{(awake - before) / len(room) / 1000:.1f}",
                "KB each, agents asleep": f"{(asleep - before) / len(room) / 1000:.1f}" if variant.is_agent else "-",
                "a request meanwhile ms": f"{answered.quantile(0.5):.1f}",
            }
        )
        for each in room:
            each.transport.abort()
    return rows
