"""What is sent to a pipeline is kept to be looked at."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.cloudflare(
    "Workers", "Pipelines", "different: records are kept in a file of the state folder; nothing transforms them"
)


async def test_records_are_lines_of_a_file(start, tmp_path):
    pipe = (await start("pipeline", {"stream": "clicks"}, storage=tmp_path)).env.IT
    await pipe.send([{"a": 1}, {"b": "é", "at": datetime(2026, 1, 1, tzinfo=UTC)}])
    await pipe.send([])
    await pipe.send([{"c": [True, None]}])
    lines = (tmp_path / "pipelines" / "clicks.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"a": 1},
        {"b": "é", "at": "2026-01-01T00:00:00+00:00"},
        {"c": [True, None]},
    ]


async def test_two_bindings_of_one_stream_write_one_file(start, tmp_path):
    for kind in ("stream", "pipeline"):
        await (await start("pipeline", {kind: "one"}, storage=tmp_path)).env.IT.send([{"by": kind}])
    assert len((tmp_path / "pipelines" / "one.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("records", "text"),
    [("text", "a list of records, each an object, not str"), (5, "not int"), ([{"x": object()}], "no form for object")],
)
async def test_what_is_no_list_of_records_is_refused(start, tmp_path, records, text):
    pipe = (await start("pipeline", storage=tmp_path)).env.IT
    with pytest.raises(TypeError, match=text):
        await pipe.send(records)
    assert not list((tmp_path / "pipelines").iterdir())
