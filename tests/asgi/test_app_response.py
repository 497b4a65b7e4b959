from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from edgeagents.asgi.app_response import is_asgi_app, respond
from edgeagents.http import Request, Response


async def test_what_is_no_app_is_a_value():
    assert await (await respond("hi", Request("/"))).text() == "hi"
    response = Response("x")
    assert await respond(response, Request("/")) is response


@pytest.mark.parametrize("value", ["text", 5, Response(), Starlette, lambda: None, lambda a, b: None, print, int])
def test_what_is_no_app_is_told_apart(value: object):
    assert not is_asgi_app(value)


def test_apps_are_recognised():
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        return

    assert is_asgi_app(bare)
    assert is_asgi_app(Starlette())
    assert is_asgi_app(PlainTextResponse("x"))


async def test_a_response_of_starlette_is_an_answer():
    response = await respond(JSONResponse({"a": 1}, status_code=201, headers={"x-a": "b"}), Request("/"))

    assert (response.status, response.headers["x-a"], response.is_streaming) == (201, "b", False)
    assert await response.json() == {"a": 1}


async def test_an_app_sees_the_request():
    async def endpoint(request: StarletteRequest) -> JSONResponse:
        return JSONResponse(
            {
                "host": request.url.netloc,
                "raw_path": request.scope["raw_path"].decode(),
                "method": request.method,
                "name": request.path_params["name"],
                "query": request.query_params["q"],
                "header": request.headers["x-a"],
                "user": request.scope["user"],
                "body": (await request.body()).decode(),
            }
        )

    app = Starlette(routes=[Route("/agents/{name}", endpoint, methods=["POST"])])
    request = Request(
        "https://example.com:8443/agents/a%20b?q=1",
        method="POST",
        headers={"x-a": "b"},
        body="hello",
        scope={"user": "ann", "state": {}},
    )

    assert await (await respond(app, request)).json() == {
        "host": "example.com:8443",
        "raw_path": "/agents/a%20b",
        "method": "POST",
        "name": "a b",
        "query": "1",
        "header": "b",
        "user": "ann",
        "body": "hello",
    }


async def test_an_app_may_stream_and_is_slowed_down_to_its_reader():
    made: list[int] = []

    async def numbers() -> AsyncIterator[str]:
        for n in range(100):
            made.append(n)
            yield f"{n},"

    response = await respond(StreamingResponse(numbers()), Request("/"))
    stream = response.stream()

    assert response.is_streaming
    assert await anext(stream) == b"0,"
    assert await anext(stream) == b"1,"
    assert len(made) < 10
    assert [chunk async for chunk in stream][-1] == b"99,"
    await response.aclose()


async def test_closing_the_body_ends_the_app():
    closed = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            closed.set()

    response = await respond(app, Request("/"))
    stream = response.stream()
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]

    assert closed.is_set()


async def test_an_app_that_fails_before_its_answer_raises():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("kaboom")

    with pytest.raises(ValueError, match="kaboom"):
        await respond(app, Request("/"))


async def test_an_app_that_fails_within_its_answer_raises_to_the_reader():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise ValueError("kaboom")

    stream = (await respond(app, Request("/"))).stream()
    assert await anext(stream) == b"a"
    with pytest.raises(ValueError, match="kaboom"):
        await anext(stream)


async def test_an_app_that_does_not_answer_is_an_error():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    with pytest.raises(RuntimeError, match="did not answer"):
        await respond(app, Request("/"))


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
HALF = {"type": "http.response.body", "body": b"a", "more_body": True}


@pytest.mark.parametrize("messages", [[START], [START, HALF]])
async def test_an_answer_that_its_app_does_not_end_never_looks_whole(messages: list[dict[str, Any]]):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(RuntimeError, match="did not end its response"):
        await (await respond(app, Request("/"))).bytes()


@pytest.mark.parametrize("messages", [[], [START], [START, HALF]])
async def test_an_app_that_is_cancelled_does_not_cancel_its_reader(messages: list[dict[str, Any]]):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="was cancelled"):
        await (await respond(app, Request("/"))).bytes()


@pytest.mark.parametrize(
    "start", [HALF, {**START, "status": 103}, {**START, "headers": [(b"x\r\ny", b"1")]}, {"type": START["type"]}]
)
async def test_an_app_whose_answer_cannot_be_is_ended(start: dict[str, Any]):
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start)
            await send(HALF)
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises((RuntimeError, ValueError, KeyError)):
        await respond(app, Request("/"))

    async with asyncio.timeout(5):
        await ended.wait()


@pytest.mark.parametrize("body", ["whole", "streamed"])
async def test_what_an_app_does_after_its_answer_is_done(body: str):
    done = asyncio.Event()

    async def later() -> None:
        await asyncio.sleep(0)
        done.set()

    async def chunks() -> AsyncIterator[str]:
        yield "a"

    background = BackgroundTask(later)
    app = (
        PlainTextResponse("a", background=background)
        if body == "whole"
        else StreamingResponse(chunks(), background=background)
    )
    response = await respond(app, Request("/"))

    assert await response.text() == "a"
    async with asyncio.timeout(5):
        await done.wait()
