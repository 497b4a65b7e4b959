from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edgeagents.errors import BadRequest, BodyTooLarge
from edgeagents.http import AbortController, Request


async def chunks(*parts: bytes | str) -> AsyncIterator[bytes | str]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("given", "url"),
    [
        pytest.param("https://example.com/a?b=c", "https://example.com/a?b=c", id="absolute"),
        pytest.param("/agents/counter/x", "http://localhost/agents/counter/x", id="relative"),
        pytest.param("a?b", "http://localhost/a?b", id="without a slash"),
        # A path of a program is a path, not another host.
        pytest.param("//agents//x/", "http://localhost//agents//x/", id="slashes are kept"),
        pytest.param("/a/../b/%2e%2E/%41", "http://localhost/a/../b/%2e%2E/%41", id="nothing is resolved or decoded"),
        pytest.param("/ü b\0", "http://localhost/%C3%BC%20b%00", id="encoded where it must be"),
        pytest.param("/\ud800", "http://localhost/%EF%BF%BD", id="lone surrogate"),
    ],
)
def test_url_is_what_was_given(given: str, url: str):
    assert Request(given).url == url


@pytest.mark.parametrize(
    ("url", "root_path", "path"),
    [
        ("http://h", "", "/"),
        ("http://h?x=/y", "", "/"),
        ("http://h/a%20b/?x=1#f", "", "/a%20b/"),
        ("http://h/mount/a", "/mount", "/a"),
        ("http://h/mount", "/mount", "/"),
        ("http://h/mounted/a", "/mount", "/mounted/a"),
        ("http://h/a", "/mount", "/a"),
    ],
)
def test_path_is_raw_and_below_the_root_path(url: str, root_path: str, path: str):
    assert Request(url, root_path=root_path).path == path


def test_query_keeps_blank_and_repeated_values():
    request = Request("/?tag=a&tag=b%20c&empty=&flag&bad=%ff")

    assert request.query.getlist("tag") == ["a", "b c"]
    assert request.query["empty"] == ""
    assert request.query["flag"] == ""
    assert request.query["bad"] == "\ufffd"


def test_headers_have_names_in_any_case_and_many_values():
    request = Request("/", headers=[("X-Tag", "a"), ("x-tag", "b")])

    assert request.headers["x-TAG"] == "a"
    assert request.headers.getlist("x-tag") == ["a", "b"]


def test_cookies_of_several_fields_are_read():
    request = Request("/", headers=[("cookie", "a=1; b=2"), ("cookie", 'c="3"')])

    assert request.cookies.to_dict() == {"a": "1", "b": "2", "c": "3"}


def test_conditions_and_preferences_are_parsed():
    request = Request(
        "/",
        headers={
            "range": "bytes=10-19",
            "if-none-match": 'W/"a", "b"',
            "if-modified-since": "Wed, 21 Oct 2015 07:28:00 GMT",
            "if-match": '"c"',
            "if-unmodified-since": "nonsense",
            "if-range": '"d"',
            "accept": "text/html;q=0.5, application/json",
            "authorization": "Bearer secret",
            "content-length": "12",
            "content-type": "text/plain",
        },
    )

    assert request.range is not None
    assert request.range.ranges == [(10, 20)]
    assert request.if_none_match.contains_weak("a")
    assert request.if_none_match.contains("b")
    assert request.if_modified_since is not None
    assert request.if_modified_since.year == 2015
    assert request.if_match.contains("c")
    assert request.if_unmodified_since is None
    assert request.if_range.etag == "d"
    assert request.accept.best_match(["text/html", "application/json"]) == "application/json"
    assert request.authorization is not None
    assert request.authorization.token == "secret"
    assert request.content_length == 12
    assert request.content_type == "text/plain"


@pytest.mark.parametrize("value", ["bytes=x-", "bytes=5-1", "", "items=1-2,"])
def test_a_range_that_cannot_be_read_is_none(value: str):
    assert Request("/", headers={"range": value}).range is None or value.startswith("items")


def test_websocket_upgrade_and_subprotocols():
    request = Request(
        "/", headers=[("Upgrade", "WebSocket"), ("sec-websocket-protocol", "a, b"), ("sec-websocket-protocol", "c")]
    )

    assert request.is_websocket_upgrade
    assert request.subprotocols == ["a", "b", "c"]
    assert not Request("/").is_websocket_upgrade


async def test_json_body_is_encoded_and_named():
    request = Request("/", method="post", json={"a": "ü"})

    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert await request.bytes() == '{"a":"ü"}'.encode()
    assert await request.json() == {"a": "ü"}


def test_two_bodies_are_refused():
    with pytest.raises(TypeError, match="one body"):
        Request("/", body="a", json=1)


async def test_a_stream_is_not_read_before_it_is_asked_for():
    read: list[str] = []

    async def body() -> AsyncIterator[str]:
        read.append("began")
        yield "a"
        yield ""
        yield "ü"

    request = Request("/", body=body())
    stream = request.stream()
    assert read == []

    assert [chunk async for chunk in stream] == [b"a", "ü".encode()]
    assert request.body_used


async def test_a_body_that_was_read_whole_can_be_read_again():
    request = Request("/", body=chunks(b"[1", b"]"))

    assert not request.body_used
    assert await request.text() == "[1]"
    assert await request.json() == [1]
    assert [chunk async for chunk in request.stream()] == [b"[1]"]


async def test_a_body_that_was_streamed_cannot_be_read_again():
    request = Request("/", body=chunks(b"a"))
    async for _ in request.stream():
        pass

    with pytest.raises(RuntimeError, match="streamed already"):
        await request.bytes()


async def test_buffering_stops_at_the_limit():
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield bytes(1000)

    request = Request("/", body=endless())

    with pytest.raises(BodyTooLarge) as caught:
        await request.bytes(limit=2500)
    assert caught.value.status == 413
    # The handler said so, and no field of Limits.
    assert (caught.value.setting, str(caught.value)[-24:]) == (None, "the limit of 2500 bytes.")
    assert len(read) == 3


async def test_a_body_that_is_there_obeys_the_limit_too():
    request = Request("/", body=b"12345")
    request.buffer_limit = 4

    with pytest.raises(BodyTooLarge, match=r"Limits\(buffered_body_bytes=4\)"):
        await request.text()
    assert await request.bytes(limit=5) == b"12345"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty, and JSON was expected"),
        (b'{"a":\n x}', r"not JSON: Expecting value \(line 2, column 2\)"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[-Infinity]", "Infinity is not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"{} {}", "Extra data"),
    ],
    ids=["empty", "malformed", "not utf-8", "deep", "nan", "infinity", "huge number", "two values"],
)
async def test_a_body_that_is_not_json_says_why(body: bytes, says: str):
    with pytest.raises(BadRequest, match=says) as caught:
        await Request("/", body=body).json()
    assert caught.value.status == 400


async def test_a_byte_order_mark_is_no_text():
    assert await Request("/", body=b"\xef\xbb\xbf{}").json() == {}
    assert await Request("/", body=b"\xef\xbb\xbfa").text() == "a"


async def test_a_copy_shares_body_signal_and_client():
    controller = AbortController()
    request = Request(
        "http://h/a",
        method="POST",
        body=chunks(b"x"),
        signal=controller.signal,
        client=("1.2.3.4", 5),
        headers={"a": "b"},
    )

    copied = request.copy(url="http://h/b", headers={"c": "d"})

    assert (copied.url, copied.method, copied.client) == ("http://h/b", "POST", ("1.2.3.4", 5))
    assert "a" not in copied.headers
    assert copied.headers["c"] == "d"
    assert request.headers["a"] == "b"
    controller.abort()
    assert copied.signal.aborted
    assert await copied.bytes() == b"x"
    assert request.body_used
    assert await request.bytes() == b"x"


def test_headers_of_a_copy_are_its_own():
    request = Request("/", headers={"a": "b"})
    copied = request.copy()
    copied.headers["a"] = "c"

    assert request.headers["a"] == "b"


async def test_a_request_made_of_a_request_may_have_another_body():
    request = Request(Request("/x", headers={"a": "b"}), method="PUT", body="new")

    assert request.url == "http://localhost/x"
    assert request.headers["a"] == "b"
    assert await request.text() == "new"


def test_a_signal_of_its_own_is_never_aborted():
    request = Request("/")

    assert request.signal is request.signal
    assert not request.signal.aborted
