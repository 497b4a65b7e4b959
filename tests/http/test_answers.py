from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pydantic
import pytest

from edgeagents.http import Response, to_response


@dataclass
class Point:
    x: int
    y: int


class Model(pydantic.BaseModel):
    when: datetime


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        pytest.param("hi", "text/plain;charset=UTF-8", b"hi", id="str"),
        pytest.param(b"hi", "application/octet-stream", b"hi", id="bytes"),
        pytest.param({"a": 1}, "application/json", b'{"a":1}', id="dict"),
        pytest.param([1, (2,)], "application/json", b"[1,[2]]", id="list"),
        pytest.param(True, "application/json", b"true", id="bool"),
        pytest.param(1.5, "application/json", b"1.5", id="float"),
        pytest.param(Point(1, 2), "application/json", b'{"x":1,"y":2}', id="dataclass"),
        pytest.param([Point(1, 2)], "application/json", b'[{"x":1,"y":2}]', id="dataclass inside"),
        pytest.param(
            Model(when=datetime(2026, 1, 2, tzinfo=UTC)),
            "application/json",
            b'{"when":"2026-01-02T00:00:00Z"}',
            id="pydantic",
        ),
        pytest.param(
            {"id": UUID(int=1), "at": datetime(2026, 1, 2, tzinfo=UTC)},
            "application/json",
            b'{"id":"00000000-0000-0000-0000-000000000001","at":"2026-01-02T00:00:00+00:00"}',
            id="uuid and time",
        ),
        pytest.param(iter(["a", "b"]), "text/plain;charset=UTF-8", b"ab", id="iterator"),
    ],
)
async def test_a_value_becomes_a_response(value: object, kind: str, body: bytes):
    response = to_response(value)

    assert (response.status, response.headers["content-type"], await response.bytes()) == (200, kind, body)


async def test_an_async_iterator_is_streamed():
    async def words() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    response = to_response(words())

    assert response.is_streaming
    assert await response.text() == "ab"


def test_a_response_is_itself():
    response = Response(status=204)

    assert to_response(response) is response


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "returned None"),
        (object(), "returned a object"),
        (Point, "returned a type"),
        ({"a": object()}, "no form"),
    ],
)
def test_what_is_no_answer_says_so(value: object, says: str):
    with pytest.raises(TypeError, match=says):
        to_response(value)
