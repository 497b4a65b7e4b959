from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents.asgi.addresses import full_url, route_path


def scope_of(**values: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.com")],
        "server": ("127.0.0.1", 8000),
        **values,
    }


@pytest.mark.parametrize(
    ("values", "url"),
    [
        pytest.param({"raw_path": b"/a%20b/%2F/../c", "path": "/a b///../c"}, "/a%20b/%2F/../c", id="as it was sent"),
        pytest.param({"raw_path": b"/a", "query_string": b"x=%zz&y=a b"}, "/a?x=%zz&y=a%20b", id="query"),
        pytest.param({"raw_path": b"/a?x=1", "query_string": b"x=1"}, "/a?x=1", id="query in raw_path"),
        pytest.param({"path": "/ü/a%b\0"}, "/%C3%BC/a%25b%00", id="without raw_path"),
        pytest.param({"raw_path": None, "path": ""}, "/", id="empty path"),
        pytest.param({"raw_path": b"/\xff\x00 "}, "/%FF%00%20", id="bytes that no URL holds"),
        pytest.param({"path": "/\ud800"}, "/%3F", id="lone surrogate"),
        pytest.param({"raw_path": b"http://other/a/b"}, "/a/b", id="proxy request"),
        pytest.param({"raw_path": b"*", "path": "*"}, "/*", id="options of everything"),
        pytest.param({"raw_path": b"//agents//x/", "path": "//agents//x/"}, "//agents//x/", id="slashes"),
    ],
)
def test_the_path_of_a_url(values: dict[str, Any], url: str):
    assert full_url(scope_of(**values)) == f"http://example.com{url}"


@pytest.mark.parametrize(
    ("values", "origin"),
    [
        ({}, "http://example.com"),
        ({"scheme": "https"}, "https://example.com"),
        ({"scheme": "ws"}, "http://example.com"),
        ({"scheme": "wss"}, "https://example.com"),
        ({"headers": [(b"host", b"a.b:80")]}, "http://a.b:80"),
        ({"headers": [(b"host", b"[::1]:8000")]}, "http://[::1]:8000"),
        ({"headers": []}, "http://127.0.0.1:8000"),
        ({"headers": [(b"host", b"")]}, "http://127.0.0.1:8000"),
        ({"headers": [(b"host", b"evil/..")]}, "http://127.0.0.1:8000"),
        ({"headers": [(b"host", b"a@b")]}, "http://127.0.0.1:8000"),
        ({"headers": [(b"host", b"\xff\0")]}, "http://127.0.0.1:8000"),
        ({"headers": [], "server": ("::1", 80)}, "http://[::1]"),
        ({"headers": [], "server": ("h", 443), "scheme": "https"}, "https://h"),
        ({"headers": [], "server": ("/run/socket", None)}, "http://localhost"),
        ({"headers": [], "server": None}, "http://localhost"),
    ],
)
def test_the_origin_of_a_url(values: dict[str, Any], origin: str):
    assert full_url(scope_of(**values)) == f"{origin}/"


@pytest.mark.parametrize(
    ("values", "path", "url"),
    [
        pytest.param({"path": "/m/a", "raw_path": b"/m/a"}, "/a", "/m/a", id="left in both"),
        pytest.param({"path": "/a", "raw_path": b"/m/a"}, "/a", "/m/a", id="taken out of path"),
        pytest.param({"path": "/a", "raw_path": b"/a"}, "/a", "/m/a", id="taken out of both"),
        pytest.param({"path": "/m/a"}, "/a", "/m/a", id="left in path, no raw_path"),
        pytest.param({"path": "/a"}, "/a", "/m/a", id="taken out, no raw_path"),
        pytest.param({"path": "/m/a b", "raw_path": b"/%6D/a%20b"}, "/a%20b", "/%6D/a%20b", id="sent encoded"),
        pytest.param({"path": "/m", "raw_path": b"/m"}, "/", "/m", id="the mount point itself"),
        pytest.param({"path": "/mx/a", "raw_path": b"/mx/a"}, "/mx/a", "/m/mx/a", id="begins alike"),
        pytest.param({"path": "/x%/a", "raw_path": b"/x%25/a"}, "/x%25/a", "/m/x%25/a", id="encoded, elsewhere"),
    ],
)
def test_a_mount_point_is_in_the_url_and_not_in_the_route(values: dict[str, Any], path: str, url: str):
    scope = scope_of(root_path="/m", **values)

    assert route_path(scope) == path
    assert full_url(scope) == f"http://example.com{url}"


def test_a_mount_point_with_odd_characters():
    scope = scope_of(root_path="/ü x", path="/ü x/a", raw_path=b"/%C3%BC%20x/a")

    assert route_path(scope) == "/a"
    assert full_url(scope) == "http://example.com/%C3%BC%20x/a"


def test_a_mount_point_with_a_trailing_slash():
    assert route_path(scope_of(root_path="/m/", path="/m/a", raw_path=b"/m/a")) == "/a"


_root = st.one_of(st.just(""), st.text(max_size=5).map(lambda text: f"/{text}"))


@given(path=st.text(max_size=30), raw=st.none() | st.binary(max_size=30), query=st.binary(max_size=20), root=_root)
def test_no_scope_is_refused(path: str, raw: bytes | None, query: bytes, root: str):
    scope = scope_of(path=path, raw_path=raw, query_string=query, root_path=root)

    assert full_url(scope).isascii()
    assert full_url(scope).isprintable()
    assert route_path(scope).startswith("/")


def test_a_long_url_is_kept():
    path = b"/" + b"a" * 16_384
    assert full_url(scope_of(raw_path=path)).endswith(path.decode())
