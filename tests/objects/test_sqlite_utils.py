"""``agent.db``: sqlite-utils on the object's own connection, with either driver."""

from __future__ import annotations

import sqlite3

import pytest
import sqlite_utils

from edgeagents.errors import SqlError
from edgeagents.objects.sqlite import Database


@pytest.fixture(params=["apsw", "sqlite3"])
def database(request, tmp_path):
    database = Database.open(tmp_path / "x.sqlite", driver=request.param)
    yield database
    database.close()


@pytest.fixture
def db(database):
    return sqlite_utils.Database(database.connection)


def test_tables_are_made_from_dicts(db):
    db["notes"].insert_all([{"id": n, "text": f"note {n}"} for n in range(250)], pk="id")
    assert db["notes"].count == 250
    assert db["notes"].get(7) == {"id": 7, "text": "note 7"}
    assert list(db["notes"].rows_where("id < ?", [2])) == [{"id": 0, "text": "note 0"}, {"id": 1, "text": "note 1"}]


def test_rows_are_upserted_changed_and_deleted(db):
    db["notes"].insert({"id": 1, "text": "a"}, pk="id")
    db["notes"].upsert({"id": 1, "text": "b"}, pk="id")
    db["notes"].upsert({"id": 2, "text": "c"}, pk="id")
    db["notes"].update(2, {"text": "d"})
    db["notes"].delete(1)
    assert list(db["notes"].rows) == [{"id": 2, "text": "d"}]


def test_the_last_row_is_known(db):
    table = db["notes"].insert({"text": "a"})
    assert table.last_rowid == 1


def test_tables_are_altered_and_transformed(db):
    db["notes"].insert({"id": 1, "text": "a"}, pk="id")
    db["notes"].insert({"id": 2, "text": "b", "stars": 5}, alter=True)
    db["notes"].transform(rename={"text": "body"})
    assert [column.name for column in db["notes"].columns] == ["id", "body", "stars"]


def test_text_can_be_searched(db):
    db["notes"].insert_all([{"text": "a cat"}, {"text": "a dog"}])
    db["notes"].enable_fts(["text"])
    assert [row["text"] for row in db["notes"].search("dog")] == ["a dog"]


def test_queries_give_dicts(db):
    assert list(db.query("select 1 as a, :b as b", {"b": 2})) == [{"a": 1, "b": 2}]


def test_functions_are_callable_in_sql(db):
    @db.register_function
    def shout(text):
        return text.upper()

    assert db.execute("select shout('a')").fetchone() == ("A",)


def test_an_error_undoes_a_transaction(db):
    db["notes"].insert({"id": 1}, pk="id")

    def fail():
        with db.conn:
            db.conn.execute("BEGIN")
            db.conn.execute("insert into notes values (2)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert db["notes"].count == 1


def test_errors_are_those_that_libraries_know(db):
    db["notes"].insert({"id": 1}, pk="id")
    with pytest.raises(sqlite3.IntegrityError):
        db["notes"].insert({"id": 1}, pk="id")
    with pytest.raises(sqlite3.OperationalError, match="no such table") as caught:
        db.execute("select * from absent")
    assert isinstance(caught.value, SqlError)


@pytest.mark.parametrize(
    "sql",
    ["ATTACH 'other.sqlite' AS other", "select * from _cf_KV", "PRAGMA journal_mode = DELETE", "VACUUM"],
)
def test_the_rules_for_an_objects_sql_hold(db, sql):
    with pytest.raises(sqlite3.OperationalError, match="not authorized"):
        db.execute(sql)


def test_nothing_is_committed_behind_the_gates_back(db, database):
    with db.conn:
        db["notes"].insert({"id": 1}, pk="id")
    assert database.in_transaction
    database.rollback()
    assert "notes" not in db.table_names()


def test_savepoints_nest(db):
    db["notes"].insert({"id": 1}, pk="id")
    db.conn.execute("SAVEPOINT one")
    db["notes"].insert({"id": 2})
    db.conn.execute("SAVEPOINT two")
    db["notes"].insert({"id": 3})
    db.conn.execute("ROLLBACK TO two")
    db.conn.execute("RELEASE one")
    assert [row["id"] for row in db["notes"].rows] == [1, 2]
    assert not db.conn.in_transaction
