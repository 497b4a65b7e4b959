"""``edgeagents d1``: statements and migrations on the state that a worker has."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main

Run = Callable[..., Result]
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB '[a-rt-z]*' ORDER BY name"
DATABASE = {"binding": "DB", "database_name": "shop", "database_id": "0000-1"}


def write_config(folder: Path, **changes: object) -> None:
    (folder / "wrangler.json").write_text(json.dumps({"name": "w", "d1_databases": [{**DATABASE, **changes}]}))


@pytest.fixture
def d1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["d1", *arguments])


def migration(folder: Path, name: str, sql: str, under: str = "migrations") -> None:
    (folder / under).mkdir(exist_ok=True)
    (folder / under / name).write_text(sql)


def rows(d1: Run, sql: str) -> list[dict[str, object]]:
    return json.loads(d1("execute", "DB", "--local", "--json", "--command", sql).stdout)[0]["results"]


def test_statements_are_run_and_their_rows_shown(d1: Run) -> None:
    made = d1(
        "execute", "shop", "--local", "--command", "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, NULL)"
    )
    assert made.exit_code == 0, made.output
    assert made.stderr == "2 statements were run, and changed 2 rows.\n"
    shown = d1("execute", "DB", "--command", "SELECT * FROM t; SELECT count(*) AS n FROM t")
    assert shown.stdout == "a   b\n1   x\n2\nn\n2\n"


def test_json_has_a_result_for_each_statement(d1: Run) -> None:
    told = json.loads(d1("execute", "DB", "--json", "-y", "--command", "CREATE TABLE t (a); SELECT 1 AS one").stdout)
    assert [result["results"] for result in told] == [[], [{"one": 1}]]
    assert all(result["success"] for result in told)


def test_a_file_is_run_with_triggers_and_comments_in_it(d1: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text(
        "\ufeff-- the tables; all of them\nCREATE TABLE a (n);\nCREATE TABLE log (n);\n"
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO log VALUES (new.n); END;\nINSERT INTO a VALUES (';');"
    )
    assert d1("execute", "DB", "--file", "schema.sql").exit_code == 0
    assert rows(d1, "SELECT n FROM log") == [{"n": ";"}]


def test_one_statement_is_counted_as_one(d1: Run) -> None:
    d1("execute", "DB", "--command", "CREATE TABLE t (a)")
    told = d1("execute", "DB", "--command", "INSERT INTO t VALUES (1)").stderr
    assert told == "1 statement was run, and changed 1 row.\n"


def test_statements_are_run_all_or_none(d1: Run) -> None:
    failed = d1("execute", "DB", "--command", "CREATE TABLE t (a); INSERT INTO nope VALUES (1)")
    assert failed.exit_code == 1
    assert "no such table: nope" in failed.stderr
    assert rows(d1, TABLES) == []


def test_migrations_are_applied_once_in_the_order_of_their_names(d1: Run, tmp_path: Path) -> None:
    migration(tmp_path, "0002_fill.sql", "INSERT INTO users VALUES ('a');")
    migration(tmp_path, "0001_make.sql", "CREATE TABLE users (name);")
    assert json.loads(d1("migrations", "list", "DB", "--json").stdout) == [
        {"Name": "0001_make.sql"},
        {"Name": "0002_fill.sql"},
    ]
    applied = d1("migrations", "apply", "DB", "--local")
    assert applied.stdout == "0001_make.sql is applied.\n0002_fill.sql is applied.\n"
    assert d1("migrations", "apply", "DB").stdout == "No migrations to apply!\n"
    assert d1("migrations", "list", "DB").stdout == "No migrations to apply!\n"
    assert rows(d1, "SELECT * FROM users") == [{"name": "a"}]


def test_what_was_applied_is_in_the_table_that_wrangler_makes(d1: Run, tmp_path: Path) -> None:
    migration(tmp_path, "0001_make.sql", "CREATE TABLE users (name);")
    d1("migrations", "apply", "DB")
    (row,) = rows(d1, "SELECT * FROM d1_migrations")
    assert (row["id"], row["name"]) == (1, "0001_make.sql")
    assert len(str(row["applied_at"])) == len("2026-01-01 00:00:00")


def test_a_migration_that_fails_leaves_nothing_and_stops_the_rest(d1: Run, tmp_path: Path) -> None:
    migration(tmp_path, "0001_good.sql", "CREATE TABLE good (n);")
    migration(tmp_path, "0002_bad.sql", "CREATE TABLE half (n); INSERT INTO nope VALUES (1);")
    migration(tmp_path, "0003_later.sql", "CREATE TABLE later (n);")
    failed = d1("migrations", "apply", "DB")
    assert failed.exit_code == 1
    assert failed.stdout == "0001_good.sql is applied.\n"
    assert "0002_bad.sql could not be applied, and nothing of it was. D1_ERROR: no such table: nope" in failed.stderr
    assert rows(d1, TABLES) == [{"name": "d1_migrations"}, {"name": "good"}]
    migration(tmp_path, "0002_bad.sql", "CREATE TABLE half (n);")
    assert d1("migrations", "apply", "DB").stdout == "0002_bad.sql is applied.\n0003_later.sql is applied.\n"


def test_a_migration_of_comments_alone_is_applied(d1: Run, tmp_path: Path) -> None:
    migration(tmp_path, "0001_empty.sql", "-- nothing yet\n")
    assert d1("migrations", "apply", "DB").stdout == "0001_empty.sql is applied.\n"


def test_the_folder_and_the_table_can_have_other_names(d1: Run, tmp_path: Path) -> None:
    write_config(tmp_path, migrations_dir="sql", migrations_table='my "steps"')
    migration(tmp_path, "1.sql", "CREATE TABLE t (n);", under="sql")
    d1("migrations", "apply", "DB")
    assert rows(d1, 'SELECT name FROM "my ""steps"""') == [{"name": "1.sql"}]
    assert d1("migrations", "list", "DB").stdout == "No migrations to apply!\n"


def test_a_pattern_says_which_files_are_migrations(d1: Run, tmp_path: Path) -> None:
    write_config(tmp_path, migrations_dir="sql", migrations_pattern="sql/*/migration.sql")
    (tmp_path / "sql").mkdir()
    migration(tmp_path, "migration.sql", "CREATE TABLE t (n);", under="sql/0001_first")
    assert d1("migrations", "apply", "DB").stdout == "migration.sql is applied.\n"


def test_a_new_migration_gets_the_next_number(d1: Run, tmp_path: Path) -> None:
    migration(tmp_path, "0007_old.sql", "")
    told = d1("migrations", "create", "DB", "add the users!").stdout
    assert told == "Write the migration into migrations/0008_add_the_users_.sql.\n"
    assert (tmp_path / "migrations" / "0008_add_the_users_.sql").read_text().startswith("-- Migration number: 0008")


def test_looking_makes_no_database(d1: Run, tmp_path: Path) -> None:
    migration(tmp_path, "1.sql", "CREATE TABLE t (n);")
    assert d1("migrations", "list", "DB").stdout == "Migrations to be applied:\n1.sql\n"
    assert json.loads(d1("info", "DB", "--json").stdout)["database_size"] == 0
    assert list(tmp_path.rglob("*.sqlite")) == []


def test_info_and_list_tell_of_the_databases(d1: Run, tmp_path: Path) -> None:
    d1("execute", "DB", "--command", "CREATE TABLE t (n)")
    about = json.loads(d1("info", "shop", "--json").stdout)
    assert (about["name"], about["uuid"], about["num_tables"]) == ("shop", "0000-1", 1)
    with sqlite3.connect(about["file"]) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connection.close()
    assert "num_tables:     1" in d1("info", "shop").stdout
    assert d1("list").stdout == "name   uuid     binding\nshop   0000-1   DB\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["execute", "DB"], "Say what to run"),
        (["execute", "NO", "--command", "SELECT 1"], "has no D1 Database 'NO'. It has: DB."),
        (["execute", "DB", "--command", "SELECT"], "D1_ERROR"),
        (["execute", "DB", "--remote", "--command", "SELECT 1"], "Only local state is known here"),
    ],
    ids=["nothing", "unknown", "no sql", "remote"],
)
def test_what_is_wrong_is_told_in_a_line(d1: Run, arguments: list[str], message: str) -> None:
    result = d1(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr


SHOP = """
CREATE TABLE "two words" (id INTEGER PRIMARY KEY, price REAL, picture BLOB, twice AS (price * 2));
CREATE TABLE log (line TEXT);
CREATE INDEX by_price ON "two words" (price);
CREATE TRIGGER noted AFTER INSERT ON "two words" BEGIN INSERT INTO log VALUES ('it''s ' || new.id); END;
INSERT INTO "two words" (id, price, picture) VALUES (1, 0.1, x'00ff'), (9007199254740993, NULL, NULL);
"""


def test_what_is_exported_makes_the_database_anew(d1: Run, tmp_path: Path) -> None:
    assert d1("execute", "DB", "--command", SHOP).exit_code == 0
    told = d1("export", "DB", "--local", "--output", "shop.sql")
    assert (told.exit_code, told.stdout) == (0, "DB is in shop.sql.\n")
    with sqlite3.connect(":memory:") as copy:
        copy.executescript((tmp_path / "shop.sql").read_text())
        assert copy.execute('SELECT * FROM "two words"').fetchall() == [
            (1, 0.1, b"\x00\xff", 0.2),
            (9007199254740993, None, None, None),
        ]
        # Each line once: the trigger came after the rows.
        assert copy.execute("SELECT line FROM log").fetchall() == [("it's 1",), ("it's 9007199254740993",)]
        assert copy.execute("SELECT count(*) FROM sqlite_master WHERE type IN ('index', 'trigger')").fetchone() == (2,)
    copy.close()


def test_an_export_may_be_of_some_tables_or_of_half_of_it(d1: Run, tmp_path: Path) -> None:
    d1("execute", "DB", "--command", SHOP)
    file = tmp_path / "out.sql"
    d1("export", "DB", "--output", "out.sql", "--table", "log", "--no-schema")
    assert file.read_text().splitlines()[1:] == [
        "INSERT INTO \"log\" (\"line\") VALUES('it''s 1');",
        "INSERT INTO \"log\" (\"line\") VALUES('it''s 9007199254740993');",
    ]
    d1("export", "DB", "--output", "out.sql", "--no-data")
    assert 'INSERT INTO "' not in file.read_text()
    assert (
        "no table 'nope'. There are: two words, log." in d1("export", "DB", "--output", "o", "--table", "nope").stderr
    )
    assert "leave nothing" in d1("export", "DB", "--output", "o", "--no-data", "--no-schema").stderr


def test_a_database_with_a_virtual_table_is_not_exported(d1: Run) -> None:
    d1("execute", "DB", "--command", "CREATE VIRTUAL TABLE words USING fts5(text)")
    assert "'words' is a virtual table" in d1("export", "DB", "--output", "o").stderr


def test_what_only_cloudflare_has_is_told(d1: Run) -> None:
    told = d1("create", "shop")
    assert told.exit_code == 2
    assert "There is no 'create' here: a database is made when it is first used" in told.stderr
    assert "Did you mean 'execute'?" in d1("excute", "DB").stderr
