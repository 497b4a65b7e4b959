"""Measuring variants side by side."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from benchmarks import load, memory
from benchmarks.report import Row
from benchmarks.variants import Variant

__all__ = ["compare", "growth", "interleaved"]

MIB = 1 << 20


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
                "server us each": f"{statistics.median(f.processor / f.count for f in made) * 1e6:,.1f}",
                "p50 ms": f"{statistics.median(f.quantile(0.5) for f in made):.2f}",
                "p99 ms": f"{statistics.median(f.quantile(0.99) for f in made):.2f}",
            }
        )
    return rows


async def interleaved(
    variants: Sequence[Variant], rounds: int, run: Callable[[Variant], Awaitable[load.Figures]]
) -> dict[str, list[load.Figures]]:
    """Run each variant once a round, after one round that is not counted."""
    figures: dict[str, list[load.Figures]] = {variant.label: [] for variant in variants}
    for round_number in range(rounds + 1):
        for variant in variants:
            before = memory.processor(variant.server.pid)
            seen = await run(variant)
            seen.processor = memory.processor(variant.server.pid) - before
            if round_number:
                figures[variant.label].append(seen)
    return figures


def growth(before: int, after: int) -> str:
    """Return by how many MiB memory has grown."""
    return f"{max(0, after - before) / MIB:.1f}"
