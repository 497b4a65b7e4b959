"""D1 tells how many rows a statement has read and written, as workerd's does: written ones the same, read ones nearly.

workerd's own SQLite counts in its instructions; ours are told by what any SQLite tells (``objects/row_counts.py``).
"""

from __future__ import annotations

import json

import pytest

from tests.bindings.ours import answers_to
from tests.bindings.plays import D1_ROWS, RECORDED

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
