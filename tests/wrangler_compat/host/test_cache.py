"""The Cache API from a Python Worker: what is put is matched, until it is not fresh any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeagents.testing import ManualClock
from wrangler_compat.host.context import WorkerContext, running_for
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.proxy import JsClass
from wrangler_compat.host.web.cache import Cache, CacheStorage

from .conftest import RunWorker, write_worker

pytestmark = pytest.mark.cloudflare("Workers", "Python: the Cache API", "same")

SOURCE = """
    import js
    from js import caches
    from pyodide.ffi import to_js
    from workers import Response, WorkerEntrypoint

    def js_object(value):
        return to_js(value, dict_converter=js.Object.fromEntries)

    async def seen(response):
        if response is None:
            return None
        return [response.status, await response.text(), {pair[0]: pair[1] for pair in response.headers}]

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            steps = await request.json()
            answers = []
            for step in steps:
                cache = caches.default if "cache" not in step else await caches.open(step["cache"])
                init = js_object({"method": step.get("method", "GET"), "headers": step.get("asked", {}),
                                  "cf": step.get("cf", {})})
                asked = js.Request.new(step.get("url", "https://a.example/x"), init)
                options = js_object(step.get("options", {}))
                try:
                    match step["do"]:
                        case "put":
                            response = js.Response.new(step.get("body", "hello"), js_object({
                                "status": step.get("status", 200), "headers": step.get("headers", {}),
                            }))
                            answers.append(await cache.put(asked, response))
                        case "match":
                            answers.append(await seen(await cache.match(asked, options)))
                        case "delete":
                            answers.append(await cache.delete(asked, options))
                        case "other":
                            answers.append(getattr(cache, step["name"])(asked))
                except Exception as error:
                    answers.append(str(error))
            return Response.json(answers)
"""

FRESH = {"cache-control": "max-age=60", "content-type": "text/plain"}


async def did(worker: Any, *steps: dict[str, Any]) -> list[Any]:
    return json.loads(await worker.text("/", method="POST", body=json.dumps(steps)))


async def test_what_was_put_is_matched_until_it_is_deleted(run: RunWorker) -> None:
    worker = await run(SOURCE)
    put, match, delete = {"do": "put", "headers": FRESH}, {"do": "match"}, {"do": "delete"}
    answers = await did(worker, match, put, match, delete, match, delete)
    hit = [200, "hello", {**FRESH, "cf-cache-status": "HIT"}]
    assert answers == [None, None, hit, True, None, False]


async def test_caches_and_addresses_are_apart(run: RunWorker) -> None:
    worker = await run(SOURCE)
    named = {"cache": "default"}
    answers = await did(
        worker,
        {"do": "put", "headers": FRESH, "body": "named", **named},
        {"do": "match"},
        {"do": "match", **named},
        {"do": "match", "url": "https://a.example/x?y", **named},
        {"do": "match", "url": "https://a.example/x#part", **named},
        {"do": "put", "headers": FRESH, "body": "keyed", "cf": {"cacheKey": "k"}},
        {"do": "match", "url": "https://b.example/", "cf": {"cacheKey": "k"}},
    )
    assert [answer and answer[1] for answer in answers] == [None, None, "named", None, "named", None, "keyed"]


async def test_a_response_is_kept_for_as_long_as_it_is_fresh(run: RunWorker) -> None:
    clock = ManualClock()
    worker = await run(SOURCE, runtime={"clock": clock})
    await did(worker, {"do": "put", "headers": FRESH})
    await clock.advance(59)
    assert (await did(worker, {"do": "match"}))[0] is not None
    await clock.advance(2)
    assert await did(worker, {"do": "match"}, {"do": "delete"}) == [None, False]


@pytest.mark.parametrize(
    "response",
    [
        {"headers": {}},
        {"headers": {"cache-control": "no-store"}},
        {"headers": {**FRESH, "set-cookie": "a=b"}},
        {"headers": FRESH, "status": 500},
    ],
    ids=str,
)
async def test_what_may_not_be_kept_is_let_go(run: RunWorker, response: dict[str, Any]) -> None:
    assert await did(await run(SOURCE), {"do": "put", **response}, {"do": "match"}) == [None, None]


async def test_a_private_cookie_is_left_out(run: RunWorker) -> None:
    headers = {"cache-control": "private=Set-Cookie, max-age=60", "set-cookie": "a=b", "content-type": "text/plain"}
    _, (_, _, fields) = await did(await run(SOURCE), {"do": "put", "headers": headers}, {"do": "match"})
    assert fields == {"cache-control": "max-age=60", "content-type": "text/plain", "cf-cache-status": "HIT"}


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"method": "POST"}, "Cannot cache response to non-GET request."),
        ({"status": 206}, "Cannot cache response to a range request (206 Partial Content)."),
        ({"headers": {"vary": "accept, *"}}, "Cannot cache response with 'Vary: *' header."),
    ],
    ids=str,
)
async def test_some_are_refused(run: RunWorker, step: dict[str, Any], text: str) -> None:
    assert await did(await run(SOURCE), {"do": "put", **step}) == [f"TypeError: {text}"]


async def test_only_gets_are_matched_unless_the_method_is_ignored(run: RunWorker) -> None:
    other = {"method": "HEAD"}
    answers = await did(
        await run(SOURCE),
        {"do": "put", "headers": FRESH},
        {"do": "match", **other},
        {"do": "match", **other, "options": {"ignoreMethod": True}},
        {"do": "delete", **other},
        {"do": "delete", **other, "options": {"ignoreMethod": True}},
    )
    assert [answers[1], answers[2][0], answers[3], answers[4]] == [None, 200, False, True]


async def test_conditions_and_ranges_are_answered(run: RunWorker) -> None:
    _, unchanged, part, absent = await did(
        await run(SOURCE),
        {"do": "put", "headers": {**FRESH, "etag": '"a"'}},
        {"do": "match", "asked": {"if-none-match": '"a"'}},
        {"do": "match", "asked": {"range": "bytes=1-2"}},
        {"do": "match", "asked": {"range": "bytes=9-"}},
    )
    assert (unchanged[:2], unchanged[2]["etag"]) == ([304, ""], '"a"')
    assert (part[:2], part[2]["content-range"], part[2]["content-length"]) == ([206, "el"], "bytes 1-2/5", "2")
    assert (absent[0], absent[2]["content-range"]) == (416, "bytes */5")


async def test_what_cloudflare_has_not_is_not_there(run: RunWorker) -> None:
    answers = await did(await run(SOURCE), {"do": "other", "name": "add"}, {"do": "other", "name": "matchAll"})
    assert answers[0] == "Error: Failed to execute 'add' on 'Cache': the method is not implemented."
    assert "matchAll" in answers[1]


async def test_a_cache_survives_and_is_in_the_state_folder(start: Any, tmp_path: Path) -> None:
    folder = write_worker(tmp_path / "project", SOURCE)
    first = await start(folder, storage=tmp_path / "state")
    await did(first, {"do": "put", "headers": FRESH})
    await first.runtime.stop()
    second = await start(folder, storage=tmp_path / "state")
    assert (await did(second, {"do": "match"}))[0][1] == "hello"
    (file,) = (tmp_path / "state" / "cache").glob("*.sqlite")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_there_is_no_cache_outside_of_handlers_and_none_is_made() -> None:
    outside = WorkerContext("nobody")
    with running_for(outside), pytest.raises(JsException, match="Disallowed operation called within global scope"):
        await CacheStorage().default.match("https://a.example/")
    with pytest.raises(JsTypeError, match="Illegal constructor"):
        JsClass.of(Cache).new()
