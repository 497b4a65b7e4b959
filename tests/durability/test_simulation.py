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
from collections.abc import Iterator
from typing import Any

import pytest

from tests.durability.mutations import MUTATIONS
from tests.servers import ROOT

SEEDS = int(os.environ.get("EDGEAGENTS_SEEDS", "500"))
FIRST = int(os.environ.get("EDGEAGENTS_SEED", "0"))
AT_ONCE = 2
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


def parts(count: int) -> Iterator[str]:
    """Yield the ranges of seeds that run side by side."""
    bounds = [FIRST + count * number // AT_ONCE for number in range(AT_ONCE + 1)]
    for begin, end in itertools.pairwise(bounds):
        if begin < end:
            yield f"{begin}:{end}"


async def simulate_all(count: int, *options: str) -> list[dict[str, Any]]:
    """Run so many seeds, side by side."""
    side_by_side = await asyncio.gather(*(simulate("--seeds", part, *options) for part in parts(count)))
    return list(itertools.chain(*side_by_side))


async def test_no_seed_breaks_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    outcomes = await simulate_all(SEEDS)
    failed = {outcome["seed"]: outcome["faults"] for outcome in outcomes if outcome["faults"]}

    def total(what: str) -> int:
        return sum(outcome[what] for outcome in outcomes)

    with capsys.disabled():
        print(
            f"\nsimulated {len(outcomes)} seeds in {time.monotonic() - began:.0f} s: {total('crashes')} crashes, "
            f"{total('disk_faults')} faults of the disk, {total('acknowledged')} acknowledged, "
            f"{total('events')} events seen by clients; seeds that failed: {len(failed)}"
        )
    assert len(outcomes) == SEEDS
    assert failed == {}, f"To run one again: EDGEAGENTS_SEED={min(failed)} EDGEAGENTS_SEEDS=1"


@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
async def test_a_planted_bug_is_found(mutation: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = await simulate("--seeds", "0:500", "--mutation", mutation, "--until-found")
    with capsys.disabled():
        print(f"\n{mutation}: found with seed {outcomes[-1]['seed']}: {outcomes[-1]['faults'][:1]}")
    assert outcomes[-1]["faults"]


async def test_a_seed_replays_exactly() -> None:
    once, again = await asyncio.gather(
        simulate("--seeds", "3:8", hash_seed=1),
        # Alone, in another process where sets have another order.
        simulate("--seeds", "7:8", hash_seed=2),
    )
    assert again == once[-1:]
    assert len({outcome["trace"] for outcome in once}) == 5
