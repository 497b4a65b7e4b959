"""Headers, requests, responses, forms and URLs of the web."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def g() -> Any:
    import js

    return js


def test_headers_are_lower_case_sorted_and_joined(g):
    headers = g.Headers.new([("X-B", "1"), ("x-a", " 2 "), ("x-b", 3), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    assert [tuple(pair) for pair in headers] == [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-a", "2"),
        ("x-b", "1, 3"),
    ]
    from pyodide.ffi import jsnull

    assert headers.get("nope") is jsnull
    assert list(headers.getSetCookie()) == ["a=1", "b=2"]
    headers.set("x-b", True)
    assert headers.get("X-B") == "true"
    with pytest.raises(Exception, match="TypeError"):
        headers.set("bad name", "x")
    with pytest.raises(Exception, match="TypeError"):
        headers.set("x", "a\r\nb")


async def test_requests_are_normalised_and_read_once(g):
    from pyodide.ffi import jsnull

    request = g.Request.new("HTTP://Example.com", method="post", body="é")
    assert (request.url, request.method, request.headers.get("content-type")) == (
        "http://example.com/",
        "POST",
        "text/plain;charset=UTF-8",
    )
    copy = request.clone()
    assert await request.text() == "é"
    assert (request.bodyUsed, copy.bodyUsed) == (True, False)
    assert (await copy.arrayBuffer()).to_bytes() == "é".encode()
    with pytest.raises(Exception, match="already been used"):
        await request.text()
    assert g.Request.new("http://a").body is jsnull
    for init in ({"method": "GET", "body": "x"}, {"redirect": "error"}):
        with pytest.raises(Exception, match="TypeError"):
            g.Request.new("http://a", **init)
    with pytest.raises(Exception, match="Invalid URL"):
        g.Request.new("nonsense")


async def test_a_request_made_of_a_request_takes_its_body(g):
    first = g.Request.new("http://a/", method="POST", body="x", headers=[("a", "1")])
    second = g.Request.new(first, method="PUT")
    assert (second.method, second.headers.get("a"), await second.text(), first.bodyUsed) == ("PUT", "1", "x", True)


async def test_responses_have_a_status_a_type_and_a_body(g):
    assert (g.Response.new().statusText, g.Response.new(None, status=204).ok) == ("OK", True)
    made = g.Response.json({"a": [1, None]}, status=201)
    assert (await made.text(), made.headers.get("content-type"), made.status) == (
        '{"a":[1,null]}',
        "application/json",
        201,
    )
    moved = g.Response.redirect("http://a/b", 307)
    assert (moved.status, moved.headers.get("location")) == (307, "http://a/b")
    for init, name in (
        ({"status": 199}, "RangeError"),
        ({"status": 101}, "RangeError"),
        ({"status": 204}, "TypeError"),
    ):
        with pytest.raises(Exception, match=name):
            g.Response.new("x", **init)
    with pytest.raises(Exception, match="RangeError"):
        g.Response.redirect("http://a", 200)
    other = g.Response.new("y", g.Response.new("x", status=418, headers=[("a", "1")]))
    assert (other.status, other.headers.get("a")) == (418, "1")


async def test_bodies_of_every_kind_have_their_type(g):
    params = g.Response.new(g.URLSearchParams.new("a=1&b=é"))
    assert params.headers.get("content-type") == "application/x-www-form-urlencoded;charset=UTF-8"
    assert await params.text() == "a=1&b=%C3%A9"
    blob = g.Response.new(g.Blob.new(["x", b"y"], type="Text/CSV"))
    assert (blob.headers.get("content-type"), await blob.text()) == ("text/csv", "xy")
    assert g.Response.new(b"x").headers.has("content-type") is False


async def test_forms_are_sent_and_read(g):
    form = g.FormData.new()
    form.append("n", 5)
    form.append("f", g.Blob.new(["data"], type="text/plain"), 'na"me.txt')
    form.append("f", g.File.new(["x"], "b.bin"))
    sent = g.Response.new(form)
    read = await sent.formData()
    assert read.get("n") == "5"
    assert [(one.name, one.type, one.size) for one in read.getAll("f")] == [
        ('na"me.txt', "text/plain", 4),
        ("b.bin", "application/octet-stream", 1),
    ]
    encoded = g.Request.new("http://a", method="POST", body=g.URLSearchParams.new("a=1&a=2"))
    assert list((await encoded.formData()).getAll("a")) == ["1", "2"]
    with pytest.raises(Exception, match="requires a Content-Type"):
        await g.Response.new(b"x").formData()


def test_urls_are_those_of_browsers(g):
    url = g.URL.new("../b?x=1#h", "http://Us:pw@Ex.com:80/a/c/")
    assert (url.href, url.host, url.pathname, url.username) == ("http://Us:pw@ex.com/a/b?x=1#h", "ex.com", "/a/b", "Us")
    url.searchParams.append("y", "é &")
    assert url.search == "?x=1&y=%C3%A9+%26"
    url.search = "?z=1"
    assert url.searchParams.get("z") == "1"
    assert (g.URL.canParse("nope"), g.URL.canParse("a:b")) == (False, True)


async def test_abort_signals_tell_their_listeners(g):
    controller = g.AbortController.new()
    told: list[str] = []
    controller.signal.addEventListener("abort", lambda event: told.append(event.type))
    controller.abort()
    controller.abort()
    assert (told, controller.signal.aborted, controller.signal.reason.name) == (["abort"], True, "AbortError")
    with pytest.raises(Exception, match="AbortError"):
        controller.signal.throwIfAborted()
    either = g.AbortSignal.any([g.AbortSignal.abort("x")])
    assert either.reason == "x"


async def test_the_sdk_stands_on_them(g):
    from workers import FormData, Request, Response, python_from_rpc, python_to_rpc

    response = Response("hi", headers={"Set-Cookie": "a=1"}, status=201)
    assert repr(response).startswith("Response(status=201, status_text='Created'")
    assert await response.text() == "hi"
    assert Response.json({"a": 1}).headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match="not a redirect status code"):
        Response.redirect("http://a", 200)
    form = FormData()
    form.append("a", "1")
    assert (await Request("http://a", method="POST", body=form).form_data())["a"] == "1"
    assert python_from_rpc(python_to_rpc({"a": [1, None]})) == {"a": [1, None]}
    with pytest.raises(TypeError):
        python_to_rpc((1, 2))
