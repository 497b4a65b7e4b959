"""Databases that earlier releases wrote: they open, with all that is in them, and are brought up to date."""

from __future__ import annotations

import re
import shutil
import sqlite3
from datetime import timedelta

import pytest

from edgeagents.errors import StorageError
from edgeagents.objects import own_tables as module
from edgeagents.objects.ids import id_from_name
from edgeagents.objects.own_tables import SCHEMA_VERSION
from edgeagents.objects.sqlite import Database
from edgeagents.testing import ManualClock, agent_runtime
from tests.objects.releases.make import BEGAN, FOLDER, NAME, Kept

RELEASES = sorted(FOLDER.glob("schema-*.sqlite"))


def test_each_schema_has_a_database_that_was_kept():
    assert [int(re.findall(r"\d+", path.name)[0]) for path in RELEASES] == list(range(1, SCHEMA_VERSION + 1))


@pytest.fixture(params=RELEASES, ids=lambda path: path.stem)
def kept(request, tmp_path):
    """The file of a release where an agent finds it."""
    path = tmp_path / "objects" / "Kept" / f"{id_from_name('Kept', NAME)}.sqlite"
    path.parent.mkdir(parents=True)
    shutil.copyfile(request.param, path)
    return path


async def test_an_agent_finds_what_a_release_kept(kept, tmp_path):
    clock = ManualClock(BEGAN + timedelta(minutes=1))
    async with agent_runtime(Kept, storage=tmp_path, clock=clock) as runtime:
        agent = runtime.namespaces["Kept"].get_by_name(NAME)
        kept = await agent.read()
        assert (kept["state"], kept["notes"]) == ({"n": 41}, ["a note"])
        assert {name: kept["values"][name] for name in ("text", "when", "bytes", "many")} == {
            "text": "a value",
            "when": BEGAN,
            "bytes": b"\0\1",
            "many": {"a": [1, 2.5, None]},
        }
        await clock.advance(3_600)
        assert (await agent.read())["state"] == {"n": 42, "why": "later"}


def version(path) -> int:
    with sqlite3.connect(path) as database:
        ((version,),) = database.execute("SELECT value FROM _cf_METADATA WHERE key = 'schema'")
    database.close()
    return version


@pytest.mark.parametrize("driver", ["apsw", "sqlite3"])
def test_a_step_is_taken_once_when_a_database_is_opened(kept, monkeypatch, driver):
    more = (("CREATE TABLE _cf_MORE (n)", "INSERT INTO _cf_MORE VALUES (1)"), ("INSERT INTO _cf_MORE VALUES (2)",))
    monkeypatch.setattr(module, "_STEPS", (*module._STEPS, *more))
    for _ in range(2):
        database = Database.open(kept, driver=driver)
        assert database.fetch("SELECT n FROM _cf_MORE") == [(1,), (2,)]
        assert database.fetch("SELECT text FROM notes") == [("a note",)]
        database.close()
    assert version(kept) == SCHEMA_VERSION + 2


@pytest.mark.parametrize("driver", ["apsw", "sqlite3"])
def test_steps_are_taken_all_or_none(kept, monkeypatch, driver):
    before = version(kept)
    more = (("CREATE TABLE _cf_MORE (n)",), ("INSERT INTO _cf_NOWHERE VALUES (1)",))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_STEPS", (*module._STEPS, *more))
        database = Database.open(kept, driver=driver)
        with pytest.raises(StorageError, match="_cf_NOWHERE"):
            database.fetch("SELECT 1")
        database.close()
    assert version(kept) == before
    database = Database.open(kept, driver=driver)
    assert database.fetch("SELECT 1 FROM sqlite_schema WHERE name = '_cf_MORE'") == []
    assert database.fetch("SELECT text FROM notes") == [("a note",)]
    database.close()


def test_a_database_of_a_newer_release_is_refused(kept, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "_STEPS", (*module._STEPS, ("CREATE TABLE _cf_MORE (n)",)))
        database = Database.open(kept)
        database.fetch("SELECT 1")
        database.close()
    database = Database.open(kept)
    with pytest.raises(StorageError, match="newer edgeagents"):
        database.fetch("SELECT 1")
    database.close()


def test_a_sqlite_file_from_elsewhere_gets_our_tables(tmp_path):
    with sqlite3.connect(tmp_path / "x.sqlite") as other:
        other.execute("CREATE TABLE theirs (n)")
    other.close()
    database = Database.open(tmp_path / "x.sqlite")
    assert database.fetch("SELECT value FROM _cf_METADATA") == [(SCHEMA_VERSION,)]
    assert database.fetch("SELECT count(*) FROM theirs") == [(0,)]
    database.close()
