"""Answers: what a handler may return instead of a ``Response``."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Iterator
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from edgeagents.http.json_values import is_model
from edgeagents.http.response import Response

__all__ = ["to_response"]


def to_response(value: object) -> Response:
    """Return the response that ``value`` stands for.

    Text is ``text/plain``, bytes are ``application/octet-stream``, an iterator is streamed as text, and what JSON
    has a form for is JSON. None is most often a forgotten ``return``, so it raises TypeError like everything else.
    """
    if isinstance(value, Response):
        return value
    if isinstance(value, str):
        return Response(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return Response(bytes(value), headers={"content-type": "application/octet-stream"})
    if value is None:
        raise TypeError(
            "The handler returned None. Return a Response, str, bytes, a JSON value or an async iterator; "
            "Response(status=204) answers with nothing."
        )
    if isinstance(value, AsyncIterable | Iterator):
        chunks = cast("AsyncIterable[str]", value)
        return Response(chunks, headers={"content-type": "text/plain;charset=UTF-8"})
    if isinstance(value, dict | list | tuple | bool | int | float | datetime | date | UUID) or _is_record(value):
        return Response.from_json(value)
    raise TypeError(
        f"The handler returned a {type(value).__name__}. "
        "Return a Response, str, bytes, a JSON value or an async iterator."
    )


def _is_record(value: Any) -> bool:
    return (dataclasses.is_dataclass(value) and not isinstance(value, type)) or is_model(value)
