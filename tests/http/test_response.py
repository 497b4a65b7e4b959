from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

import pytest

from edgeagents.http import Request, Response, ServerSentEvent


async def collect(response: Response) -> list[bytes]:
    return [chunk async for chunk in response.stream()]


async def test_text_is_utf_8_and_says_so():
    response = Response("ü")

    assert response.headers["content-type"] == "text/plain;charset=UTF-8"
    assert await response.bytes() == "ü".encode()
    assert (response.status, response.ok, response.is_streaming) == (200, True, False)


def test_a_content_type_that_was_given_stays():
    assert Response("x", headers={"Content-Type": "text/x-unknown"}).headers.getlist("content-type") == [
        "text/x-unknown"
    ]


def test_bytes_have_no_content_type_of_their_own():
    assert "content-type" not in Response(b"x").headers


async def test_lone_surrogates_become_replacement_characters():
    assert await Response("a\ud800b").text() == "a\ufffdb"


@pytest.mark.parametrize("body", [{"a": 1}, 5, object()])
def test_a_body_that_is_no_body_is_refused(body: object):
    with pytest.raises(TypeError, match="from_json"):
        Response(body)  # type: ignore[arg-type]


async def test_from_json():
    response = Response.from_json({"a": [1, "ü"]}, status=201)

    assert response.status == 201
    assert response.headers["content-type"] == "application/json"
    assert await response.text() == '{"a":[1,"ü"]}'
    assert await response.json() == {"a": [1, "ü"]}


async def test_json_makes_a_response_on_the_class_and_reads_one_on_an_instance():
    class Mine(Response):
        pass

    made = Mine.json({"a": 1}, status=201, headers={"x": "y"})

    assert isinstance(made, Mine)
    assert (made.status, made.headers["content-type"], made.headers["x"]) == (201, "application/json", "y")
    assert await made.json() == {"a": 1}


@pytest.mark.parametrize(
    "headers", [{"x\r\nset-cookie: a=b": "1"}, {"x y": "1"}, [("x", "a\0b")], {"x": "a\r\nset-cookie: a=b"}]
)
def test_a_header_that_is_none_is_refused_where_it_is_given(headers: Any):
    with pytest.raises(ValueError, match=r"[Hh]eader"):
        Response(headers=headers)


@pytest.mark.parametrize("status", [0, 99, 100, 103, 1000, "200", None, 200.5], ids=repr)
def test_a_status_that_no_response_has_is_refused(status: Any):
    with pytest.raises(ValueError, match=rf"Response\(status={status!r}\): it is a number from 200 on"):
        Response(status=status)


@pytest.mark.parametrize("status", [101, 204, HTTPStatus.NOT_FOUND, 599, 999])
def test_other_statuses_are_kept(status: int):
    assert Response(status=status).status == status


async def test_json_with_lone_surrogates_is_escaped():
    assert await Response.from_json("\ud800").text() == '"\\ud800"'


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="The number nan has no form in JSON"):
        Response.from_json(float("nan"))


def test_redirect():
    response = Response.redirect("/there", 303)

    assert (response.status, response.headers["location"]) == (303, "/there")
    with pytest.raises(ValueError, match="200"):
        Response.redirect("/there", 200)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/ä b?q=日", "/%C3%A4%20b?q=%E6%97%A5"),
        ("/%C3%A4#a", "/%C3%A4#a"),
        ("/a\r\nset-cookie: b=c", "/a%0D%0Aset-cookie:%20b=c"),
    ],
)
def test_a_redirect_leads_to_a_url(url: str, location: str):
    assert Response.redirect(url).headers["location"] == location


async def test_an_async_generator_is_streamed_and_closed():
    steps: list[str] = []

    async def body() -> AsyncIterator[str | bytes]:
        try:
            yield "a"
            yield b"b"
        finally:
            steps.append("closed")

    response = Response(body())
    assert response.is_streaming
    stream = response.stream()
    assert await anext(stream) == b"a"
    await stream.aclose()  # type: ignore[attr-defined]

    assert steps == ["closed"]


@pytest.mark.parametrize("is_iterated", [False, True])
async def test_a_reader_that_was_tired_of_waiting_may_go_on(is_iterated: bool):
    class Source:
        def __init__(self) -> None:
            self.chunks = asyncio.Queue[str | None]()

        def __aiter__(self) -> AsyncIterator[str]:
            return self  # type: ignore[return-value]

        async def __anext__(self) -> str:
            chunk = await self.chunks.get()
            if chunk is None:
                raise StopAsyncIteration
            return chunk

    source = Source()
    stream = Response(source).stream()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    for chunk in ("a", "b", None):
        source.chunks.put_nowait(chunk)

    if is_iterated:
        assert [chunk async for chunk in stream] == [b"a", b"b"]
    else:
        assert [await anext(stream), await anext(stream), await anext(stream, None)] == [b"a", b"b", None]


async def test_a_plain_generator_runs_in_a_thread():
    threads: list[threading.Thread] = []

    def body() -> Iterator[str]:
        try:
            threads.append(threading.current_thread())
            yield "a"
            yield "b"
        finally:
            threads.append(threading.current_thread())

    stream = Response(body()).stream()
    assert await anext(stream) == b"a"
    await stream.aclose()  # type: ignore[attr-defined]

    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_closing_a_plain_generator_that_is_busy_is_harmless():
    began, go_on = threading.Event(), threading.Event()

    def body() -> Iterator[str]:
        began.set()
        go_on.wait()
        yield "a"

    stream = Response(body()).stream()
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.to_thread(began.wait)
    reading.cancel()
    await stream.aclose()  # type: ignore[attr-defined]
    go_on.set()

    assert reading.cancelled() or reading.cancelling()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_list_is_streamed():
    assert await collect(Response(["a", b"", b"b"])) == [b"a", b"b"]


async def test_a_chunk_that_is_neither_bytes_nor_text_is_refused():
    async def body() -> AsyncIterator[object]:
        yield 5

    with pytest.raises(TypeError, match="not int"):
        await collect(Response(body()))  # type: ignore[arg-type]


async def test_map_body_wraps_a_stream_and_leaves_bytes_alone():
    async def shout(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in stream:
            yield chunk.upper()

    streamed, whole = Response(["a", "b"]), Response("a")
    streamed.map_body(shout)
    whole.map_body(shout)

    assert await collect(streamed) == [b"A", b"B"]
    assert await whole.text() == "a"


async def test_a_streamed_body_that_was_read_is_kept():
    response = Response(["a", "b"])

    assert await response.text() == "ab"
    assert await response.text() == "ab"
    assert not response.is_streaming


async def test_event_stream_encodes_events_and_text():
    async def events() -> AsyncIterator[str | ServerSentEvent]:
        yield "one\ntwo"
        yield ServerSentEvent(data="x", event="done", id="7")

    response = Response.event_stream(events(), headers={"x-a": "b"})

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert await collect(response) == [b"data: one\ndata: two\n\n", b"event: done\nid: 7\ndata: x\n\n"]


def test_cookies_are_set_and_deleted():
    response = Response()
    response.set_cookie("a", "1", max_age=60, httponly=True, samesite="Lax")
    response.delete_cookie("b")

    first, second = response.headers.getlist("set-cookie")
    assert first.startswith("a=1; ")
    assert set(first.split("; ")) >= {"Max-Age=60", "HttpOnly", "Path=/", "SameSite=Lax"}
    assert second.startswith("b=; Expires=Thu, 01 Jan 1970")


@pytest.mark.parametrize("name", ["__Host-session", "__Secure-session"])
def test_a_cookie_that_is_secure_by_its_name_can_be_deleted(name: str):
    response = Response()
    response.delete_cookie(name)

    assert "Secure" in response.headers["set-cookie"].split("; ")


@pytest.mark.parametrize(
    ("name", "domain"), [("a; domain=evil.com", None), ("a=b", None), ("", None), ("é", None), ("a", "x.com; secure")]
)
def test_a_cookie_that_would_end_too_early_is_refused(name: str, domain: str | None):
    with pytest.raises(ValueError, match="cookie"):
        Response().set_cookie(name, "1", domain=domain)


def ask(**headers: str) -> Request:
    return Request("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_an_etag_is_made_and_answers_not_modified():
    etag = Response("hello").make_conditional(ask()).headers["etag"]

    answer = Response("hello").make_conditional(ask(if_none_match=etag))

    assert answer.status == 304
    assert await answer.bytes() == b""
    assert answer.headers["etag"] == etag


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_modified_since": "Wed, 21 Oct 2015 07:28:00 GMT"}, 304),
        ({"if_modified_since": "Tue, 20 Oct 2015 07:28:00 GMT"}, 200),
        ({"if_match": '"other"'}, 412),
        ({"if_match": '"mine"'}, 200),
        ({"if_none_match": '"mine"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": 'garbage "'}, 200),
        ({"if_none_match": 'W/"mine"'}, 304),
        ({"if_match": "*"}, 200),
        ({"if_match": '"other", "mine"'}, 200),
        ({"if_match": 'W/"mine"'}, 412),
        ({"if_match": '"mine"', "if_none_match": '"mine"'}, 304),
        ({"if_unmodified_since": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200),
        ({"if_unmodified_since": "Tue, 20 Oct 2015 07:28:00 GMT"}, 412),
        ({"if_unmodified_since": "Tue, 20 Oct 2015 07:28:00 GMT", "if_match": '"mine"'}, 200),
        ({"if_unmodified_since": "some day"}, 200),
        ({"if_modified_since": "Wed, 21 Oct 2015 07:28:00 GMT", "if_none_match": '"other"'}, 200),
    ],
)
def test_conditions(headers: dict[str, str], status: int):
    response = Response("x", headers={"etag": '"mine"', "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT"})

    assert response.make_conditional(ask(**headers)).status == status


@pytest.mark.parametrize(
    ("headers", "status", "body", "content_range"),
    [
        ({"range": "bytes=0-1"}, 206, b"01", "bytes 0-1/10"),
        ({"range": "bytes=8-"}, 206, b"89", "bytes 8-9/10"),
        ({"range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
        ({"range": "bytes=8-99"}, 206, b"89", "bytes 8-9/10"),
        ({"range": "bytes=10-"}, 416, b"", "bytes */10"),
        ({"range": "bytes=0-1,3-4"}, 200, b"0123456789", None),
        ({"range": "lines=0-1"}, 200, b"0123456789", None),
        ({"range": "bytes=x"}, 200, b"0123456789", None),
        ({"range": "bytes=0-1", "if_range": '"mine"'}, 206, b"01", "bytes 0-1/10"),
        ({"range": "bytes=0-1", "if_range": '"other"'}, 200, b"0123456789", None),
        ({"range": "bytes=0-1", "if_range": 'W/"mine"'}, 200, b"0123456789", None),
        ({"range": "bytes=0-1", "if_range": "Wed, 21 Oct 2015 07:28:00 GMT"}, 206, b"01", "bytes 0-1/10"),
        ({"range": "bytes=0-1", "if_range": "Thu, 22 Oct 2015 07:28:00 GMT"}, 200, b"0123456789", None),
        ({"range": "bytes=-99"}, 206, b"0123456789", "bytes 0-9/10"),
    ],
)
async def test_ranges(headers: dict[str, str], status: int, body: bytes, content_range: str | None):
    response = Response(
        b"0123456789", headers={"etag": '"mine"', "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    ).make_conditional(ask(**headers))

    assert (response.status, await response.bytes()) == (status, body)
    assert response.headers.get("content-range") == content_range


def test_a_part_is_never_of_a_version_that_is_only_alike():
    alike = Response(b"ab", headers={"etag": 'W/"mine"'})

    assert alike.make_conditional(ask(range="bytes=0-0", if_range='W/"mine"')).status == 200


def test_head_tells_of_the_whole_whatever_part_is_asked_for():
    asked = Request("/", method="HEAD", headers={"range": "bytes=0-0"})

    assert Response("ab").make_conditional(asked).status == 200


def test_only_get_and_head_with_200_are_conditional():
    asked = Request("/", method="POST", headers={"range": "bytes=0-0"})

    assert Response("ab").make_conditional(asked).status == 200
    assert Response("ab", status=404).make_conditional(ask(range="bytes=0-0")).status == 404


def test_a_stream_has_no_etag_of_its_own_and_no_ranges():
    response = Response(["a"]).make_conditional(ask(range="bytes=0-0"))

    assert response.status == 200
    assert "etag" not in response.headers
