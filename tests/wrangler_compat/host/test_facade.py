"""A plugin's object is called as JavaScript calls: with options at the end, which may name what was left out."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from wrangler_compat.host.facade import facade_of
from wrangler_compat.host.model.proxy import JsObject


class Shelf:
    js_name: ClassVar[str] = "Shelf"

    async def get(self, key: str, type: str = "text", *, cache_ttl: int | None = None) -> Any:
        return [key, type, cache_ttl or 0]

    async def send(self, body: Any, *, delay_seconds: int | None = None) -> Any:
        return [body, delay_seconds]


@pytest.mark.parametrize(
    ("args", "keywords", "taken"),
    [
        (("k",), {}, ["k", "text", 0]),
        (("k", "json"), {}, ["k", "json", 0]),
        (("k", "json", JsObject({"cacheTtl": 60})), {}, ["k", "json", 60]),
        (("k", JsObject({"cacheTtl": 60})), {}, ["k", "text", 60]),
        (("k", JsObject({"type": "json"})), {}, ["k", "json", 0]),
        (("k", {"type": "json", "cacheTtl": 60}), {}, ["k", "json", 60]),
        (("k",), {"type": "json", "cacheTtl": 60}, ["k", "json", 60]),
    ],
)
async def test_options_may_stand_where_an_argument_was_left_out(args, keywords, taken):
    given = await facade_of(Shelf()).get(*args, **keywords)
    assert given.to_py() == taken


async def test_what_must_be_given_is_no_options_whatever_its_fields_are_called():
    given = await facade_of(Shelf()).send(JsObject({"delaySeconds": 3}))
    assert given[0].to_py() == {"delaySeconds": 3}
    given = await facade_of(Shelf()).send(JsObject({"delaySeconds": 3}), JsObject({"delaySeconds": 5}))
    assert (given[0].to_py(), given[1]) == ({"delaySeconds": 3}, 5)
