"""Many at once, in one process: idle sockets, streams, slow readers, objects that come and go, a full state folder.

``EDGEAGENTS_SOCKETS``, ``EDGEAGENTS_STREAMS``, ``EDGEAGENTS_READERS``, ``EDGEAGENTS_ACTIVATIONS`` and
``EDGEAGENTS_STORED`` say how many. What is asked for is never a time; times and memory are printed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents.objects import DurableObject
from edgeagents.objects.ids import id_from_name
from edgeagents.objects.sqlite import Database
from edgeagents.testing import ManualClock, agent_runtime
from tests.durability.crowd import Peer, Reader
from tests.durability.load import exchange
from tests.figures import Figures
from tests.servers import ROOT, Server

SOCKETS = int(os.environ.get("EDGEAGENTS_SOCKETS", "10000"))
STREAMS = int(os.environ.get("EDGEAGENTS_STREAMS", "1000"))
READERS = int(os.environ.get("EDGEAGENTS_READERS", "1000"))
ACTIVATIONS = max(20_000, int(os.environ.get("EDGEAGENTS_ACTIVATIONS", "20000")))
STORED = int(os.environ.get("EDGEAGENTS_STORED", "100000"))
AGENTS = 50
AT_ONCE = 50
PATIENCE = 120.0


@pytest.fixture
def many_files() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(SOCKETS, STREAMS, READERS) + 500
    if most != resource.RLIM_INFINITY and most < needed:
        pytest.skip(f"a process may have {most} files open, and this needs {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if most == resource.RLIM_INFINITY else most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


class CrowdServer(Server):
    def _arguments(self) -> list[str]:
        return [sys.executable, "-m", "tests.durability.crowd_app", str(self.port)]


@pytest.fixture
async def server(tmp_path: Path, many_files: None) -> AsyncIterator[Server]:
    server = CrowdServer("tests.durability.crowd_app:app", env={"AGENTS_STORAGE": str(tmp_path / "state")})
    await asyncio.to_thread(server.start)
    yield server
    print(server.log[-3000:])
    await asyncio.to_thread(server.close)


async def side_by_side(count: int, make: Any) -> list[Any]:
    """Return what ``make(number)`` gives for each number, some at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Any:
        async with room:
            return await make(number)

    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*map(one, range(count)))


async def memory_of(server: Server) -> int:
    _, answer = await exchange(server.port, "GET", "/agents/crowd/meter", None)
    return json.loads(answer)["bytes"]


@pytest.mark.server
async def test_idle_sockets_stay_while_their_agents_rest(server: Server, figures: Figures) -> None:
    before, began = await memory_of(server), time.monotonic()
    peers = await side_by_side(SOCKETS, lambda n: Peer.open(server.port, f"/agents/crowd/a{n % AGENTS}?_pk=p{n}"))
    opened = time.monotonic() - began
    each = (await memory_of(server) - before) / SOCKETS / 1024
    # Whether its agent rests by now or not: each socket is answered.
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*(peer.call("ping") for peer in peers[:: max(1, SOCKETS // 500)]))
        await peers[0].call("shout", 1, 10)
        shouts = [await heard(peer) for peer in peers[AGENTS::AGENTS]]
    figures(f"idle sockets {SOCKETS} on {AGENTS} agents: opened in {opened:.1f} s, {each:.1f} KiB each")
    assert set(answers) == {"pong"}
    assert set(shouts) == {"0:xxxxxxxx"}
    for peer in peers:
        peer.drop()


async def heard(peer: Peer) -> str | None:
    """Return the first shout."""
    while (text := await peer.receive()) is not None:
        if not text.startswith("{"):
            return text
    return None


@pytest.mark.server
async def test_every_reader_of_many_streams_gets_all(server: Server, figures: Figures) -> None:
    readers = await side_by_side(STREAMS, lambda n: Reader.open(server.port, f"/agents/crowd/a{n % AGENTS}/?follow"))
    writers = [await Peer.open(server.port, f"/agents/crowd/a{n}?_pk=w") for n in range(AGENTS)]
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(writer.call("append", 20) for writer in writers))
        await asyncio.gather(*(reader.read(20) for reader in readers))
    seconds = time.monotonic() - began
    figures(f"SSE streams {STREAMS} at once: {20 * STREAMS} events in {seconds:.1f} s")
    assert all(reader.numbers == list(range(20)) for reader in readers)
    for end in (*readers, *writers):
        end.drop()


@pytest.mark.server
async def test_a_stalled_reader_is_dropped_and_holds_up_nobody(server: Server, figures: Figures) -> None:
    slow_ones, rounds, size = READERS // 10, 40, 32_000
    path = "/agents/crowd/loud"
    stalled = await Peer.open(server.port, f"{path}?_pk=stalled", receive_buffer=4096)
    slow = [await Peer.open(server.port, f"{path}?_pk=s{n}", receive_buffer=16384) for n in range(slow_ones)]
    fast = await side_by_side(READERS - slow_ones - 1, lambda n: Peer.open(server.port, f"{path}?_pk=f{n}"))
    asking = await Peer.open(server.port, f"{path}?_pk=asking")

    async def follow(peer: Peer, pause: float) -> int:
        """Return how many shouts came, each one after the other, before the end or the last one."""
        count = 0
        while (text := await heard(peer)) is not None:
            assert text.startswith(f"{count}:") or text == "last"
            if text.startswith(f"{rounds - 1}:"):
                return count + 1
            count += 1
            await asyncio.sleep(pause)
        return count

    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        following = [asyncio.create_task(follow(peer, 0)) for peer in fast]
        dawdling = [asyncio.create_task(follow(peer, 0.02)) for peer in slow]
        for number in range(rounds):
            await asking.call("shout_one", number, size)
        counts = await asyncio.gather(*following)
        seconds = time.monotonic() - began
        slow_counts = await asyncio.gather(*dawdling)
        stalled_count = 0
        while await heard(stalled) is not None:
            stalled_count += 1
    cut = [peer.close_code for peer in slow if peer.close_code is not None]
    figures(
        f"readers {READERS}, of which {slow_ones} slow and 1 stalled: {rounds} messages of {size} bytes reached "
        f"all fast ones in {seconds:.1f} s; {sum(count == rounds for count in slow_counts)} slow ones had all, "
        f"{len(cut)} were cut off with {sorted(set(cut))}; "
        f"the stalled one was with {stalled.close_code} after {stalled_count}"
    )
    assert set(counts) == {rounds}
    assert all(count == rounds or peer.close_code == 1013 for count, peer in zip(slow_counts, slow, strict=True))
    assert stalled_count < rounds
    assert stalled.close_code in (1013, None)
    assert await asking.call("ping") == "pong"
    for peer in (stalled, *slow, *fast, asking):
        peer.drop()


class Visitor(DurableObject):
    async def hello(self) -> str:
        return "hello"

    async def note(self, n: int) -> None:
        await self.ctx.storage.put("n", n)


async def test_objects_that_come_and_go_leave_nothing(tmp_path: Path, figures: Figures) -> None:
    clock = ManualClock()
    async with agent_runtime(Visitor, clock=clock, storage=tmp_path, durability="normal") as runtime:
        visitors: Any = runtime.namespaces["Visitor"]

        async def visit(numbers: range) -> None:
            for number in numbers:
                await visitors.get_by_name(f"v{number}").hello()
                if number % 500 == 0:
                    # These have a file, and the same one again and again.
                    await visitors.get_by_name(f"kept{number % 7}").note(number)
            await clock.advance(60)

        began = time.monotonic()
        batch = max(1, ACTIVATIONS // 100)
        for first in range(0, ACTIVATIONS // 2, batch):
            await visit(range(first, first + batch))
        gc.collect()
        objects, blocks = len(gc.get_objects()), sys.getallocatedblocks()
        for first in range(ACTIVATIONS // 2, ACTIVATIONS, batch):
            await visit(range(first, first + batch))
        gc.collect()
        grown, kept = len(gc.get_objects()) - objects, sys.getallocatedblocks() - blocks
        seconds = time.monotonic() - began
    figures(
        f"activations and evictions {ACTIVATIONS} in {seconds:.0f} s: {grown} objects more than after half of "
        f"them, and {kept} blocks of memory"
    )
    # Some thousand names that were asked for last are remembered; half of the visits have filled that.
    assert grown < 1000
    assert kept < ACTIVATIONS / 20


OPEN = """
import asyncio, json, sys, time
listed = []
sys.addaudithook(lambda event, args: listed.append(str(args[0])) if event in ("os.listdir", "os.scandir") else None)
from edgeagents.runtime import Runtime
from tests.durability.test_crowds import Visitor

async def main():
    began = time.monotonic()
    async with Runtime(agents=[Visitor], storage=sys.argv[1], discover_plugins=False) as runtime:
        opened = time.monotonic() - began
        await runtime.namespaces["Visitor"].get_by_name("kept0").note(1)
        answered = time.monotonic() - began
        inside = [path for path in listed if path.startswith(f"{sys.argv[1]}/objects")]
        inside = [path for path in inside if not path.endswith(".history")]
    print(json.dumps({"opened": opened, "answered": answered, "listed": inside}))

asyncio.run(main())
"""


def test_a_full_state_folder_is_opened_without_looking_through_it(tmp_path: Path, figures: Figures) -> None:
    folder = tmp_path / "objects" / "Visitor"
    folder.mkdir(parents=True)
    for number in range(STORED):
        if number % 10_000 == 0:  # A file has so many names and no more.
            one = folder / f"{id_from_name('Visitor', f'kept{number}')}.sqlite"
            database = Database.open(one)
            database.fetch("insert into _cf_METADATA values ('x', 1)")
            database.commit()
            database.close()
        else:
            os.link(one, folder / f"{id_from_name('Visitor', f'kept{number}')}.sqlite")
    run = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path)], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    figures(
        f"a state folder with {STORED} agents: open after {seen['opened'] * 1000:.0f} ms, the first answer "
        f"with a write after {seen['answered'] * 1000:.0f} ms"
    )
    assert seen["listed"] == []
