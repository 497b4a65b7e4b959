"""Points of data are written, kept and asked about."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from edgeagents_platform import QueryRefused, query

from edgeagents import Request
from edgeagents.errors import ConfigError

pytestmark = pytest.mark.cloudflare(
    "Workers", "Analytics Engine", "different: asked about in SQLite's SQL; every point is kept"
)


async def test_points_are_rows_with_cloudflares_columns(start, clock):
    runtime = await start("analytics_engine", {"dataset": "visits"})
    assert runtime.env.IT.write_data_point(indexes=["u1"], blobs=["/a", b"bytes", None], doubles=[1.5, None]) is None
    runtime.env.IT.write_data_point()
    rows = query(runtime.stores, "SELECT * FROM visits ORDER BY index1")
    assert [row["index1"] for row in rows] == ["", "u1"]
    point = rows[1]
    assert (point["blob1"], point["blob2"], point["blob3"], point["blob20"]) == ("/a", "bytes", "", "")
    assert (point["double1"], point["double2"], point["_sample_interval"]) == (1.5, 0.0, 1)
    assert point["timestamp"] == f"{clock.now():%Y-%m-%d %H:%M:%S}"


async def test_datasets_are_shared_by_name_and_survive(start, tmp_path):
    first = await start("analytics_engine", {"dataset": "my-data"}, storage=tmp_path)
    first.env.IT.write_data_point(doubles=[1])
    await first.stop()
    second = await start("analytics_engine", {"dataset": "my-data"}, storage=tmp_path)
    second.env.IT.write_data_point(doubles=[2])
    assert query(second.stores, 'SELECT sum(double1) AS n FROM "my-data"') == [{"n": 3.0}]


async def test_points_are_kept_for_three_months(start, clock, tmp_path):
    first = await start("analytics_engine", {"dataset": "d"}, storage=tmp_path)
    first.env.IT.write_data_point(blobs=["old"])
    await first.stop()
    await clock.advance(timedelta(days=93).total_seconds())
    second = await start("analytics_engine", {"dataset": "d"}, storage=tmp_path)
    second.env.IT.write_data_point(blobs=["new"])
    assert query(second.stores, "SELECT blob1 FROM d") == [{"blob1": "new"}]


@pytest.mark.parametrize(
    ("point", "text"),
    [
        ({"indexes": ["a", "b"]}, "Maximum of 1 indexes supported"),
        ({"indexes": ["é" * 49]}, "an index has at most 96 bytes"),
        ({"blobs": ["x"] * 21}, "Maximum of 20 blobs supported"),
        ({"blobs": ["x" * 8192] * 2 + ["x"]}, "blobs have at most 16384 bytes together"),
        ({"blobs": [1]}, "blobs are text or bytes, not int"),
        ({"blobs": "text"}, "blobs are a list"),
        ({"doubles": [0.0] * 21}, "Maximum of 20 doubles supported"),
        ({"doubles": ["1"]}, "doubles are numbers, not str"),
    ],
)
async def test_points_have_limits(start, point, text):
    runtime = await start("analytics_engine", {"dataset": "d"})
    with pytest.raises(TypeError, match=text):
        runtime.env.IT.write_data_point(**point)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM d",
        "DROP TABLE d",
        "PRAGMA journal_mode = DELETE",
        "ATTACH '/tmp/x' AS x",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM d",
        "no sql",
    ],
)
async def test_a_query_only_reads(start, sql):
    runtime = await start("analytics_engine", {"dataset": "d"})
    runtime.env.IT.write_data_point()
    with pytest.raises(QueryRefused, match="cannot be answered"):
        query(runtime.stores, sql)
    runtime.env.IT.write_data_point()
    assert query(runtime.stores, "SELECT count(*) AS n FROM d") == [{"n": 2}]


async def test_a_query_without_end_is_stopped(start):
    runtime = await start("analytics_engine", {"dataset": "d"})
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(QueryRefused, match="it takes too long"):
        query(runtime.stores, endless)


async def test_the_emulator_answers_queries(start):
    runtime = await start("analytics_engine", {"dataset": "d"})
    runtime.env.IT.write_data_point(blobs=["/"], doubles=[2])
    (route,) = runtime.developer_routes
    answer = await route.serve(Request(route.path, method="POST", body=b"SELECT blob1, double1 FROM d"))
    assert json.loads(await answer.bytes()) == {
        "meta": [{"name": "blob1", "type": "String"}, {"name": "double1", "type": "Float64"}],
        "data": [{"blob1": "/", "double1": 2.0}],
        "rows": 1,
    }
    assert (await route.serve(Request(route.path, method="POST", body=b"DROP TABLE d"))).status == 400
    assert (await route.serve(Request(route.path))).status == 405


@pytest.mark.parametrize("name", ['a"b', "1a", "sqlite_x", ""])
async def test_a_dataset_has_a_name_that_can_be_a_tables(start, name):
    with pytest.raises(ConfigError, match="needs another name"):
        await start("analytics_engine", {"dataset": name} if name else {"dataset": " "})
