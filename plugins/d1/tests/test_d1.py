"""A database answers, fails and keeps as D1 does."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from edgeagents_d1 import D1Database, D1Error
from edgeagents_d1.engine import Engine

from edgeagents.testing import ManualClock

pytestmark = pytest.mark.cloudflare("Workers", "D1 databases", "same")


@pytest.fixture
async def db(tmp_path: Path):
    engine = Engine(tmp_path / "d1.sqlite", ManualClock())
    database = D1Database(engine)
    await database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
    yield database
    engine.close()


async def test_rows_come_as_dicts_with_what_was_done(db):
    inserted = await db.prepare("INSERT INTO t (name, data) VALUES (?, ?)").bind("é", b"\x01\xff").run()
    meta = inserted["meta"]
    assert (inserted["success"], inserted["results"]) == (True, [])
    assert (meta["changes"], meta["last_row_id"], meta["changed_db"], meta["rows_written"]) == (1, 1, True, 1)
    assert meta["size_after"] > 0
    selected = await db.prepare("SELECT * FROM t WHERE id = ?1").bind(1).all()
    assert selected["results"] == [{"id": 1, "name": "é", "data": [1, 255]}]
    assert (selected["meta"]["changes"], selected["meta"]["rows_read"]) == (0, 1)


async def test_first_gives_a_row_a_value_or_none(db):
    await db.prepare("INSERT INTO t (name) VALUES ('a'), ('b')").run()
    assert await db.prepare("SELECT id, name FROM t ORDER BY id").first() == {"id": 1, "name": "a"}
    assert await db.prepare("SELECT name FROM t ORDER BY id DESC").first("name") == "b"
    assert await db.prepare("SELECT name FROM t WHERE id = 9").first("name") is None
    with pytest.raises(D1Error, match=r"D1_COLUMN_NOTFOUND: Column not found \(nope\)"):
        await db.prepare("SELECT name FROM t").first("nope")


async def test_raw_gives_lists(db):
    statement = db.prepare("SELECT 1 AS a, 2 AS a, NULL AS b")
    assert await statement.raw() == [[1, 2, None]]
    assert await statement.raw(column_names=True) == [["a", "a", "b"], [1, 2, None]]


async def test_values_are_bound_by_their_kinds(db):
    row = await db.prepare("SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e").bind(True, 1.5, None, [1, 2], 2**60).first()
    assert row == {"a": 1, "b": 1.5, "c": None, "d": [1, 2], "e": float(2**60)}
    with pytest.raises(D1Error, match="D1_TYPE_ERROR: Type 'object' not supported"):
        db.prepare("SELECT ?").bind({"a": 1})
    with pytest.raises(D1Error, match="D1_ERROR: Wrong number of parameter bindings for SQL query"):
        await db.prepare("SELECT ?, ?").bind(1).all()


async def test_numbers_are_of_one_kind(db):
    row = await db.prepare("SELECT typeof(?1) AS kind, ?1 || '' AS text, ?1 / 2 AS half, ?1 AS same").bind(5).first()
    assert row == {"kind": "real", "text": "5.0", "half": 2.5, "same": 5}
    assert isinstance(row["same"], int)
    await db.prepare("INSERT INTO t (id, name) VALUES (?, 'x')").bind(7).run()
    assert await db.prepare("SELECT id, typeof(id) AS kind FROM t LIMIT ?").bind(1).first() == {
        "id": 7,
        "kind": "integer",
    }
    assert await db.prepare("SELECT 1e999 AS n, ? AS huge").bind(10**400).first() == {"n": None, "huge": None}


async def test_definitions_change_the_database(db):
    for sql, is_changed in (
        ("CREATE TABLE u (id)", True),
        ("CREATE TABLE IF NOT EXISTS u (id)", False),
        ("CREATE INDEX i ON u (id)", True),
        ("ALTER TABLE u ADD COLUMN b", True),
        ("DROP TABLE u", True),
        ("DELETE FROM t", False),
    ):
        assert (await db.prepare(sql).run())["meta"]["changed_db"] is is_changed, sql


async def test_a_batch_is_kept_whole_or_not_at_all(db):
    insert = db.prepare("INSERT INTO t (id, name) VALUES (?, ?)")
    results = await db.batch([insert.bind(1, "a"), insert.bind(2, "b"), db.prepare("SELECT count(*) AS n FROM t")])
    assert results[2]["results"] == [{"n": 2}]
    with pytest.raises(D1Error, match=r"UNIQUE constraint failed: t.id.*SQLITE_CONSTRAINT"):
        await db.batch([insert.bind(3, "c"), insert.bind(1, "d")])
    assert await db.prepare("SELECT count(*) AS n FROM t").first("n") == 2
    with pytest.raises(D1Error, match="No SQL statements detected"):
        await db.batch([])


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("INVALID", 'D1_ERROR: near "INVALID": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT * FROM nowhere", "D1_ERROR: no such table: nowhere"),
        (" ", "D1_ERROR: No SQL statements detected."),
        ("-- nothing", "D1_ERROR: SQL code did not contain a statement."),
        ("BEGIN", "D1_ERROR: To execute a transaction"),
        ("ATTACH 'x' AS y", "not authorized"),
    ],
)
async def test_errors_begin_with_their_code(db, sql, text):
    with pytest.raises(D1Error) as caught:
        await db.prepare(sql).all()
    assert text in str(caught.value)


async def test_exec_runs_line_by_line(db):
    done = await db.exec("INSERT INTO t (name) VALUES ('a');\nINSERT INTO t (name) VALUES ('b'); SELECT 1;\n")
    assert done["count"] == 2
    with pytest.raises(D1Error, match="D1_EXEC_ERROR: Error in line 2: NOPE"):
        await db.exec("INSERT INTO t (name) VALUES ('c')\nNOPE")
    assert await db.prepare("SELECT count(*) FROM t").raw() == [[2]]
    with pytest.raises(D1Error, match="D1_EXEC_ERROR: Error in line 1: : No SQL statements detected"):
        await db.exec(" ")


async def test_foreign_keys_are_enforced_and_double_quotes_hold_text(db):
    await db.exec("CREATE TABLE child (t INTEGER REFERENCES t (id))")
    with pytest.raises(D1Error, match="FOREIGN KEY constraint failed"):
        await db.prepare("INSERT INTO child VALUES (7)").run()
    await db.exec('INSERT INTO t (name) VALUES ("quoted")')
    assert await db.prepare("SELECT name FROM t").first("name") == "quoted"


async def test_a_session_has_a_bookmark_after_its_first_query(db):
    session = db.with_session("first-primary")
    assert session.get_bookmark() is None
    await session.prepare("INSERT INTO t (name) VALUES ('a')").run()
    bookmark = session.get_bookmark()
    assert bookmark is not None
    assert db.with_session(bookmark).get_bookmark() == bookmark
    await session.batch([db.prepare("INSERT INTO t (name) VALUES ('b')")])
    assert session.get_bookmark() > bookmark


async def test_dump_says_what_to_do(db):
    with pytest.raises(D1Error, match="Copy the file"):
        await db.dump()


async def test_two_engines_share_one_file(tmp_path):
    one, other = (Engine(tmp_path / "d.sqlite", ManualClock()) for _ in range(2))
    await D1Database(one).exec("CREATE TABLE t (n)")
    for n in range(5):
        await D1Database((one, other)[n % 2]).prepare("INSERT INTO t VALUES (?)").bind(n).run()
    assert await D1Database(other).prepare("SELECT count(*) AS n FROM t").first("n") == 5
    one.close()
    other.close()


async def test_a_batch_whose_commit_fails_leaves_nothing_open(db, tmp_path):
    await db.exec("CREATE TABLE of (id INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
    broken = db.prepare("INSERT INTO of VALUES (9)")
    told = r"^D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT \(extended: SQLITE_CONSTRAINT_FOREIGNKEY\)$"
    with pytest.raises(D1Error, match=told):
        await db.batch([db.prepare("INSERT INTO t (id) VALUES (1)"), broken])
    with pytest.raises(D1Error, match=told):
        await broken.run()
    other = Engine(tmp_path / "d1.sqlite", ManualClock())
    await D1Database(other).prepare("INSERT INTO t (id) VALUES (2)").run()
    other.close()
    await db.batch([db.prepare("INSERT INTO t (id) VALUES (3)")])
    assert await db.prepare("SELECT id FROM t").raw() == [[2], [3]]


async def test_what_was_written_is_on_the_disk_when_the_answer_comes(tmp_path, monkeypatch):
    synced: list[int] = []
    engine = Engine(tmp_path / "d1.sqlite", ManualClock())
    database = D1Database(engine)
    await database.exec("CREATE TABLE t (n)")
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(threading.get_ident())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    insert = database.prepare("INSERT INTO t VALUES (1)")
    for write in (insert.run(), insert.first(), insert.raw(), database.batch([insert]), database.exec("DELETE FROM t")):
        synced.clear()
        await write
        assert synced
        assert threading.get_ident() not in synced
    synced.clear()
    await database.prepare("SELECT * FROM t").all()
    assert not synced
    await asyncio.gather(*(insert.run() for _ in range(50)))
    assert len(synced) < 20
    engine.close()


async def test_entries_of_indexes_and_rows_that_were_passed_are_counted(db):
    await db.exec("CREATE INDEX t_name ON t (name)")
    insert = db.prepare("INSERT INTO t (name) VALUES (?)")
    counts = [(await insert.bind(name).run())["meta"]["rows_written"] for name in ("a", "b", "b")]
    assert counts == [2, 2, 2]
    assert (await db.prepare("UPDATE t SET data = 1").run())["meta"]["rows_written"] == 3
    assert (await db.prepare("UPDATE t SET name = 'c' WHERE id = 1").run())["meta"]["rows_written"] == 2
    scanned = await db.prepare("SELECT id FROM t WHERE data = 2").all()
    searched = await db.prepare("SELECT id FROM t WHERE name = 'c'").all()
    assert (scanned["meta"]["rows_read"], searched["meta"]["rows_read"]) == (3, 1)


async def test_rows_are_counted_anew_when_an_index_was_made(db):
    insert = db.prepare("INSERT INTO t (name) VALUES ('a')")
    before = (await insert.run())["meta"]["rows_written"]
    await db.exec("CREATE INDEX t_name ON t (name)")
    assert (before, (await insert.run())["meta"]["rows_written"]) == (1, 2)


async def test_rows_are_counted_in_a_table_that_was_dropped_and_made_again(db):
    for number in range(60):
        await db.prepare(f"CREATE TABLE anew (id INTEGER PRIMARY KEY, {'c' * 40}{number} TEXT)").run()
        await db.prepare("CREATE INDEX other ON anew (id)").run()
        added = await db.prepare("INSERT INTO anew (id) VALUES (1), (2)").run()
        assert added["meta"]["rows_written"] == 4
        gone = await db.prepare("DELETE FROM anew WHERE id > 0").run()
        assert gone["success"]
        await db.prepare("DROP TABLE anew").run()
