"""D1 tells how many rows a statement has read and written, as workerd's does: written ones the same, read ones nearly.

workerd's own SQLite counts in its instructions; ours are told by what any SQLite tells (``objects/row_counts.py``).
"""

from __future__ import annotations

import json

import pytest

from tests.bindings.ours import answers_to
from tests.bindings.plays import D1_ROWS, RECORDED
from tests.bindings.steps import call, read

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "D1's `rows_read` and `rows_written`",
    "different: written rows and entries of indexes are the same, but every row counts for a partial index; rows read "
    "are the same in scans and look-ups, and within a quarter in joins, subqueries, sorting and searches with more "
    "conditions than the index has",
)

_PARTIAL = "every row is taken to go into a partial index"
_SCHEMA = "what is written to the schema itself is counted less well"
WRITTEN_OTHERWISE = {
    "CREATE TABLE w (k TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID": _SCHEMA,
    "CREATE TABLE x (k TEXT PRIMARY KEY, n INTEGER, m INTEGER) WITHOUT ROWID": _SCHEMA,
    "INSERT INTO p (n, done) VALUES (1, 0), (2, 0), (3, 1), (4, 1)": _PARTIAL,
    "UPDATE p SET done = 1 WHERE id = 1": _PARTIAL,
    "UPDATE p SET n = n + 1": _PARTIAL,
    "CREATE INDEX co_part ON co (c) WHERE a = 1": _PARTIAL,
    "ALTER TABLE co ADD COLUMN d TEXT": _SCHEMA,
    "ALTER TABLE co RENAME COLUMN d TO e": _SCHEMA,
    "ALTER TABLE co RENAME TO co2": _SCHEMA,
    "ALTER TABLE co2 DROP COLUMN e": _SCHEMA,
}


async def test_rows_are_counted_as_workerd_counts_them() -> None:
    lines = (RECORDED / "d1_rows.jsonl").read_text(encoding="utf-8").splitlines()
    recorded = [json.loads(line) for line in lines]
    assert [one["with"] for one in recorded] == [step["with"] for step in D1_ROWS], "python -m tests.bindings.plays"
    ours = await answers_to(D1_ROWS)
    read: list[tuple[int, int]] = []
    written_otherwise: set[str] = set()
    for one, answer in zip(recorded, ours, strict=True):
        sql = one["with"][1]
        if not isinstance(answer, list):
            # A statement that is to fail.
            assert one["answer"]["$"] == answer["$"] == "error", sql
            continue
        if answer[1] != one["answer"][1]:
            written_otherwise.add(sql)
        if WRITTEN_OTHERWISE.get(sql) != _PARTIAL:
            read.append((answer[0], one["answer"][0]))
            assert abs(answer[0] - one["answer"][0]) <= max(one["answer"][0] / 4, 4), (sql, answer, one["answer"])
    assert written_otherwise == set(WRITTEN_OTHERWISE)
    assert sum(our == their for our, their in read) / len(read) > 0.75


@pytest.mark.cloudflare(
    "Durable Objects",
    "`rowsRead`, `rowsWritten` of a SQL cursor",
    "different: the rows that were given, and those that were changed; not those that were passed over, and no entries "
    "of indexes, which only D1 counts",
)
async def test_a_cursor_of_an_object_counts_what_was_given_and_changed() -> None:
    answers = await answers_to(
        [
            call("storage.sql.exec", "CREATE TABLE t (n INTEGER UNIQUE)", keep="c", quiet=True),
            call("storage.sql.exec", "INSERT INTO t VALUES (1), (2), (3)", keep="c", quiet=True),
            read("c.rowsWritten"),
            call("storage.sql.exec", "SELECT * FROM t WHERE n % 2 = 1", keep="c", quiet=True),
            call("c.toArray"),
            read("c.rowsRead"),
        ]
    )
    # workerd says 6 and 3.
    assert (answers[2], answers[5]) == (3, 2)
