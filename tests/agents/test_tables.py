"""Tables of a capability: made when something is kept, and looked for again when they may be gone."""

from __future__ import annotations

import pytest

from edgeagents.agents.tables import Tables
from edgeagents.objects.sqlite import Database


@pytest.fixture
def database(tmp_path):
    database = Database.open(tmp_path / "x.sqlite")
    yield database
    database.close()


@pytest.fixture
def tables(database):
    return Tables(database, "notes", "create table if not exists notes (text)")


def put(tables: Tables, text: str) -> None:
    tables.insert("insert into notes values (?)", text)


def test_looking_makes_nothing(tables, database):
    assert tables.fetch("select text from notes") == []
    assert not tables.exist
    assert not database.exists


def test_what_is_kept_is_there(tables):
    put(tables, "a")
    assert tables.fetch("select text from notes") == [("a",)]


def test_tables_of_another_life_are_found(tables, database):
    put(tables, "a")
    assert Tables(database, "notes").fetch("select text from notes") == [("a",)]


def test_what_a_rollback_takes_away_is_made_anew(tables, database):
    database.fetch("create table other (x)")
    level = database.savepoint()
    put(tables, "a")
    database.rollback_to(level)
    database.release(level)
    assert tables.fetch("select text from notes") == []
    put(tables, "b")
    assert tables.fetch("select text from notes") == [("b",)]


def test_what_is_dropped_is_made_anew(tables, database):
    put(tables, "a")
    database.object_sql.drop_all()
    assert tables.fetch("delete from notes returning text") == []
    put(tables, "b")
    assert tables.fetch("select text from notes") == [("b",)]


def test_whether_they_are_there_is_asked_once(tables, database):
    put(tables, "a")
    before = database.work
    for _ in range(3):
        assert tables.exist
    assert database.work == before
