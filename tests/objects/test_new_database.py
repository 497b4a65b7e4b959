"""A database that several processes may make: whoever is late takes nothing from whoever was first."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from edgeagents.errors import StorageUnavailable
from edgeagents.objects import new_database
from edgeagents.objects.sqlite import Database
from edgeagents.objects.sqlite_driver import load_driver

TEMPLATE = new_database.template(load_driver())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects" / "x.sqlite"


def put(database: Database, key: str) -> None:
    database.fetch("INSERT INTO _cf_KV VALUES (?, x'01')", (key,))
    database.commit()


def keys(path: Path) -> list[str]:
    database = Database.open(path, is_shared=True)
    try:
        return [key for (key,) in database.fetch("SELECT key FROM _cf_KV ORDER BY key")]
    finally:
        database.close()


def leave_a_log(path: Path) -> None:
    """Leave what a loss of power, or half a deletion, leaves of a database: a log without its file."""
    database = Database.open(path)
    put(database, "old")
    database.close()
    path.unlink()


def test_who_makes_the_file_late_leaves_the_log_of_who_was_first(path):
    first = Database.open(path, is_shared=True)
    put(first, "a")
    first.sync()
    # The other had looked before, when there was nothing.
    assert new_database.place(path, TEMPLATE, is_shared=True) == (None, [])
    put(first, "b")
    first.sync()
    first.close()
    assert keys(path) == ["a", "b"]


def test_what_an_older_database_has_left_is_no_part_of_a_new_one(path):
    leave_a_log(path)
    assert keys(path) == []


def test_a_file_that_a_loss_of_power_has_emptied_is_made_anew(path):
    leave_a_log(path)
    path.write_bytes(bytes(len(TEMPLATE)))
    assert keys(path) == []


def test_only_one_at_a_time_clears_the_place(path):
    leave_a_log(path)
    log = path.with_name("x.sqlite-wal")
    with log.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StorageUnavailable, match="Another process is about to make"):
            new_database.place(path, TEMPLATE, is_shared=True)
        assert log.exists()
        assert not path.exists()
    assert keys(path) == []
    assert [left.name for left in path.parent.glob("*-new*")] == []


def test_a_log_that_somebody_has_removed_is_not_taken_for_one_that_is_kept(path, tmp_path):
    database = Database.open(path)
    put(database, "a")
    database.sync()
    shutil.move(path.with_name("x.sqlite-wal"), tmp_path / "log")
    put(database, "b")
    with pytest.raises(StorageUnavailable, match="log was removed"):
        database.sync()
    database.close()
