"""What an object may keep and ask of its database: one below each limit passes, one above is refused by name."""

from __future__ import annotations

import itertools

import pytest

from edgeagents.errors import ConfigError, SqlError, SqlLimitError, StorageError, StorageLimitError
from edgeagents.objects import Limits
from edgeagents.objects.sqlite import Database
from edgeagents.objects.storage import Storage
from edgeagents.testing import ManualClock

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "sizes of values, rows and statements", "same; with `strict=False` they may be larger"
)

MIB = 1024 * 1024
COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) "


class NoAlarm:
    def get(self):
        return None

    def delete(self):
        return None


@pytest.fixture(params=["apsw", "sqlite3"])
def open_storage(request, tmp_path):
    opened = []

    def open_one(limits: Limits, monotonic=None) -> Storage:
        database = Database.open(tmp_path / f"{len(opened)}.sqlite", driver=request.param)
        database.bound(limits, monotonic)
        opened.append(database)
        return Storage(database, alarm=NoAlarm(), clock=ManualClock())

    yield open_one
    for database in opened:
        database.close()


# Sizes


@pytest.mark.parametrize("limits", [Limits(), Limits(value_bytes=1000), Limits(strict=False, value_bytes=3 * MIB)])
async def test_a_key_and_its_value_have_a_size_together(open_storage, limits):
    storage = open_storage(limits)
    # A value of bytes has a head of 3 or 5.
    most = limits.value_bytes - 1 - (3 if limits.value_bytes < 65_536 else 5)
    await storage.put("k", b"x" * most)

    with pytest.raises(StorageLimitError, match="SQLITE_TOOBIG") as raised:
        await storage.put("l", b"x" * (most + 1))

    assert f"Limits(value_bytes={limits.value_bytes})" in raised.value.__notes__[0]
    assert list(await storage.list()) == ["k"]


@pytest.mark.parametrize(
    ("limits", "text", "fits", "message"),
    [
        (Limits(), "SELECT length(zeroblob(?))", (4 * MIB,), "string or blob too big: SQLITE_TOOBIG"),
        (
            Limits(strict=False, row_bytes=5 * MIB),
            "SELECT length(zeroblob(?))",
            (5 * MIB,),
            "string or blob too big: SQLITE_TOOBIG",
        ),
    ],
)
def test_a_blob_has_a_size(open_storage, limits, text, fits, message):
    sql = open_storage(limits).sql
    assert sql.exec(text, *fits).raw().to_array() == [fits]

    with pytest.raises(SqlError, match=message) as raised:
        sql.exec(text, fits[0] + 1).to_array()

    assert any(f"row_bytes={limits.row_bytes}" in note for note in raised.value.__notes__)


def test_a_statement_has_a_size(open_storage):
    sql = open_storage(Limits(statement_bytes=1000)).sql
    assert sql.exec("SELECT 1" + " " * 900).one() == {"1": 1}

    with pytest.raises(SqlError):
        sql.exec("SELECT 1 AS a" + " -- " + "x" * 1000)


@pytest.mark.parametrize("most", [100, 120])
def test_a_statement_has_so_many_parameters_and_columns(open_storage, most):
    sql = open_storage(Limits(strict=most <= 100, sql_parameters=most, sql_columns=most)).sql
    marks = ["?"] * most
    assert len(sql.exec(f"SELECT {','.join(marks)}", *range(most)).column_names) == most

    with pytest.raises(SqlError, match=f"at most {most}"):
        sql.exec("SELECT ? + ?", *range(most + 1))
    with pytest.raises(SqlError, match="too many columns"):
        sql.exec(f"SELECT {','.join(['1'] * (most + 1))}")


def test_more_than_cloudflare_has_must_be_meant():
    with pytest.raises(ConfigError, match=r"Limits\(row_bytes=4194305, strict=False\)"):
        Limits(row_bytes=4 * MIB + 1)
    with pytest.raises(ConfigError, match="a value is kept in a row"):
        Limits(strict=False, value_bytes=8 * MIB)


# Rows


def test_so_many_rows_are_fetched_at_once_and_any_number_one_by_one(open_storage):
    storage = open_storage(Limits(sql_rows=10))
    sql = storage.sql
    query = COUNT + "SELECT i FROM n"
    assert len(sql.exec(query.format(10)).to_array()) == 10

    with pytest.raises(SqlLimitError) as raised:
        sql.exec(query.format(11)).to_array()

    assert (raised.value.setting, raised.value.limit) == ("sql_rows", 10)
    assert "Limits(sql_rows=10)" in str(raised.value)
    assert sum(1 for _ in sql.exec(query.format(1000))) == 1000
    # A library that fetches is told too.
    connection = storage.database.connection
    assert len(connection.execute(query.format(10)).fetchall()) == 10
    with pytest.raises(SqlLimitError):
        connection.execute(query.format(11)).fetchall()


# Time


class Hours:
    """A clock on which an hour passes each time that it is looked at."""

    def __init__(self) -> None:
        self._hours = itertools.count()

    def __call__(self) -> float:
        return next(self._hours) * 3600.0


ENDLESS = COUNT.format(10**12) + "SELECT count(*) FROM n"


def test_a_statement_that_takes_too_long_is_ended(open_storage):
    storage = open_storage(Limits(sql_seconds=5), Hours())
    storage.sql.exec("CREATE TABLE t (n)")

    with pytest.raises(SqlLimitError, match=r"Limits\(sql_seconds=5\)") as raised:
        storage.sql.exec(ENDLESS)
    assert (raised.value.setting, raised.value.limit, raised.value.query) == ("sql_seconds", 5, ENDLESS)
    with pytest.raises(SqlError, match=r"Limits\(sql_seconds=5\)"):
        storage.database.connection.execute(ENDLESS).fetchall()

    # The object goes on, with what it wrote before.
    storage.sql.exec("INSERT INTO t VALUES (1)")
    assert storage.sql.exec("SELECT n FROM t").one() == {"n": 1}


def test_a_reader_that_takes_its_time_between_rows_is_no_long_statement(open_storage):
    storage = open_storage(Limits(sql_seconds=5), Hours())
    query = COUNT.format(100_000) + "SELECT i FROM n"

    assert sum(1 for _ in storage.sql.exec(query)) == 100_000
    assert sum(1 for _ in storage.database.connection.execute(query)) == 100_000


def test_a_long_write_takes_the_whole_transaction_with_it(open_storage):
    storage = open_storage(Limits(sql_seconds=5), Hours())
    storage.sql.exec("CREATE TABLE t (n)")
    storage.database.commit()
    storage.sql.exec("INSERT INTO t VALUES (1)")

    with pytest.raises(SqlLimitError):
        storage.sql.exec("INSERT INTO t " + COUNT.format(10**12) + "SELECT i FROM n")
    with pytest.raises(StorageError, match="undone the whole transaction"):
        storage.database.commit()
    storage.database.rollback()

    assert storage.sql.exec("SELECT count(*) AS n FROM t").one() == {"n": 0}
