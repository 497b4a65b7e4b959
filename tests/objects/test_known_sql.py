"""A text of SQL that was run before runs quicker, and as if it were new."""

from __future__ import annotations

import pytest

from edgeagents.errors import SqlError, SqlLimitError
from edgeagents.objects.limits import Limits
from edgeagents.objects.sql import Sql
from edgeagents.objects.sqlite import Database

ALL = "SELECT * FROM notes ORDER BY id"
ADD = "INSERT INTO notes (text) VALUES (?)"


@pytest.fixture(params=["apsw", "sqlite3"])
def database(request, tmp_path):
    database = Database.open(tmp_path / "x.sqlite", driver=request.param)
    yield database
    database.close()


@pytest.fixture
def sql(database):
    sql = Sql(database)
    sql.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text)")
    for text in "abc":
        sql.exec(ADD, text)
    return sql


def test_it_gives_the_columns_that_there_are_now(sql):
    assert sql.rows(ALL, ())[0] == {"id": 1, "text": "a"}
    sql.exec("ALTER TABLE notes ADD COLUMN more DEFAULT 7")

    assert sql.rows(ALL, ())[0] == {"id": 1, "text": "a", "more": 7}
    assert sql.exec(ALL).column_names == ["id", "text", "more"]


def test_it_gives_the_columns_that_there_were_when_a_change_is_undone(sql, database):
    database.commit()
    sql.exec("ALTER TABLE notes ADD COLUMN more DEFAULT 7")
    sql.rows(ALL, ())
    database.rollback()

    assert sql.rows(ALL, ())[0] == {"id": 1, "text": "a"}


def test_it_runs_in_the_next_transaction_too(sql, database):
    sql.rows(ALL, ())
    database.commit()
    sql.exec(ADD, "d")

    assert database.in_transaction
    assert len(sql.rows(ALL, ())) == 4


def test_it_runs_when_the_file_was_closed_and_opened_again(sql, database):
    sql.rows(ALL, ())
    database.commit()
    database.sync()
    assert database.suspend()

    assert len(sql.exec(ALL).to_array()) == 3


def test_text_in_double_quotes_is_taken_where_that_is_asked_for_also_after_a_pause(sql, database):
    sql.accept_double_quoted_text()
    for _ in range(2):
        assert sql.exec('SELECT "quoted" AS text').one() == {"text": "quoted"}
        database.commit()
        database.sync()
        assert database.suspend()


def test_cursors_of_one_text_are_read_in_turn(sql):
    first, second = sql.exec(ALL), sql.exec(ALL)

    assert [next(cursor)["id"] for cursor in (first, second, first, second)] == [1, 1, 2, 2]
    assert sql.rows(ALL, ()) == sql.exec(ALL).to_array()
    assert (first.raw().to_array(), second.to_array()) == ([(3, "c")], [{"id": 3, "text": "c"}])


def test_a_function_in_it_may_run_it(sql, database):
    database.object_sql.create_function("others", 0, lambda: len(sql.rows(ALL, ())), deterministic=False)
    query = "SELECT others() AS n"

    assert [sql.rows(query, ()) for _ in range(2)] == [[{"n": 3}]] * 2


def test_an_error_leaves_it_as_it_was(sql):
    for _ in range(2):
        with pytest.raises(SqlError, match="UNIQUE"):
            sql.exec("INSERT INTO notes (id) VALUES (?)", 1)
        with pytest.raises(TypeError, match="object"):
            sql.exec(ADD, object())
    assert sql.exec(ADD, "d").rows_written == 1
    assert len(sql.rows(ALL, ())) == 4


def test_too_many_values_are_told_of_as_at_the_first_time(sql, database):
    for _ in range(2):
        with pytest.raises(SqlError, match="too many SQL variables"):
            sql.exec(ADD, *range(database.limits.sql_parameters + 1))


def test_what_another_may_bind_more_to_is_not_open_to_the_object(sql, database):
    many = database.limits.sql_parameters + 1
    query = f"SELECT {' + '.join('?' * 50)} + max({', '.join('?' * (many - 50))})"
    database.object_sql.run(query, (1,) * many)

    with pytest.raises(SqlError, match="too many SQL variables"):
        sql.exec(query, *(1,) * many)


def test_of_columns_with_one_name_the_last_one_wins(sql):
    query = "SELECT id AS x, text AS x FROM notes WHERE id < ? ORDER BY id"

    assert [sql.rows(query, (most,)) for most in (1, 2, 3)] == [[], [{"x": "a"}], [{"x": "a"}, {"x": "b"}]]
    assert [sql.exec(query, most).to_array() for most in (1, 2, 3)] == [[], [{"x": "a"}], [{"x": "a"}, {"x": "b"}]]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_as_many_rows_as_may_be_are_fetched_and_no_more(sql, database, most):
    database.bound(Limits(sql_rows=most))
    database.commit()
    database.sync()
    database.suspend()
    query = "SELECT id FROM notes LIMIT ?"
    for _ in range(2):
        assert len(sql.rows(query, (most,))) == len(sql.exec(query, most).to_array()) == most
        sql.exec(ADD, "d")
        with pytest.raises(SqlLimitError):
            sql.rows(query, (most + 1,))
        with pytest.raises(SqlLimitError):
            sql.exec(query, most + 1).raw().to_array()


def test_what_writes_and_gives_rows_has_written_them_all(sql):
    for id in (4, 5):
        cursor = sql.exec("INSERT INTO notes (text) VALUES (?), (?) RETURNING id", "d", "e")
        assert cursor.rows_written == 2
        assert (next(cursor), cursor.to_array()) == ({"id": 2 * id - 4}, [{"id": 2 * id - 3}])
        assert cursor.rows_read == 2
