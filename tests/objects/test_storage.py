"""``ctx.storage``: keys and values, SQL and transactions, with either driver."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents.errors import DataCloneError, SqlError, StorageError, StorageLimitError
from edgeagents.objects import DurableObject
from edgeagents.objects.sqlite import Database
from edgeagents.objects.storage import Storage
from edgeagents.objects.values import clone, decode, encode
from edgeagents.testing import ManualClock, agent_runtime

pytestmark = pytest.mark.cloudflare(
    "Durable Objects",
    "asynchronous and synchronous key-value storage, SQL, transactions, limits",
    "same; integers stay Python integers",
)


class NoAlarm:
    def get(self):
        return None

    def delete(self):
        return None


def make_storage(database, **options) -> Storage:
    return Storage(database, alarm=NoAlarm(), clock=ManualClock(), **options)


@pytest.fixture(params=["apsw", "sqlite3"])
def database(request, tmp_path):
    database = Database.open(tmp_path / "objects" / "x.sqlite", driver=request.param)
    yield database
    database.close()


@pytest.fixture
def storage(database):
    return make_storage(database)


@pytest.fixture
def sql(storage):
    return storage.sql


# Keys and values


async def test_a_value_is_kept_and_forgotten(storage):
    assert await storage.get("a") is None
    await storage.put("a", {"b": [1]})
    assert await storage.get("a") == {"b": [1]}
    assert await storage.delete("a") is True
    assert await storage.delete("a") is False


async def test_many_keys_at_once(storage):
    await storage.put({"b": 2, "a": 1, "c": None})
    assert await storage.get(["c", "a", "x"]) == {"a": 1, "c": None}
    assert await storage.delete(["a", "x", "b"]) == 2


async def test_what_was_got_is_a_copy(storage):
    value = {"list": [1]}
    await storage.put("a", value)
    value["list"].append(2)
    (await storage.get("a"))["list"].append(3)
    assert await storage.get("a") == {"list": [1]}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, ["a", "b", "b1", "b2", "c", "ä", "\U0001f600"]),
        ({"prefix": "b"}, ["b", "b1", "b2"]),
        ({"start": "b1"}, ["b1", "b2", "c", "ä", "\U0001f600"]),
        ({"start_after": "b1", "end": "c"}, ["b2"]),
        ({"end": "b"}, ["a"]),
        ({"reverse": True, "limit": 2}, ["\U0001f600", "ä"]),
        ({"prefix": "b", "start": "b1", "limit": 1}, ["b1"]),
        ({"prefix": "b", "reverse": True}, ["b2", "b1", "b"]),
        ({"prefix": "zz"}, []),
    ],
    ids=str,
)
async def test_keys_are_listed_in_the_order_of_their_bytes(storage, options, keys):
    await storage.put(dict.fromkeys(["c", "b", "b2", "b1", "a", "\U0001f600", "ä"], 1))
    assert list(await storage.list(**options)) == keys
    assert [key for key, _ in storage.kv.list(**options)] == keys


@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=12), st.text(max_size=2), st.booleans())
def test_a_list_is_what_a_dict_says(items, prefix, reverse):
    async def check():
        storage = make_storage(Database.open(None))
        storable = {key: value for key, value in items.items() if key < "\ud800"}
        await storage.put(storable)
        expected = sorted((key for key in storable if key.startswith(prefix)), key=str.encode, reverse=reverse)
        assert list(await storage.list(prefix=prefix, reverse=reverse)) == expected
        storage.database.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"start": "a", "start_after": "a"}, "list() cannot be called with both start and startAfter values."),
        ({"limit": 0}, "List limit must be positive."),
    ],
    ids=str,
)
async def test_a_list_that_means_nothing_is_refused(storage, options, text):
    with pytest.raises(TypeError) as caught:
        await storage.list(**options)
    assert str(caught.value) == text


async def test_the_synchronous_keys_are_the_same_ones(storage):
    storage.kv.put("a", 1)
    assert await storage.get("a") == 1
    assert storage.kv.delete("a") is True
    assert storage.kv.get("a") is None


async def test_a_new_list_ends_the_one_before(storage):
    await storage.put({"a": 1, "b": 2})
    first = iter(storage.kv.list())
    next(first)
    storage.kv.list()
    with pytest.raises((StorageError, RuntimeError), match="Only one"):
        next(first)


async def test_a_value_that_is_too_large_is_refused(storage):
    with pytest.raises((StorageLimitError, SqlError)):
        await storage.put("a", "x" * 5_000_000)


async def test_delete_all_takes_keys_and_tables(storage):
    await storage.put("a", 1)
    storage.sql.exec("create table parent (id integer primary key)")
    storage.sql.exec("create table child (parent integer references parent (id)); create view v as select 1")
    storage.sql.exec("insert into parent values (1); insert into child values (1)")
    await storage.delete_all()
    assert await storage.get("a") is None
    names = [row["name"] for row in storage.sql.exec("select name from sqlite_schema where name not like '%cf_%'")]
    assert names == []


async def test_delete_all_takes_the_rows_of_an_open_cursor_too(database, storage):
    await storage.put("a", 1)
    storage.sql.exec("create table t (x); insert into t values (1), (2), (3)")
    database.commit()
    database.sync()
    cursor = storage.sql.exec("select x from t")
    assert next(cursor) == {"x": 1}
    await storage.delete_all()
    with pytest.raises(SqlError):
        next(cursor)
    assert await storage.get("a") is None
    with pytest.raises(SqlError, match="no such table"):
        storage.sql.exec("select x from t")
    storage.sql.exec("create table t (x)")


async def test_delete_all_deletes_all_or_nothing(storage):
    await storage.put("a", 1)
    storage.sql.exec("create table t (x); insert into t values (1), (2)")
    storage.database.connection.create_function("one", 0, lambda: 1)
    cursor = storage.sql.exec("select one() as one from t")
    assert next(cursor) == {"one": 1}
    with pytest.raises(StorageError, match="a cursor still reads"):
        await storage.delete_all()
    assert await storage.get("a") == 1
    cursor.close()
    await storage.delete_all()
    assert await storage.get("a") is None


# Values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**100),
        1.5,
        math.inf,
        "ü\0",
        b"\x00\xff",
        bytearray(b"x"),
        [1, [2, {"a": None}]],
        (1, (2,)),
        {1: "int", "s": 1, (1, 2): "tuple"},
        {1, 2},
        frozenset({"a"}),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        date(2026, 1, 2),
        timedelta(seconds=1.5),
        Decimal("1.10"),
        UUID(int=5),
    ],
    ids=repr,
)
def test_data_comes_back_as_it_was(value):
    for copy in (decode(encode(value)), clone(value)):
        assert copy == value
        assert type(copy) is type(value)


def test_a_value_may_hold_itself():
    value = {"name": "a"}
    value["self"] = value
    copy = decode(encode(value))
    assert copy["self"] is copy
    assert copy is not value


@pytest.mark.parametrize("value", [lambda: 1, object(), open, int], ids=["lambda", "object", "builtin", "type"])
def test_what_is_no_data_is_refused_by_name(value):
    with pytest.raises(DataCloneError, match=f"type .*{type(value).__name__}"):
        encode(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"orders": [1, 2, 3, {"at": open}]}, "$.orders[3].at"),
        ({"a b": ({1: object()},)}, "$['a b'][0][1]"),
        ([{open}], "$[0][...]"),
        ({open: 1}, f"$ (the key {open!r})"),
    ],
    ids=["dicts and lists", "a tuple", "a set", "a key"],
)
def test_what_is_no_data_is_refused_with_its_place(value, place):
    with pytest.raises(DataCloneError, match=re.escape(f"It stands at {place}.")):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xc1\x00", b"\xd8\x23\x61a", os.urandom(64)],
    ids=["empty", "break", "cut off", "unknown tag", "random"],
)
def test_foreign_bytes_are_an_error_and_run_nothing(data):
    try:
        decode(data)
    except StorageError:
        pass


# SQL


async def test_rows_are_dicts(sql):
    sql.exec("create table t (id integer primary key, name text)")
    cursor = sql.exec("insert into t (name) values (?), (?)", "a", "b")
    assert cursor.rows_written == 2
    assert sql.exec("select * from t order by id").to_array() == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert [row["name"] for row in sql.exec("select name from t")] == ["a", "b"]
    assert sql.exec("select * from t").raw().to_array() == [(1, "a"), (2, "b")]
    assert sql.database_size > 0


async def test_one_row_is_one_row(sql):
    assert sql.exec("select 1 as a").one() == {"a": 1}
    with pytest.raises(SqlError, match=r"Expected exactly one result from SQL query, but got no results\."):
        sql.exec("select 1 where 0").one()
    with pytest.raises(SqlError, match=r"Expected exactly one result from SQL query, but got multiple results\."):
        sql.exec("select 1 union select 2").one()


async def test_column_names_stay_with_duplicates(sql):
    cursor = sql.exec("select 1 as a, 2 as a, 3 as b")
    assert cursor.to_array() == [{"a": 2, "b": 3}]
    assert cursor.column_names == ["a", "a", "b"]
    assert sql.exec("select 1 as a where 0").column_names == ["a"]


async def test_several_statements_bind_to_the_last(sql):
    rows = sql.exec("create table t (a); insert into t values (1); select * from t where a = ?", 1).to_array()
    assert rows == [{"a": 1}]


async def test_rows_are_counted_as_they_come(sql):
    cursor = sql.exec("select 1 union all select 2")
    assert cursor.next() is not None
    assert cursor.rows_read == 1
    cursor.to_array()
    assert cursor.rows_read == 2
    assert cursor.next() is None


@pytest.mark.parametrize("value", [None, 1, 2**62, 1.5, "ü", b"\x00", True], ids=repr)
async def test_values_are_bound_and_come_back(sql, value):
    assert sql.exec("select ? as v", value).one() == {"v": value}


@pytest.mark.parametrize(
    ("query", "bindings", "text"),
    [
        ("select ?", (), "Wrong number of parameter bindings for SQL query."),
        ("select 1", (1,), "Wrong number of parameter bindings for SQL query."),
        ("", (), "SQL code did not contain a statement."),
        ("-- nothing", (), "SQL code did not contain a statement."),
        ("select * from foo", (), "no such table: foo"),
        ("BEGIN", (), "To execute a transaction"),
        ("  savepoint x", (), "To execute a transaction"),
        ("COMMIT", (), "To execute a transaction"),
        ("attach 'x' as y", (), "not authorized: SQLITE_AUTH"),
        ("vacuum into 'x'", (), "not authorized: SQLITE_AUTH"),
        ("select load_extension('x')", (), "not authorized: SQLITE_AUTH"),
        ("select sqlite_version()", (), "not authorized: SQLITE_AUTH"),
        ("select * from _cf_KV", (), "not authorized: SQLITE_AUTH"),
        ("create table _CF_x (a)", (), "not authorized: SQLITE_AUTH"),
        ("create temp table x (a)", (), "not authorized: SQLITE_AUTH"),
        ("pragma journal_mode = delete", (), "not authorized: SQLITE_AUTH"),
        ("pragma writable_schema = 1", (), "not authorized: SQLITE_AUTH"),
        ("delete from sqlite_schema", (), ""),
    ],
    ids=str,
)
async def test_what_sql_may_not_do_is_said_in_workerds_words(sql, query, bindings, text):
    with pytest.raises(SqlError) as caught:
        sql.exec(query, *bindings)
    assert text in str(caught.value)
    assert caught.value.query == query


@pytest.mark.parametrize("query", ["pragma user_version", "PRAGMA user_version = 2", "pragma main.user_version=2"])
async def test_who_would_number_the_tables_with_a_pragma_reads_what_to_do_instead(sql, query):
    with pytest.raises(SqlError) as caught:
        sql.exec(query)
    assert str(caught.value) == "not authorized: SQLITE_AUTH"
    assert any("ctx.storage.kv.put" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("query", ["pragma table_list", "pragma foreign_keys", "pragma quick_check", "pragma optimize"])
async def test_harmless_pragmas_are_allowed(sql, query):
    sql.exec(query).to_array()


async def test_text_search_json_and_mathematics_are_there(sql):
    sql.exec("create virtual table notes using fts5 (body); insert into notes values ('a cat')")
    assert sql.exec("select body from notes('cat')").one() == {"body": "a cat"}
    assert sql.exec("select json_extract('[1, 2]', '$[1]') as n, sqrt(4) as s").one() == {"n": 2, "s": 2.0}


async def test_an_internal_statement_is_not_let_through_by_a_cache(storage):
    await storage.put("a", 1)
    await storage.get("a")
    for query in ("SELECT value FROM _cf_KV WHERE key = ?", "SELECT value FROM _cf_METADATA WHERE key = 'alarm'"):
        with pytest.raises(SqlError):
            storage.sql.exec(query, *(["a"] if "?" in query else []))


# Transactions


async def test_a_transaction_is_kept_whole_or_not_at_all(storage):
    async def fails(txn):
        await txn.put("a", 1)
        raise ValueError

    with pytest.raises(ValueError):
        await storage.transaction(fails)
    assert await storage.get("a") is None

    async def works(txn):
        await txn.put("a", 2)
        return await txn.get("a")

    assert await storage.transaction(works) == 2


async def test_a_transaction_can_be_rolled_back(storage):
    async def undo(txn):
        await txn.put("a", 1)
        txn.rollback()
        with pytest.raises((StorageError, RuntimeError), match=r"Cannot get\(\) on rolled back transaction"):
            await txn.get("a")

    await storage.transaction(undo)
    assert await storage.get("a") is None


async def test_a_transaction_is_over_when_it_is_over(storage):
    kept = []

    async def leak(txn):
        kept.append(txn)

    await storage.transaction(leak)
    with pytest.raises((StorageError, RuntimeError), match="already committed"):
        await kept[0].get("a")


async def test_synchronous_transactions_nest(storage):
    def inner():
        storage.kv.put("b", 1)
        raise ValueError

    def outer():
        storage.kv.put("a", 1)
        with pytest.raises(ValueError):
            storage.transaction_sync(inner)
        return "done"

    assert storage.transaction_sync(outer) == "done"
    assert (storage.kv.get("a"), storage.kv.get("b")) == (1, None)


# Files


async def test_reading_makes_no_file(storage, database):
    assert await storage.get("a") is None
    assert await storage.list() == {}
    assert not database.path.exists()
    await storage.put("a", 1)
    assert database.path.exists()


async def test_files_are_for_their_owner_alone(storage, database):
    await storage.put("a", 1)
    database.commit()
    assert database.path.stat().st_mode & 0o077 == 0
    assert database.path.parent.stat().st_mode & 0o077 == 0


async def test_what_was_not_committed_is_undone(storage, database):
    await storage.put("a", 1)
    database.commit()
    await storage.put("a", 2)
    database.rollback()
    assert await storage.get("a") == 1


async def test_the_file_knows_the_objects_name(tmp_path, database):
    database.set_identity("ann")
    database.fetch("SELECT 1")
    database.commit()
    await make_storage(database).put("a", 1)
    database.commit()
    path, driver = database.path, database._driver_name
    database.close()
    again = Database.open(path, driver=driver)
    assert again.identity == "ann"
    again.close()


_WRITER = """
import asyncio, sys
from pathlib import Path
from edgeagents.objects.sqlite import Database
from tests.objects.test_storage import make_storage

async def main():
    database = Database.open(Path(sys.argv[1]), driver=sys.argv[2])
    storage = make_storage(database)
    n = 0
    while True:
        n += 1
        await storage.put({"n": n, f"key {n % 50}": n})
        database.commit()
        database.sync()
        print(n, flush=True)

asyncio.run(main())
"""


def kill_a_writer(path, driver):
    """Let a process write and sync, kill it, and return the last number that it reported."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), driver], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    seen = 0
    for line in process.stdout:
        seen = int(line)
        if seen >= 60:
            process.send_signal(signal.SIGKILL)
            break
    seen = max([seen, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    return seen


async def test_what_was_synced_survives_a_kill(tmp_path, database):
    path, driver = tmp_path / "y.sqlite", database._driver_name
    seen = await asyncio.to_thread(kill_a_writer, path, driver)
    survivor = Database.open(path, driver=driver)
    storage = make_storage(survivor)
    n = await storage.get("n")
    assert n >= seen
    assert await storage.get(f"key {n % 50}") == n
    survivor.close()


class Legacy(DurableObject):
    async def query(self):
        return self.ctx.storage.sql.exec("select 1").one()


async def test_a_class_without_sql_says_how_to_get_it():
    from edgeagents.bindings import BindingDeclaration
    from edgeagents.runtime import Runtime
    from edgeagents.worker import Worker

    binding = BindingDeclaration("L", "durable_object_namespace", {"class_name": "Legacy", "storage": "legacy-kv"})
    worker = Worker("w", {"Legacy": Legacy}, [binding])
    async with Runtime(worker, storage=None, discover_plugins=False) as runtime:
        with pytest.raises(Exception, match="SQL is not enabled for this Durable Object class"):
            await runtime.env.L.get_by_name("x").query()


class Atomic(DurableObject):
    async def transfer(self, fail):
        async def move(txn):
            await txn.put("a", 1)
            await asyncio.sleep(0)
            await txn.put("b", 1)
            if fail:
                raise ValueError("no")

        await self.ctx.storage.transaction(move)

    async def write(self, key):
        await self.ctx.storage.put(key, 1)

    async def keys(self):
        return list(await self.ctx.storage.list())


async def test_others_wait_for_a_transaction_and_do_not_join_it():
    async with agent_runtime(Atomic) as runtime:
        stub = runtime.namespaces["Atomic"].get_by_name("x")
        results = await asyncio.gather(stub.transfer(True), stub.write("c"), return_exceptions=True)
        assert isinstance(results[0], ValueError)
        assert await stub.keys() == ["c"]
