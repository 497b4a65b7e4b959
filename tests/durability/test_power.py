"""The power goes at random points of a load: all that was acknowledged under ``full`` is there, and nothing is mixed.

Each seed of the simulation runs through up to three losses of power or kills. What the disk then has is made from what
was synced and, by chance, from some of what was not (see ``disk``). The runtime starts on it, serves the clients on,
and has in the end what it told them, in all of its storages alike.

``EDGEAGENTS_POWER_CUTS`` says how often the power goes, ``EDGEAGENTS_SEED`` which seed is the first. One that fails is
run again with ``python -m tests.durability.simulation --power --seeds n``.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.durability.mutations import POWER_MUTATIONS
from tests.durability.test_simulation import search, simulate_all
from tests.figures import Figures

CUTS = int(os.environ.get("EDGEAGENTS_POWER_CUTS", "500"))
CUTS_A_SEED = 2


@pytest.mark.cloudflare("Durable Objects", "what was acknowledged survives a loss of power", "same; see `durability`")
async def test_no_loss_of_power_takes_what_was_acknowledged(figures: Figures) -> None:
    began = time.monotonic()
    outcomes = await simulate_all(CUTS // CUTS_A_SEED, "--power")
    failed = {outcome["seed"]: outcome["faults"] for outcome in outcomes if outcome["faults"]}

    def total(what: str) -> int:
        return sum(outcome[what] for outcome in outcomes)

    cuts = total("power_cuts")
    figures(
        f"the power went {cuts} times, a process alone {total('crashes') - cuts} times, in {len(outcomes)} seeds "
        f"({time.monotonic() - began:.0f} s): {total('harmed')} files and names were harmed, "
        f"{total('acknowledged')} effects acknowledged; seeds that lost or mixed anything: {len(failed)}"
    )
    assert failed == {}
    assert cuts >= CUTS * 0.9


async def test_every_sync_that_is_left_out_is_found(figures: Figures) -> None:
    last = await search(POWER_MUTATIONS, "--power", "--seeds", "0:250")
    for mutation, outcome in last.items():
        figures(f"{mutation}: found with seed {outcome['seed']}: {outcome['faults'][:1]}")
    assert [mutation for mutation, outcome in last.items() if not outcome["faults"]] == []
