"""Whole runtimes on a virtual clock, each with its own interleaving, crashes and faults of the disk: a seed decides.

``EDGEAGENTS_SEEDS`` says how many seeds there are and ``EDGEAGENTS_SEED`` which is the first. One that fails is run
again exactly with ``EDGEAGENTS_SEED=n EDGEAGENTS_SEEDS=1``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from tests.durability.mutations import MUTATIONS
from tests.figures import Figures
from tests.servers import ROOT

SEEDS = int(os.environ.get("EDGEAGENTS_SEEDS", "500"))
FIRST = int(os.environ.get("EDGEAGENTS_SEED", "0"))
AT_ONCE = os.cpu_count() or 1
SEEDS_A_PROCESS = 25
"""What is left of crashed runtimes slows a process down, so that after some seeds a new one is quicker."""

PATIENCE = 600.0


async def simulate(*options: str, hash_seed: int = 0) -> list[dict[str, Any]]:
    """Run the simulation in a process of its own; return what came of each seed."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "emulator")))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.durability.simulation",
        *options,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": str(hash_seed)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3000:]
    return [json.loads(line) for line in output.splitlines()]


async def side_by_side(runs: Iterable[Coroutine[Any, Any, list[dict[str, Any]]]]) -> list[list[dict[str, Any]]]:
    """Return what came of each, as many at once as there are processors."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(run: Coroutine[Any, Any, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        async with room:
            return await run

    return await asyncio.gather(*map(one, runs))


def parts(count: int) -> Iterator[str]:
    """Yield the ranges of seeds that have a process each."""
    end = FIRST + count
    for begin in range(FIRST, end, SEEDS_A_PROCESS):
        yield f"{begin}:{min(begin + SEEDS_A_PROCESS, end)}"


async def simulate_all(count: int, *options: str) -> list[dict[str, Any]]:
    """Run so many seeds, side by side."""
    return list(itertools.chain(*await side_by_side(simulate("--seeds", part, *options) for part in parts(count))))


async def search(mutations: Iterable[str], *options: str) -> dict[str, dict[str, Any]]:
    """Return what came of the last seed with each of these bugs planted, which is the one that found it if any did."""
    names = sorted(mutations)
    runs = await side_by_side(simulate("--mutation", name, "--until-found", *options) for name in names)
    return {name: outcomes[-1] for name, outcomes in zip(names, runs, strict=True)}


async def test_no_seed_breaks_a_promise(figures: Figures) -> None:
    began = time.monotonic()
    outcomes = await simulate_all(SEEDS)
    failed = {outcome["seed"]: outcome["faults"] for outcome in outcomes if outcome["faults"]}

    def total(what: str) -> int:
        return sum(outcome[what] for outcome in outcomes)

    figures(
        f"simulated {len(outcomes)} seeds in {time.monotonic() - began:.0f} s: {total('crashes')} crashes, "
        f"{total('disk_faults')} faults of the disk, {total('acknowledged')} acknowledged, "
        f"{total('events')} events seen by clients; seeds that failed: {len(failed)}"
    )
    assert len(outcomes) == SEEDS
    assert failed == {}, f"To run one again: EDGEAGENTS_SEED={min(failed)} EDGEAGENTS_SEEDS=1"


async def test_every_planted_bug_is_found(figures: Figures) -> None:
    last = await search(MUTATIONS, "--seeds", "0:500")
    for mutation, outcome in last.items():
        figures(f"{mutation}: found with seed {outcome['seed']}: {outcome['faults'][:1]}")
    assert [mutation for mutation, outcome in last.items() if not outcome["faults"]] == []


async def test_a_seed_replays_exactly() -> None:
    once, again = await asyncio.gather(
        simulate("--seeds", "3:8", hash_seed=1),
        # Alone, in another process where sets have another order.
        simulate("--seeds", "7:8", hash_seed=2),
    )
    assert again == once[-1:]
    assert len({outcome["trace"] for outcome in once}) == 5
