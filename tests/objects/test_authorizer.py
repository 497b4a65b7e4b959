"""What an object's SQL cannot do, tried in earnest, with either driver."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeagents.errors import SqlError
from edgeagents.objects.sqlite import Database
from edgeagents.objects.storage import Storage
from tests.objects.test_storage import make_storage

NOT_AUTHORIZED = "not authorized: SQLITE_AUTH"


@pytest.fixture(params=["apsw", "sqlite3"])
def database(request: pytest.FixtureRequest, tmp_path: Path):
    database = Database.open(tmp_path / "objects" / "x.sqlite", driver=request.param)
    yield database
    database.close()


@pytest.fixture
def storage(database: Database) -> Storage:
    storage = make_storage(database)
    storage.kv.put("key", "secret")
    storage.sql.exec("create table t (a)")
    # One of those tables of ours that an object may use.
    database.fetch("create table cf_ours (a) /* _cf_ */")
    return storage


def run(storage: Storage, sql: str, *bindings: Any) -> list[dict[str, Any]]:
    return storage.sql.exec(sql, *bindings).to_array()


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "sql",
    [
        "attach 'other.sqlite' as other",
        "/* */ AtTaCh database ':memory:' as m",
        "explain attach 'other.sqlite' as other",
        "detach main",
        "vacuum",
        "vacuum into 'copy.sqlite'",
        "-- \n vacuum main into 'copy.sqlite'",
        "select load_extension('x')",
        "select load_extension('x', 'y')",
        "select fts3_tokenizer('simple')",
        "select fts3_tokenizer('simple', x'0000000000000000')",
        "select sqlite_version()",
        "select sqlite_source_id()",
        "select sqlite_compileoption_get(1)",
        "select sqlite_log(1, 'x')",
        "create virtual table v using fts3(a)",
        "create virtual table v using fts4(a, tokenize=simple)",
        "create virtual table v using geopoly(a)",
        "create virtual table v using dbstat(main)",
        "create virtual table _cf_v using fts5(a)",
        "create virtual table v using fts5(key, value, content=_cf_KV, content_rowid=key)",
        "create virtual table v using fts5vocab(_cf_v, 'row')",
        "select * from pragma_database_list",
        "select * from pragma_function_list",
        "select * from pragma_module_list",
        "select * from pragma_compile_options",
        "create table x as select * from _cf_KV",
        "insert into t select value from _cf_KV",
        "select (select value from _cf_KV)",
        "select 1 where exists (select 1 from _cf_KV)",
        "select 1 where 'key' in _cf_KV",
        "with x as (select * from _cf_KV) select * from x",
        "select count(*) from _cf_KV",
        "select sum(1) over () from _cf_KV",
        'select * from main."_CF_kv"',
        "select * from [_cf_KV]",
        "insert into t values (1) returning (select value from _cf_KV)",
        "insert into _cf_METADATA values ('owner', 99)",
        "replace into _cf_KV values ('key', x'')",
        "update _cf_KV set value = x''",
        "delete from _cf_KV",
        "drop table _cf_KV",
        "alter table _cf_KV rename to mine",
        "alter table _cf_KV add column mine",
        "alter table t rename to _cf_mine",
        "alter table t rename column a to _cf_a",
        "create table _CF_x (a)",
        "create view _cf_v as select 1",
        "create index _cf_i on t (a)",
        "create index i on _cf_KV (value)",
        "create trigger g after insert on _cf_KV begin select 1; end",
        "create trigger _cf_g after insert on t begin select 1; end",
        "create temp table x (a)",
        "create temp view x as select 1",
        "create temp trigger g after insert on t begin select 1; end",
        "explain select * from _cf_KV",
        # Texts of our own, which passed the authorizer before.
        "SELECT value FROM _cf_KV WHERE key = 'key'",
        "INSERT OR REPLACE INTO _cf_METADATA VALUES ('owner', 99)",
        "select * from t /* _cf_ */ where a in (select value from _cf_KV)",
        *(
            f"pragma {each}"
            for each in (
                *("writable_schema = 1", "writable_schema", "trusted_schema = 1", "journal_mode = off", "journal_mode"),
                *("synchronous = off", "locking_mode = normal", "schema_version = 9", "user_version = 9"),
                *("temp_store_directory = '/tmp'", "data_store_directory = '/tmp'", "mmap_size = 9", "cache_size = 9"),
                *("page_size = 512", "max_page_count = 1", "hard_heap_limit = 1", "soft_heap_limit = 1"),
                *("wal_checkpoint(truncate)", "wal_autocheckpoint = 1", "auto_vacuum = 1", "incremental_vacuum"),
                *("encoding = 'UTF-16'", "query_only = 1", "secure_delete = 0", "cell_size_check = 0", "threads = 9"),
                *("busy_timeout = 1", "integrity_check", "database_list", "function_list", "compile_options"),
                *("shrink_memory", "data_version = 1", "foreign_keys = 2", "recursive_triggers = 'maybe'"),
            )
        ),
    ],
)
def test_what_is_not_allowed_is_refused(storage: Storage, sql: str):
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        run(storage, sql)
    assert storage.kv.get("key") == "secret"


@pytest.mark.parametrize(
    "sql",
    [
        "select readfile('/etc/passwd')",
        "select writefile('written', 'x')",
        "select edit('x')",
        "select * from fsdir('/')",
        "select * from generate_series(1, 2)",
        "select sqlite_deserialize('x')",
        "create virtual table v using csv(filename='/etc/passwd')",
        "create virtual table v using zipfile('x.zip')",
        "select * from sqlite_dbpage",
        "select * from dbstat",
        "select * from sqlite_stmt",
        "select * from bytecode('select 1')",
        "insert into sqlite_schema values ('table', 'x', 'x', 0, 'create table x (a)')",
        "update sqlite_schema set sql = 'create table x (a)'",
        "delete from sqlite_master",
        "create table sqlite_x (a)",
        "drop table sqlite_schema",
        "create index i on t (load_extension(a))",
        "create table x (a, b as (load_extension(a)))",
        "create table x (a check (load_extension(a)))",
        "select zeroblob(2000000000)",
        "select hex(zeroblob(1000000000))",
        "select randomblob(2000000000)",
    ],
)
def test_what_is_not_there_or_not_possible_fails(storage: Storage, sql: str, tmp_path: Path):
    before = files_of(tmp_path)
    with pytest.raises(SqlError):
        run(storage, sql)
    assert files_of(tmp_path) == before


def test_no_statement_makes_a_file(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    before = files_of(tmp_path)
    for sql in ("attach 'a' as a", "vacuum into 'b'", "select writefile('c', '')", "pragma temp_store_directory = 'd'"):
        with pytest.raises(SqlError):
            run(storage, sql)
    assert files_of(tmp_path) == before


# Triggers and views, which run in whoever's statement touches them


@pytest.mark.parametrize(
    "body",
    [
        "delete from _cf_KV",
        "insert into loot select value from _cf_KV",
        "update _cf_METADATA set value = 99 where key = 'owner'",
        "select load_extension('x')",
    ],
)
def test_a_trigger_on_a_table_of_ours_is_still_the_objects(storage: Storage, database: Database, body: str):
    run(storage, "create table loot (a)")
    run(storage, f"create trigger g after insert on cf_ours begin {body}; end")

    with pytest.raises(SqlError, match=r"not authorized|unsafe use"):
        database.fetch("insert into cf_ours values (1) /* _cf_ */")

    assert storage.kv.get("key") == "secret"
    assert run(storage, "select * from loot") == []
    run(storage, "drop trigger g")
    database.fetch("insert into cf_ours values (1) /* _cf_ */")


def test_an_honest_trigger_on_a_table_of_ours_runs(storage: Storage, database: Database):
    run(storage, "create trigger g after insert on cf_ours begin insert into t values (new.a); end")
    database.fetch("insert into cf_ours values (7) /* _cf_ */")
    assert run(storage, "select * from t") == [{"a": 7}]


def test_a_view_in_the_place_of_a_table_of_ours_is_still_the_objects(storage: Storage, database: Database):
    run(storage, "drop table cf_ours")
    run(storage, "create view cf_ours as select value as a from _cf_KV")

    with pytest.raises(SqlError, match=r"not authorized|prohibited"):
        database.fetch("select a from cf_ours /* _cf_ */")
    with pytest.raises(SqlError, match="not authorized"):
        run(storage, "select a from cf_ours")


def test_a_trigger_that_another_trigger_sets_off_is_too(storage: Storage, database: Database):
    run(storage, "create trigger g after insert on cf_ours begin insert into t values (1); end")
    run(storage, "create trigger h after insert on t begin delete from _cf_KV; end")

    with pytest.raises(SqlError, match="not authorized"):
        database.fetch("insert into cf_ours values (1) /* _cf_ */")
    assert storage.kv.get("key") == "secret"


# Other ways to a reserved table


def test_text_search_reads_no_table_of_ours(storage: Storage):
    run(storage, "create virtual table v using fts5(a, content='t')")
    for name in ("_cf_KV", '"_CF_KV"', '_cf_KV" --'):
        with pytest.raises(SqlError, match="not authorized"):
            run(storage, f"create virtual table w using fts5(key, value, content='{name}', content_rowid=key)")


@pytest.mark.parametrize(
    "sql",
    [
        "pragma table_info(_cf_KV)",
        "pragma main.table_xinfo('_CF_METADATA')",
        "pragma index_list(_cf_KV)",
        "pragma index_info(sqlite_autoindex__cf_KV_1)",
        "pragma foreign_key_list(_cf_KV)",
        "select * from pragma_table_info('_cf_KV')",
        "select name from pragma_table_info('_cf_' || 'KV')",
    ],
)
def test_pragmas_tell_nothing_of_tables_of_ours(storage: Storage, sql: str):
    assert run(storage, sql) == []


def test_pragmas_tell_of_the_objects_own_beside_ours(storage: Storage):
    query = "select s.name as t, i.name as c from sqlite_schema s, pragma_table_info(s.name) i where s.type = 'table'"
    assert {"t": "t", "c": "a"} in run(storage, query)
    assert not [row for row in run(storage, query) if row["t"].startswith("_cf_")]


def test_statistics_leave_tables_of_ours_out(storage: Storage):
    run(storage, "insert into t values (1)")
    run(storage, "create index i on t (a)")
    for sql in ("analyze", "pragma optimize", "analyze _cf_KV", "reindex"):
        run(storage, sql)
    assert {row["tbl"] for row in run(storage, "select tbl from sqlite_stat1")} == {"t"}


def test_a_foreign_key_does_not_tell_which_keys_there_are(storage: Storage):
    run(storage, "create table child (k references _cf_KV(key))")
    for key in ("key", "no such key"):
        with pytest.raises(SqlError, match="not authorized"):
            run(storage, "insert into child values (?)", key)


def test_the_tables_of_text_search_are_guarded(storage: Storage, database: Database):
    is_old = database.driver.__class__.__name__ == "StdlibDriver" and sys.version_info < (3, 12)
    run(storage, "create virtual table v using fts5(a)")
    sql = "update v_config set v = 99"
    if is_old:
        run(storage, sql)  # Python 3.11's own driver cannot be told; with apsw it is refused. See docs/security.md.
    else:
        with pytest.raises(SqlError, match="may not be modified"):
            run(storage, sql)


@pytest.mark.parametrize("text", ["select 1\0; attach 'x' as y", "select '\ud800'"])
def test_text_that_is_no_text_is_refused(storage: Storage, text: str):
    with pytest.raises(ValueError):
        run(storage, text)


def test_a_function_of_the_schema_is_not_trusted(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    foreign = sqlite3.connect(path)
    foreign.execute("create table t (a, b default (load_extension('x')))")
    foreign.commit()
    foreign.close()
    for driver in ("apsw", "sqlite3"):
        database = Database.open(path, driver=driver)  # pyright: ignore[reportArgumentType]
        with pytest.raises(SqlError, match=r"unsafe use|not authorized"):
            run(make_storage(database), "insert into t (a) values (1)")
        database.close()
