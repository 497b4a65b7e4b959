"""Requests: one after the other on connections that are kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence

from benchmarks import load
from benchmarks.measures.compare import compare, interleaved
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.variants import Variant

__all__ = ["fresh", "fresh_empty", "hello", "insert", "json_order", "spread"]

ORDER = {"id": 7, "customer": "Ada", "items": [{"sku": f"item-{n}", "price": 100 + n, "tags": ["a"]} for n in range(8)]}

_numbers = itertools.count()


async def hello(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """GET a short text from one agent."""
    return await _for_a_while(variants, scale, lambda each: itertools.repeat(load.get(each.path("/hello"))))


async def spread(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """GET a short text from many agents in turn, all awake."""

    def requests(variant: Variant) -> Iterator[bytes]:
        return itertools.cycle([load.get(variant.path("/hello", f"spread-{n}")) for n in range(scale.agents)])

    return await _for_a_while(variants, scale, requests)


async def json_order(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """POST an order of 400 bytes in JSON; the answer is the order with its total."""
    body = json.dumps(ORDER, separators=(",", ":")).encode()
    return await _for_a_while(variants, scale, lambda each: itertools.repeat(load.post_json(each.path("/json"), body)))


async def insert(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """Insert a row; the answer leaves when it is safe on disk. The bare app uses sqlite3 with synchronous = FULL."""
    return await _for_a_while(variants, scale, lambda each: itertools.repeat(load.get(each.path("/insert"))))


async def fresh(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """Insert the first row into a new agent's database. The bare app makes a SQLite file for each."""
    return await _new_agents(variants, scale, "/insert")


async def fresh_empty(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """GET a short text from a new agent, which stores nothing."""
    return await _new_agents(variants, scale, "/hello")


async def _new_agents(variants: Sequence[Variant], scale: Scale, rest: str) -> list[Row]:
    rounds = min(scale.rounds, 3)
    # In all rounds together: workerd keeps the files of some thousands open until it can open no more.
    count = scale.fresh // (rounds + 1)

    async def run(variant: Variant) -> load.Figures:
        requests = iter([load.get(variant.path(rest, f"fresh-{next(_numbers)}")) for _ in range(count)])
        return await load.exchanges(
            lambda figures: load.HttpExchange(figures, requests),
            variant.server.port,
            connections=min(scale.connections, 8),
        )

    return compare(await interleaved(variants, rounds, run))


async def _for_a_while(
    variants: Sequence[Variant], scale: Scale, requests: Callable[[Variant], Iterator[bytes]]
) -> list[Row]:
    def run(variant: Variant) -> Awaitable[load.Figures]:
        each = requests(variant)
        return load.exchanges(
            lambda figures: load.HttpExchange(figures, each),
            variant.server.port,
            connections=scale.connections,
            seconds=scale.seconds,
        )

    return compare(await interleaved(variants, scale.rounds, run))
