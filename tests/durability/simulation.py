"""A whole runtime on a virtual clock, with crashes and faults of the disk where a seed says.

``run(seed)`` lets clients load some ledgers, ends the process a few times in mid-step, lets commits, syncs and files
fail, sets the wall clock ahead and back, evicts and wakes. When all is quiet it compares what there is with what the
clients were told. ``python -m tests.durability.simulation --seeds 0:500`` runs many and writes a line of JSON for
each; ``--mutation NAME`` plants a bug first (see ``mutations``); with ``--power`` it is not only the process that ends:
the power goes (see ``disk``).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import logging
import random
import shutil
import sys
import tempfile
import threading
from contextvars import Context
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from edgeagents.errors import ObjectError, ObjectReset, StorageError, WebSocketClosed
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Request
from edgeagents.objects import FolderStorage, Limits, alarm_index, backend, eager, storage
from edgeagents.objects.alarm_index import AlarmIndex
from edgeagents.objects.sql import Sql
from edgeagents.objects.sqlite import Database
from edgeagents.placement import SingleProcess
from edgeagents.runtime import Runtime
from edgeagents.testing import TestSocket, connect
from tests.durability.disk import Disk
from tests.durability.ledger import HTTP_KINDS, Ledger, Timer
from tests.durability.load import faults_of
from tests.durability.mutations import MUTATIONS, POWER_MUTATIONS
from tests.durability.virtual import Crash, VirtualClock, VirtualLoop, pause, simulate_locks

__all__ = ["Outcome", "run"]

AGENTS = 2
CLIENTS = 3
OPERATIONS = 12
LIVES = 4
LONG = 3600.0
FAULT = "simulated fault"


class Faults:
    """Whether this operation of the disk fails."""

    def __init__(self, rng: random.Random, chance: float) -> None:
        self._rng, self.chance = rng, chance
        self.count = 0

    def may_fail(self, what: str) -> None:
        if self.chance and self._rng.random() < self.chance:
            self.count += 1
            raise StorageError(f"{FAULT}: {what}")


class SimulatedDatabase(Database):
    """A database whose statements are the places where threads take turns, and whose disk may fail."""

    faults: Faults
    opened: list[Database]

    def fetch(self, *args: Any) -> Any:
        pause()
        return super().fetch(*args)

    def commit(self) -> bool:
        if self.in_transaction:
            self.faults.may_fail("commit")
        return super().commit()

    def sync(self) -> None:
        pause()
        self.faults.may_fail("sync")
        super().sync()

    def connect(self) -> Any:
        self.faults.may_fail("open")
        self.opened.append(self)
        return super().connect()


class SimulatedSql(Sql):
    """The SQL of an object's code, whose statements are such places too."""

    def exec(self, *args: Any) -> Any:
        pause()
        return super().exec(*args)

    def rows(self, *args: Any) -> Any:
        pause()
        return super().rows(*args)


class SimulatedStorage(FolderStorage):
    """The folder, with such databases."""

    def __init__(self, root: Path, faults: Faults) -> None:
        super().__init__(root)
        self._kind: Any = type("OneDatabase", (SimulatedDatabase,), {"faults": faults, "opened": []})

    def open(self, namespace: str, object_id: Any, facets: tuple[str, ...] = ()) -> Database:
        with patch.object(backend, "Database", self._kind):
            return super().open(namespace, object_id, facets)

    def alarm_index(self) -> AlarmIndex:
        with patch.object(alarm_index, "Database", self._kind):
            return super().alarm_index()

    def vanish(self) -> None:
        """Close what the process had open, as its end does: nothing more is written."""
        for database in self._kind.opened:
            database.close()


class Simulation:
    """One seed: the clients' memory over all lives of the server."""

    def __init__(self, seed: int, folder: Path, disk: Disk | None = None) -> None:
        self.disk = disk
        self.power_cuts = self.harmed = 0
        self.rng = random.Random(seed)
        self.seed, self.folder = seed, folder
        self.agents = [f"a{number}" for number in range(AGENTS)]
        self.acknowledged: dict[str, dict[str, int | None]] = {agent: {} for agent in self.agents}
        self.seen: dict[str, dict[int, Any]] = {agent: {} for agent in self.agents}
        self.states: dict[str, dict[int, str]] = {agent: {} for agent in self.agents}
        self.waiting: dict[tuple[str, int], str | None] = {}
        self.done: dict[tuple[str, int], int] = {}
        self.timed = [0, 0]
        self.failed_timers: set[tuple[int, str]] = set()
        self.faults: list[str] = []
        self.crashes = self.disk_faults = 0
        self.life = 0
        self.now = 0.0
        self.trace = hashlib.sha256()
        self.events = 0

    def note(self, *what: object) -> None:
        self.events += 1
        self.trace.update(f"{self.loop.now:.9f} {self.loop.steps} {what}\n".encode())

    def fault(self, life: int, text: str) -> None:
        # What is left of an earlier life falls apart in its own way.
        if life == self.life:
            self.faults.append(text)

    def run(self) -> Any:
        """Run all lives, and return the reports of the last one."""
        root = self.folder / "life0"
        root.mkdir()
        if self.disk is not None:
            self.disk.settle(root)
        for self.life in range(LIVES):
            is_last = self.life == LIVES - 1
            crash_after = None if is_last else self.rng.randrange(20, 500)
            self.loop = VirtualLoop(self.rng, self.now, crash_after)
            self.clock = VirtualClock(self.loop)
            faults = Faults(self.rng, self.rng.choice([0, 0.003, 0.01]))
            storage = SimulatedStorage(root, faults)
            asyncio.set_event_loop(self.loop)
            try:
                # In a context of its own, as another process has: what is left of this one falls apart in its own too.
                live = self._live(storage, faults, is_last=is_last)
                reports = Context().run(self.loop.run_until_complete, live)
            except Crash:
                self.crashes += 1
                self.note("crash")
            else:
                if is_last:
                    self.life = LIVES
                    self.loop.abandon()
                    self.loop.close()
                    return reports
            finally:
                self.disk_faults += faults.count
                asyncio.set_event_loop(None)
            if self.disk is None:
                # What the process has written is there when it is gone, whatever it was about to do.
                root = self.folder / f"life{self.life + 1}"
                shutil.copytree(storage.root, root)
            elif self.rng.random() < 0.7:
                self.power_cuts += 1
                root = self.folder / f"life{self.life + 1}"
                self.harmed += self.disk.image(storage.root, root, self.rng)
                self.disk.settle(root)
            # Else the process alone was killed: what it wrote is there, and what is synced of it is what was.
            self.now = self.loop.now + self.rng.random()
            self.loop.abandon()
            storage.vanish()
        raise AssertionError

    async def _live(self, storage: SimulatedStorage, faults: Faults, *, is_last: bool) -> Any:
        class Plugin:
            @hookimpl
            def storage_backend(self, runtime: Any, location: str | None) -> Any:
                return storage

            @hookimpl
            def placement(self, runtime: Any) -> Any:
                return SingleProcess(None)

        runtime = Runtime(
            agents=[Ledger, Timer],
            plugins=[Plugin()],
            discover_plugins=False,
            clock=self.clock,
            rng=self.rng,
            durability="full" if self.disk is not None else self.rng.choice(["full", "full", "normal"]),
            limits=Limits(idle_seconds=self.rng.choice([0.005, 0.02, 1.0])),
        )
        await runtime.start()
        # In the last life some agents have no clients any more: what is due there wakes them, or nobody does.
        busy = [agent for agent in self.agents if not is_last or self.rng.random() < 0.5]
        clients = [
            asyncio.create_task(self._ask(runtime, agent, number, self.life))
            for agent in busy
            for number in range(CLIENTS)
        ]
        others = [
            asyncio.create_task(make(runtime, agent, self.life))
            for agent in busy
            for make in (self._follow, self._watch)
        ]
        if self.rng.random() < 0.3:
            others.append(asyncio.create_task(self._set_the_clock()))
        clients += [asyncio.create_task(self._time(runtime, number, self.life)) for number in range(2) if busy]
        await asyncio.gather(*clients)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if not is_last:
            # The clients were quicker than the crash. Whatever comes later is cut off all the same.
            await asyncio.sleep(LONG)
            return None
        faults.chance = 0
        # Alarms, jobs and retries come to their end by themselves: nobody wakes the agents.
        await asyncio.sleep(LONG)
        await self._report_timers(runtime)
        reports = {agent: await self._report(runtime, agent) for agent in self.agents}
        await runtime.stop()
        return reports

    # Clients

    async def _ask(self, runtime: Runtime, agent: str, number: int, life: int) -> None:
        key = (agent, number)
        while self.done.get(key, 0) < OPERATIONS or self.waiting.get(key) is not None:
            await asyncio.sleep(self.rng.expovariate(200))
            id = self.waiting.get(key)
            if id is None:
                kind = self.rng.choice((*HTTP_KINDS, "rpc"))
                self.done[key] = self.done.get(key, 0) + 1
                id = self.waiting[key] = f"c{number}-{kind}-{self.done[key]}"
            kind = id.split("-")[1]
            self.note("ask", agent, id)
            try:
                stub: Any = runtime.namespaces["Ledger"].get_by_name(agent)
                n = await (stub.rpc(id) if kind == "rpc" else stub.ask(kind, id))
            except Exception as error:
                self.note("failed", agent, id, str(error))
                if not is_expected(error):
                    self.fault(life, f"{agent} {id}: {type(error).__name__}: {error}")
                    return
                continue
            self.note("answer", agent, id, n)
            self.acknowledged[agent][id] = n
            self.waiting[key] = None

    async def _time(self, runtime: Runtime, number: int, life: int) -> None:
        stub: Any = None
        while self.timed[number] < OPERATIONS:
            await asyncio.sleep(self.rng.expovariate(100))
            id = str(self.timed[number])
            if self.disk is not None:
                # When the power goes before this is answered, what is written of the wish may be on the disk, and what
                # is written of its alarm in the index may not.
                self.failed_timers.add((number, id))
            try:
                stub = runtime.namespaces["Timer"].get_by_name(f"t{number}")
                await stub.ask(id)
            except Exception as error:
                if not is_expected(error):
                    self.fault(life, f"timer {number}: {type(error).__name__}: {error}")
                    return
                # An error does not undo what was written before it: the wish may be there without the alarm.
                self.failed_timers.add((number, id))
                continue
            self.note("timed", number, id)
            self.failed_timers.discard((number, id))
            self.timed[number] += 1

    async def _report_timers(self, runtime: Runtime) -> None:
        for number, count in enumerate(self.timed):
            stub: Any = runtime.namespaces["Timer"].get_by_name(f"t{number}")
            report = await stub.report()
            missing = {str(id) for id in range(count)} - set(report["done"])
            missing |= {id for id in report["wanted"] if (number, id) not in self.failed_timers}
            if missing:
                self.faults.append(f"timer {number}: alarms never went off: {sorted(missing)}")

    async def _follow(self, runtime: Runtime, agent: str, life: int) -> None:
        seen = self.seen[agent]
        while True:
            await asyncio.sleep(self.rng.expovariate(50))
            headers = {"last-event-id": str(max(seen))} if seen else {}
            try:
                response = await runtime.route(Request(f"/agents/ledger/{agent}/?follow", headers=headers))
                assert response is not None
                async for chunk in response.stream():
                    if life != self.life:
                        return
                    self._read(agent, seen, chunk.decode(), life)
                    if self.rng.random() < 0.1:
                        break
                await response.aclose()
            except Exception as error:
                if not is_expected(error):
                    self.fault(life, f"{agent} a reader: {type(error).__name__}: {error}")
                    return

    def _read(self, agent: str, seen: dict[int, Any], text: str, life: int) -> None:
        for event in text.split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in event.split("\n") if line)
            if "id" in fields:
                number, chunk = int(fields["id"]), json.loads(fields["data"])
                self.note("read", agent, number)
                if number > len(seen) or seen.setdefault(number, chunk) != chunk:
                    self.fault(life, f"{agent}: chunk {number} is {chunk} after {len(seen)} chunks")

    async def _watch(self, runtime: Runtime, agent: str, life: int) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(50))
            try:
                socket: TestSocket = await connect(runtime, f"/agents/ledger/{agent}?_pk=w")
                while True:
                    frame = json.loads(await socket.receive())
                    if life != self.life:
                        return
                    if frame.get("type") == "cf_agent_state":
                        self.note("state", agent, frame["state"])
                        self.states[agent][frame["state"]["n"]] = frame["state"]["id"]
                    if self.rng.random() < 0.05:
                        socket.lose()
                        break
            except (WebSocketClosed, AssertionError):
                continue
            except Exception as error:
                if not is_expected(error):
                    self.fault(life, f"{agent} a socket: {type(error).__name__}: {error}")
                    return

    async def _set_the_clock(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(20))
            self.clock.jump += timedelta(seconds=self.rng.uniform(-5, 5))

    async def _report(self, runtime: Runtime, agent: str) -> Any:
        stub: Any = runtime.namespaces["Ledger"].get_by_name(agent)
        report = await stub.report()
        self.note("report", agent, len(report["log"]), report["waiting"])
        # What was not acknowledged may be there in part: an error does not undo what was written before it.
        asked = {id for id in self.acknowledged[agent] if id.split("-")[1] in ("queue", "later", "alarm")}
        missing = asked - {id for id, _ in report["effects"]}
        if missing:
            self.faults.append(f"{agent}: acknowledged and never done: {sorted(missing)}, waiting {report['waiting']}")
        return report


def is_expected(error: BaseException) -> bool:
    """Whether ``error`` is the disk's, or that of an object that started anew for it."""
    seen: BaseException | None = error
    # A chain of causes may lead back to where it began.
    for _ in range(8):
        if seen is None:
            break
        if FAULT in str(seen) or isinstance(seen, ObjectReset) or "has left memory" in str(seen):
            return True
        seen = seen.__cause__
    return isinstance(error, ObjectError) and FAULT in str(error)


class Outcome(dict[str, Any]):
    """What came of a seed; ``faults`` is empty when all is well."""


def run(seed: int, scratch: Path, disk: Disk | None = None) -> Outcome:
    """Run one seed; with a ``disk`` the power goes too, and not only the process."""
    folder = scratch / f"seed{seed}"
    folder.mkdir(parents=True)
    # Objects that wait for the collector must not end at another time in another process.
    gc.collect()
    gc.disable()
    # What is counted in the process and not in a loop begins anew with each process.
    eager._row = eager._depth = 0
    simulation = Simulation(seed, folder, disk)
    try:
        try:
            with patch.object(storage, "Sql", SimulatedSql):
                reports = simulation.run()
        except (Exception, asyncio.CancelledError) as error:
            simulation.faults.append(f"{type(error).__name__}: {error}")
        else:
            found = faults_of(simulation, reports)
            simulation.faults += [f"{kind}: {what}" for kind, faults in found.items() for what in faults]
    finally:
        gc.enable()
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(
        seed=seed,
        faults=simulation.faults,
        crashes=simulation.crashes,
        power_cuts=simulation.power_cuts,
        harmed=simulation.harmed,
        disk_faults=simulation.disk_faults,
        acknowledged=sum(map(len, simulation.acknowledged.values())),
        events=simulation.events,
        trace=simulation.trace.hexdigest(),
        seconds=simulation.loop.now,
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="0:1", help="FIRST:END or one seed")
    parser.add_argument("--mutation", choices=sorted({**MUTATIONS, **POWER_MUTATIONS}))
    parser.add_argument("--until-found", action="store_true")
    parser.add_argument("--power", action="store_true", help="let the power go, and not only the process")
    parser.add_argument("--log", action="store_true")
    options = parser.parse_args(arguments)
    first, _, end = options.seeds.partition(":")
    if not options.log:
        logging.disable(logging.CRITICAL)
        # Tasks of a process that is gone end whenever Python finds them.
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
    simulate_locks()
    if options.mutation:
        (MUTATIONS | POWER_MUTATIONS)[options.mutation]()
    # What was imported is no garbage: the collector, which runs before each seed, need not look through it.
    gc.collect()
    gc.freeze()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        disk = None
        if options.power:
            disk = Disk(Path(scratch))
            disk.install()
        for seed in range(int(first), int(end or int(first) + 1)):
            outcome = run(seed, Path(scratch), disk)
            print(json.dumps(outcome), flush=True)
            if options.until_found and outcome["faults"]:
                break


if __name__ == "__main__":
    main(sys.argv[1:])
