"""Stores: what bindings keep, by resource, for every process of a state folder."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeagents import Runtime
from edgeagents.errors import ConfigError, StorageUnavailable
from edgeagents.group_sync import GroupSync
from edgeagents.hookspecs import hookimpl
from edgeagents.stores import QUICK, Stores

SCHEMA = ("CREATE TABLE IF NOT EXISTS kept (n INTEGER PRIMARY KEY)",)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = Stores(tmp_path)
    yield made
    made.close()


def kept(database: sqlite3.Connection) -> list[int]:
    return [n for (n,) in database.execute("SELECT n FROM kept ORDER BY n")]


def test_a_resource_is_one_database_however_often_it_is_asked_for(stores):
    first = stores.open("kv", "a", SCHEMA)
    assert stores.open("kv", "a", SCHEMA) is first
    assert stores.open("kv", "b", SCHEMA) is not first
    assert stores.open("queues", "a", SCHEMA) is not first


def test_what_is_kept_is_there_for_the_next_process(stores, tmp_path):
    stores.open("kv", "a", SCHEMA).execute("INSERT INTO kept VALUES (1)")
    stores.close()
    again = Stores(tmp_path)
    assert kept(again.open("kv", "a", SCHEMA)) == [1]
    again.close()


def test_two_processes_see_each_others_writes(stores, tmp_path):
    other = Stores(tmp_path)
    here, there = stores.open("kv", "a", SCHEMA), other.open("kv", "a", SCHEMA)
    here.execute("INSERT INTO kept VALUES (1)")
    there.execute("INSERT INTO kept VALUES (2)")
    assert kept(here) == kept(there) == [1, 2]
    other.close()


def test_without_a_folder_it_is_in_memory():
    stores = Stores(None)
    stores.open("kv", "a", SCHEMA).execute("INSERT INTO kept VALUES (1)")
    assert kept(stores.open("kv", "a", SCHEMA)) == [1]
    assert stores.path("kv", "a") is None
    stores.close()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_the_files_are_the_owners_alone(stores, tmp_path):
    stores.open("kv", "a", SCHEMA).execute("INSERT INTO kept VALUES (1)")
    files = list((tmp_path / "kv").iterdir())
    assert {path.name for path in files} == {"a.sqlite", "a.sqlite-wal", "a.sqlite-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "kv").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc/passwd", "/etc", "a\x00b", "\ud800", "é" * 300, ".hidden", "a/b"]
)
def test_any_name_stays_in_the_folder(stores, tmp_path, name):
    path = stores.path("kv", name)
    assert path.parent == tmp_path / "kv"
    assert not path.name.startswith(".")
    assert path.resolve().parent == (tmp_path / "kv").resolve()
    stores.open("kv", name, SCHEMA)
    assert path.exists()


def test_names_that_differ_in_case_are_two_also_where_the_disk_knows_no_case(stores):
    assert stores.path("kv", "a").name.lower() != stores.path("kv", "A").name.lower()


def test_a_transaction_keeps_all_or_nothing(stores):
    database = stores.open("kv", "a", SCHEMA)
    with pytest.raises(sqlite3.IntegrityError), stores.transaction(database):
        database.executemany("INSERT INTO kept VALUES (?)", [(1,), (1,)])
    assert kept(database) == []
    with stores.transaction(database):
        database.execute("INSERT INTO kept VALUES (1)")
    assert kept(database) == [1]


def test_a_commit_that_fails_leaves_nothing_open(stores, tmp_path):
    schema = (*SCHEMA, "CREATE TABLE IF NOT EXISTS of (n INTEGER REFERENCES kept (n) DEFERRABLE INITIALLY DEFERRED)")
    database = stores.open("kv", "a", schema)
    with pytest.raises(sqlite3.IntegrityError), stores.transaction(database):
        database.execute("INSERT INTO of VALUES (1)")
    assert not database.in_transaction
    other = Stores(tmp_path)
    other.open("kv", "a", schema).execute("INSERT INTO kept VALUES (1)")
    other.close()
    assert kept(database) == [1]


def test_a_disk_that_ends_the_transaction_itself_is_what_is_told_of(stores):
    database = stores.open("kv", "a", (*SCHEMA, "CREATE TABLE IF NOT EXISTS large (b BLOB)"))
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    told = r"a\.sqlite cannot be used: database or disk is full"
    with pytest.raises(StorageUnavailable, match=told), stores.transaction(database):
        database.execute("INSERT INTO large VALUES (zeroblob(1000000))")
    database.execute("INSERT INTO kept VALUES (1)")
    assert kept(database) == [1]


def test_a_store_that_another_process_holds_is_named(stores, tmp_path, monkeypatch):
    holder = Stores(tmp_path)
    monkeypatch.setattr("edgeagents.stores._BUSY_SECONDS", 0.01)
    database = stores.open("kv", "a", SCHEMA)
    told = r"a\.sqlite cannot be used: database is locked"
    with holder.transaction(holder.open("kv", "a", SCHEMA)), pytest.raises(StorageUnavailable, match=told):
        database.execute("INSERT INTO kept VALUES (1)")
    holder.close()
    database.execute("INSERT INTO kept VALUES (1)")


def test_a_statement_that_is_wrong_stays_the_statements_fault(stores):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        stores.open("kv", "a", SCHEMA).execute("SELECT * FROM unknown")


def test_a_schema_that_fails_leaves_no_half_open_store(stores):
    with pytest.raises(sqlite3.OperationalError):
        stores.open("kv", "a", ("CREATE TABEL kept (n)",))
    assert kept(stores.open("kv", "a", SCHEMA)) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "kv").mkdir()
    (tmp_path / "kv" / "a.sqlite").mkdir()
    stores = Stores(tmp_path)
    with pytest.raises(StorageUnavailable, match=r"a\.sqlite cannot be used: .*directory"):
        stores.open("kv", "a", SCHEMA)


def test_many_processes_open_a_new_store_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from edgeagents.stores import Stores; sys.stdin.read(1)\n"
        f"s = Stores(Path({str(tmp_path)!r})); d = s.open('kv', 'a', {SCHEMA!r})\n"
        "d.execute('INSERT INTO kept VALUES (?)', (int(sys.argv[1]),)); s.close()"
    )
    run = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], stdin=subprocess.PIPE, cwd=os.getcwd()) for n in range(4)
    ]
    for process in run:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait() for process in run] == [0] * 4
    stores = Stores(tmp_path)
    assert kept(stores.open("kv", "a", SCHEMA)) == [0, 1, 2, 3]
    stores.close()


async def test_those_who_write_together_wait_for_the_disk_together(stores, monkeypatch):
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(threading.get_ident())
        real(descriptor)

    database = stores.open("kv", "a", (QUICK, *SCHEMA))
    monkeypatch.setattr(os, "fsync", fsync)

    async def write(n: int) -> None:
        database.execute("INSERT INTO kept VALUES (?)", (n,))
        await stores.kept("kv", "a")

    await asyncio.gather(*map(write, range(50)))
    assert 0 < len(synced) < 20
    assert threading.get_ident() not in synced


async def test_one_who_is_cancelled_takes_nobody_with_him(stores):
    database = stores.open("kv", "a", (QUICK, *SCHEMA))
    database.execute("INSERT INTO kept VALUES (1)")
    tasks = [asyncio.create_task(stores.kept("kv", "a")) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await tasks[1]
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def test_a_disk_that_does_not_sync_is_what_is_told_of(stores, tmp_path, monkeypatch):
    database = stores.open("kv", "a", (QUICK, *SCHEMA))

    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    database.execute("INSERT INTO kept VALUES (1)")
    with pytest.raises(StorageUnavailable, match=r"a\.sqlite cannot be used: .*No space left"):
        await stores.kept("kv", "a")
    monkeypatch.undo()
    await stores.kept("kv", "a")


async def test_where_nothing_is_to_last_nobody_waits(tmp_path, monkeypatch):
    def fsync(descriptor: int) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "fsync", fsync)
    for made in (Stores(None), Stores(tmp_path, is_synced=False)):
        made.open("kv", "a", (QUICK, *SCHEMA)).execute("INSERT INTO kept VALUES (1)")
        await made.kept("kv", "a")
        made.close()


async def test_a_runtime_that_cannot_start_closes_the_stores_that_it_opened(tmp_path):
    opened = []

    class Startup:
        @hookimpl
        async def startup(self, runtime):
            opened.append(runtime.stores.open("kv", "a", SCHEMA))
            raise ConfigError("It cannot start.")

    with pytest.raises(ConfigError, match="cannot start"):
        await Runtime(storage=tmp_path, plugins=[Startup()]).start()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


async def test_what_fails_in_a_sync_is_told_to_all_who_wait_for_it():
    def sync() -> None:
        raise ZeroDivisionError

    synced = GroupSync(sync, "a file")
    assert [type(told) for told in await asyncio.gather(synced(), synced(), return_exceptions=True)] == [
        ZeroDivisionError,
        ZeroDivisionError,
    ]
