"""SIGKILL at random points of a mixed load: nothing that was acknowledged is lost, nothing with an id happens twice.

State, SQL, keys and values, transactions, streams, the queue, schedules and the alarm are loaded by HTTP and by
WebSocket, with readers on each stream. Clients that are not answered ask again with the same id.

``EDGEAGENTS_KILLS`` says how often a server is killed, ``EDGEAGENTS_SEED`` when, ``EDGEAGENTS_PROCESSES`` how many
servers share the folder (``1,4``: one, and then four of which one is killed at a time, or all).
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.lives import Servers
from tests.durability.load import Load, faults_of
from tests.figures import Figures

pytestmark = pytest.mark.server

KILLS = int(os.environ.get("EDGEAGENTS_KILLS", "120"))
SEED = int(os.environ.get("EDGEAGENTS_SEED", "1"))
PROCESSES = [int(count) for count in os.environ.get("EDGEAGENTS_PROCESSES", "1,4").split(",")]
AGENTS = 4


def faulty_databases(folder: Path, scratch: Path) -> tuple[int, list[str]]:
    """Return how many databases are in the folder, and what SQLite finds wrong with each of them. No process has them
    open; a copy is asked, so that the next server finds what the killed one left."""
    shutil.rmtree(scratch, ignore_errors=True)
    if folder.exists():
        shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns("*.sock"))
    found, faults = 0, []
    for path in sorted(scratch.rglob("*.sqlite")):
        found += 1
        connection = sqlite3.connect(path)
        try:
            answer = connection.execute("pragma integrity_check").fetchall()
        except sqlite3.DatabaseError as error:
            answer = [(str(error),)]
        finally:
            connection.close()
        if answer != [("ok",)]:
            faults.append(f"{path.name}: {answer[:3]}")
    return found, faults


async def kill_again_and_again(servers: Servers, load: Load, rng: random.Random, kills: int, check: object) -> None:
    """Kill a random server, now and then all at once, and start what is dead, while the load goes on."""
    killed = 0
    for number in range(servers.count):
        servers.start(number)
    while killed < kills:
        # After some answers, so that each life has done something; now and then in the midst of a start.
        answers = load.answers + rng.randrange(25)
        in_start = rng.random() < 0.1
        while load.answers < answers and not in_start:
            await asyncio.sleep(0.005)
            load.check()
        await asyncio.sleep(rng.uniform(0, 0.05))
        load.check()
        all_at_once = servers.count == 1 or rng.random() < 0.2
        for number in range(servers.count) if all_at_once else [rng.randrange(servers.count)]:
            servers.kill(number)
            killed += 1
        if all_at_once and rng.random() < 0.3:
            await asyncio.to_thread(check)
        for number in range(servers.count):
            if number not in servers.running:
                servers.start(number)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: what a process has written outlives it there as well."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


async def kill_and_compare(processes: int, folder: Path) -> tuple[str, dict[str, list[str]]]:
    """Return the figures, and what is wrong by kind."""
    began = time.monotonic()
    rng = random.Random(SEED)
    log = folder / "servers.log"
    servers = Servers(folder / "state", log, processes)
    load = Load(servers.ports, AGENTS, random.Random(SEED + 1))
    checked = 0
    corrupt: list[str] = []

    def check() -> None:
        nonlocal checked
        found, faults = faulty_databases(folder / "state", folder / "copy")
        checked += found
        corrupt.extend(faults)

    try:
        load.begin()
        await kill_again_and_again(servers, load, rng, KILLS, check)
        reports = await load.finish()
    except BaseException:
        print(log.read_text()[-5000:])
        raise
    finally:
        servers.close()
    check()
    # A server whose request was with an owner that is killed says so; one that is alone has nobody to say it.
    allowed = {200, 500, 503} if processes > 1 else {200}
    faults = {
        **faults_of(load, reports),
        "corrupt": corrupt,
        "statuses": [f"{status}: {count} times" for status, count in load.statuses.items() if status not in allowed],
    }
    effects = sum(len(report["effects"]) for report in reports.values())
    figures = (
        f"kills {KILLS} ({processes} processes, {time.monotonic() - began:.0f} s), "
        f"acknowledged {sum(map(len, load.acknowledged.values()))} of "
        f"{', '.join(f'{kind} {count}' for kind, count in sorted(load.asked.items()))}; "
        f"effects {effects}, asked again {load.again}; "
        f"lost {len(faults['lost'])}, doubled {len(faults['doubled'])}, torn {len(faults['torn'])}, "
        f"databases checked {checked}, corrupt {len(corrupt)}"
    )
    return figures, faults


@pytest.mark.cloudflare("Durable Objects", "what was acknowledged survives a SIGKILL, and is there once", "same")
async def test_no_kill_loses_what_was_acknowledged_or_does_it_twice(folder: Path, figures: Figures) -> None:
    folders = [folder / str(processes) for processes in PROCESSES]
    for each in folders:
        each.mkdir()
    # At once: a job whose process was killed is run again half a minute later, and each has to wait for that.
    outcomes = await asyncio.gather(*map(kill_and_compare, PROCESSES, folders))
    for line, _ in outcomes:
        figures(line)
    nothing: dict[str, list[str]] = {"lost": [], "doubled": [], "torn": [], "corrupt": [], "statuses": []}
    assert {count: faults for count, (_, faults) in zip(PROCESSES, outcomes, strict=True)} == dict.fromkeys(
        PROCESSES, nothing
    )
