"""A process has so many database files open, however many objects are awake."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from edgeagents.errors import StorageError
from edgeagents.objects import DurableObject, FolderStorage, Limits
from edgeagents.objects.open_databases import OpenDatabases
from edgeagents.objects.sqlite import Database
from edgeagents.testing import ManualClock, agent_runtime

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "more objects in memory than open database files", "same; there is no such limit to see there"
)


class Counter(DurableObject):
    async def add(self):
        count = self.ctx.storage.kv.get("n", 0) + 1
        self.ctx.storage.kv.put("n", count)
        return count

    async def count(self):
        return self.ctx.storage.kv.get("n", 0)

    async def rewind_later(self):
        bookmark = await self.ctx.storage.get_current_bookmark()
        await self.ctx.storage.on_next_session_restore_bookmark(bookmark)


class Pool:
    """Databases that share their handles, as a folder's do."""

    def __init__(self, folder: Path, most: int, driver) -> None:
        self.handles = OpenDatabases(most)
        self._folder, self._driver = folder, driver
        self._opened: list[Database] = []

    def open(self, name: str) -> Database:
        database = Database.open(self._folder / f"{name}.sqlite", driver=self._driver)
        database.handles, database.is_synced = self.handles, False
        self._opened.append(database)
        return database

    def close(self) -> None:
        for database in self._opened:
            database.close()


@pytest.fixture(params=["apsw", "sqlite3"])
def pool(request, tmp_path):
    pool = Pool(tmp_path, 2, request.param)
    yield pool
    pool.close()


def write(database: Database, value: int = 1) -> None:
    database.object_sql.run("CREATE TABLE IF NOT EXISTS t (n)", ())
    database.object_sql.run("INSERT INTO t VALUES (?)", (value,))
    database.commit()


def rows(database: Database) -> list[tuple[int]]:
    result = database.object_sql.run("SELECT n FROM t ORDER BY n", ())
    return [(int(n),) for (n,) in result.cursor or ()]


def test_the_one_that_was_not_used_gives_up_its_file_and_opens_it_again(pool):
    databases = [pool.open(str(n)) for n in range(5)]
    for n, database in enumerate(databases):
        write(database, n)

    assert len(pool.handles) == 2
    assert [rows(database) for database in databases] == [[(n,)] for n in range(5)]
    assert len(pool.handles) == 2
    for database in databases:
        write(database, 9)
        assert rows(database)[-1] == (9,)
        database.close()
    assert len(pool.handles) == 0


def test_what_is_not_committed_keeps_its_file(pool):
    busy = pool.open("busy")
    busy.object_sql.run("CREATE TABLE t (n)", ())
    busy.object_sql.run("INSERT INTO t VALUES (1)", ())
    for n in range(5):
        write(pool.open(str(n)))

    assert busy.in_transaction
    busy.commit()
    assert rows(busy) == [(1,)]


def test_rows_that_are_being_read_keep_their_file(pool):
    reading = pool.open("reading")
    for n in range(500):
        write(reading, n)
    cursor = reading.object_sql.run("SELECT n FROM t ORDER BY n", ()).cursor
    assert next(cursor) == (0,)

    for n in range(5):
        write(pool.open(str(n)))

    assert [n for (n,) in cursor] == list(range(1, 500))


@pytest.mark.parametrize(
    "prepare",
    [
        lambda database: database.object_sql.create_function("twice", 1, lambda n: 2 * n, deterministic=True),
        lambda database: database.object_sql.run("PRAGMA foreign_keys = OFF", ()),
        lambda database: database.object_sql.run("PRAGMA case_sensitive_like = ON", ()),
        lambda database: database.savepoint(),
    ],
    ids=["function", "foreign keys", "pragma", "transaction"],
)
def test_what_the_connection_knows_is_not_lost(pool, prepare):
    special = pool.open("special")
    write(special)
    prepare(special)

    for n in range(5):
        write(pool.open(str(n)))

    assert not special.suspend()


def test_more_are_open_when_all_of_them_are_busy(pool):
    busy = [pool.open(str(n)) for n in range(4)]
    for database in busy:
        database.object_sql.run("CREATE TABLE t (n)", ())

    assert len(pool.handles) == 4
    for database in busy:
        database.commit()
    write(pool.open("last"))
    assert len(pool.handles) == 2


async def test_objects_stay_awake_when_their_files_are_closed(tmp_path):
    limits = Limits(open_databases=4, idle_seconds=3600)
    async with agent_runtime(Counter, storage=tmp_path, clock=ManualClock(), limits=limits) as runtime:
        counters = [runtime.namespaces["Counter"].get_by_name(str(n)) for n in range(40)]
        for _ in range(2):
            await asyncio.gather(*(counter.add() for counter in counters))

        assert [await counter.count() for counter in counters] == [2] * 40
        assert len(open_files(tmp_path)) <= 3 * 4


async def test_a_database_that_is_to_be_restored_waits_for_the_next_start(tmp_path):
    limits = Limits(open_databases=1, idle_seconds=3600)
    async with agent_runtime(Counter, storage=tmp_path, clock=ManualClock(), limits=limits) as runtime:
        counters = [runtime.namespaces["Counter"].get_by_name(str(n)) for n in range(4)]
        await counters[0].add()
        await counters[0].rewind_later()
        await counters[0].add()
        for counter in counters[1:]:
            await counter.add()

        assert await counters[0].count() == 2


def open_files(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(str(folder / "objects")):
            found.append(target)
    return found


def test_a_folder_that_cannot_be_opened_says_so(tmp_path):
    (tmp_path / "objects").write_text("not a folder")
    storage = FolderStorage(tmp_path, 2)
    from edgeagents.objects.ids import id_from_name

    database = storage.open("Counter", id_from_name("Counter", "a"))
    with pytest.raises(StorageError, match=r"cannot be opened: .*objects"):
        database.object_sql.run("CREATE TABLE t (n)", ())
    assert len(storage.handles) == 0


MANY = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from edgeagents import Agent, callable
from edgeagents.objects import Limits
from edgeagents.testing import agent_runtime

class Counter(Agent):
    initial_state = 0

    async def add(self):
        self.set_state(self.state + 1)
        return self.state

async def main():
    # The disk may take its time; that is not asked here.
    limits = Limits(idle_seconds=3600, blocked_seconds=None)
    async with agent_runtime(Counter, storage=sys.argv[1], limits=limits, durability="normal") as runtime:
        counters = [runtime.namespaces["Counter"].get_by_name(str(n)) for n in range(1000)]
        for round in (1, 2):
            for first in range(0, 1000, 100):
                results = await asyncio.gather(*(counter.add() for counter in counters[first:first + 100]))
                assert results == [round] * 100, results
        awake = [slot for directory in runtime._running.objects.directories.values() for slot in directory.slots()]
        print(len(awake), all(slot.activation for slot in awake))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_thousand_agents_are_awake_with_256_descriptors(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["1000", "True"]


def test_an_open_database_takes_room_for_the_pages_that_it_has(tmp_path):
    apsw = pytest.importorskip("apsw")
    databases = [Database.open(tmp_path / f"{n}.sqlite", driver="apsw") for n in range(22)]
    for database in databases[:2]:
        write(database)
    before = apsw.memory_used()
    for database in databases[2:]:
        write(database)
    each = (apsw.memory_used() - before) / 20
    for database in databases:
        database.close()

    assert each < 130_000
