"""Paths, redirects, headers, and who answers first."""

from __future__ import annotations

import logging
import mimetypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from edgeagents_assets import plugin
from edgeagents_assets.header_rules import HeaderRules
from edgeagents_assets.media_types import media_type
from edgeagents_assets.patterns import Pattern, fill
from edgeagents_assets.redirects import Redirects
from edgeagents_assets.site import Leads, Serves, Site

from edgeagents import Request, Response, Runtime, WorkerEntrypoint, hookimpl
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.http import Headers
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare(
    "Workers", "`assets`: html and not-found handling, `_headers`, `_redirects`, `run_worker_first`", "same"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    files = {
        "index.html": "home",
        "page.html": "page",
        "docs/index.html": "docs",
        "both.html": "a page",
        "both/index.html": "a folder",
        "plain": "no ending",
        "app.js": "let x;",
        "a b.txt": "space",
        "docs/404.html": "no such page of the docs",
        "404.html": "no such page",
        ".well-known/x.json": "{}",
        "secret.txt": "hidden",
        ".assetsignore": "secret.txt\n",
        "_headers": "/app.js\n  X-One: 1\n",
        "_redirects": "/old /page 301\n",
    }
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "outside.txt").write_text("not for you")
    (site / "link.txt").symlink_to(tmp_path / "outside.txt")
    return site


# What a path means: `text` is served, a path led to, None nothing.
TABLE = {
    "auto-trailing-slash": {
        "/": "home",
        "/page": "page",
        "/page/": "/page",
        "/page.html": "/page",
        "/docs": "/docs/",
        "/docs/": "docs",
        "/docs/index.html": "/docs/",
        "/docs/index": "/docs/",
        "/index.html": "/",
        "/both": "a page",
        "/both/": "a folder",
        "/plain": "no ending",
        "/nothing": None,
    },
    "force-trailing-slash": {
        "/": "home",
        "/page": "/page/",
        "/page/": "page",
        "/page.html": "/page/",
        "/docs": "/docs/",
        "/docs/": "docs",
        "/both/": "a folder",
        "/both.html": "a page",
        "/plain": "no ending",
    },
    "drop-trailing-slash": {
        "/": "home",
        "/page": "page",
        "/page/": "/page",
        "/docs": "docs",
        "/docs/": "/docs",
        "/docs/index.html": "/docs",
        "/index.html": "/",
        "/both": "a page",
        "/both/index.html": "a folder",
    },
    "none": {"/": None, "/page": None, "/page.html": "page", "/docs/": None, "/docs/index.html": "docs"},
}


@pytest.mark.parametrize(
    ("handling", "path", "expected"), [(h, p, e) for h, rows in TABLE.items() for p, e in rows.items()]
)
def test_a_path_means_a_file(folder: Path, handling: Any, path: str, expected: str | None) -> None:
    found = Site(folder, handling).find(path)
    if expected is None:
        assert found is None
    elif expected.startswith("/"):
        assert found == Leads(expected)
    else:
        assert isinstance(found, Serves)
        assert found.file.read_text() == expected


@pytest.mark.parametrize(
    "path",
    [
        *("/../outside.txt", "/docs/../../outside.txt", "/link.txt", "/_headers", "/_redirects", "/.assetsignore"),
        *("/secret.txt", "/\0", "/.", "/docs/.", "//etc/passwd", "/" + "a" * 5000),
        *("/%2e%2e/outside.txt", "/..%2foutside.txt", "/%2e%2e%2foutside.txt", "/docs/..%5c..%5coutside.txt", "/%00"),
        *(
            "/docs//../../outside.txt",
            "/\ud800",
            "/%ff",
            "/secret.txt/",
            "/SECRET.TXT",
            "/..;/outside.txt",
            "/...//outside.txt",
        ),
    ],
)
def test_what_is_not_public_is_not_there(folder: Path, path: str) -> None:
    assert Site(folder).find(path) is None


@pytest.mark.parametrize(
    ("handling", "path", "expected"),
    [
        ("none", "/x", None),
        ("single-page-application", "/x/y", ("home", 200)),
        ("404-page", "/docs/x", ("no such page of the docs", 404)),
        ("404-page", "/x/y/z", ("no such page", 404)),
    ],
)
def test_where_nothing_is(folder: Path, handling: Any, path: str, expected: Any) -> None:
    found = Site(folder).missing(path, handling)
    assert (None if found is None else (found.file.read_text(), found.status)) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/a", "/a", {}),
        ("/a", "/a/b", None),
        ("/a/*", "/a/b/c", {"splat": "b/c"}),
        ("/:year/:slug", "/2026/hi", {"year": "2026", "slug": "hi"}),
        ("/:year", "/2026/hi", None),
        ("/a.b", "/axb", None),
    ],
)
def test_a_pattern_matches_paths(pattern: str, path: str, values: Any) -> None:
    assert Pattern(pattern).match(path) == values


def test_names_are_filled_in() -> None:
    assert fill("/x/:year/:other?s=:splat", {"year": "2026", "splat": "a/b"}) == "/x/2026/:other?s=a/b"


REDIRECTS = """\
# a comment
/one /two
/three https://example.com/3 301   # why not
/blog/:slug /posts/:slug 308
/files/* https://files.example.com/:splat
/exact-after /late
/keeps /to?own=1
/same/* /:splat
"""


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/one", "", ("/two", 302)),
        ("/one", "q=1", ("/two?q=1", 302)),
        ("/three", "", ("https://example.com/3", 301)),
        ("/blog/hi", "", ("/posts/hi", 308)),
        ("/files/a/b", "", ("https://files.example.com/a/b", 302)),
        ("/exact-after", "", ("/late", 302)),
        ("/keeps", "q=1", ("/to?own=1", 302)),
        ("/two", "", None),
        ("/same//evil.example", "", ("/evil.example", 302)),
    ],
)
def test_a_redirect_leads_elsewhere(path: str, query: str, expected: Any) -> None:
    assert Redirects(REDIRECTS).find(path, query) == expected


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("/a", "A rule is: from, to"),
        ("/a /b 418", "The status is one of"),
        ("a /b", "begins with a slash"),
        ("/a b", "leads to a path or a URL"),
        ("/a https://x 200", "leads to a path of this site"),
        ("/* /index.html 200", "would never end"),
        ("/b /c\n/b /d", "There is a rule for /b already"),
    ],
)
def test_a_line_that_is_no_rule_is_named(line: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    Redirects(line)
    assert fault in caplog.text
    assert f"line {line.count(chr(10)) + 1}" in caplog.text


def test_headers_are_added_and_taken_away() -> None:
    rules = HeaderRules(
        "/*\n  X-All: yes\n  X-All: twice\n/p/:name\n  X-Name: :name\n  ! Etag\nhttps://a.example/*\n  X-Host: a\n"
    )
    headers = Headers({"etag": "1"})
    rules.apply(headers, "b.example", "/p/ann")
    assert dict(headers) == {"x-all": "yes, twice", "x-name": "ann"}
    rules.apply(headers, "a.example", "/p/ann")
    assert headers["x-host"] == "a"


def test_rules_for_one_header_are_joined() -> None:
    rules = HeaderRules(
        "/*\n  Cache-Control: public\n  X-A: 1\n/a/*\n  cache-control: no-transform\n  ! X-A\n  X-A: 2\n"
    )
    headers = Headers({"cache-control": "max-age=0"})
    rules.apply(headers, "a.example", "/a/b")
    assert dict(headers) == {"cache-control": "public, no-transform", "x-a": "2"}


def test_cookies_of_several_rules_stay_apart() -> None:
    headers = Headers()
    HeaderRules("/*\n  Set-Cookie: a=1\n/a\n  Set-Cookie: b=2\n").apply(headers, "a.example", "/a")
    assert headers.getlist("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("text", ["X-A: 1\n", "/a/*/*\n", "/a\n  nonsense\n", "/a\n  X: " + "y" * 2001])
def test_a_line_that_is_no_header_is_told(text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    HeaderRules(text)
    assert "_headers, line" in caplog.text


# In a worker


class Echo(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        if request.path.startswith("/asset/"):
            return await self.env.ASSETS.fetch(request.copy(url=request.url.replace("/asset/", "/")))
        return Response(f"worker {request.path}")


def runtime(folder: Path, *, date: str = "2026-01-01", entrypoint: Any = Echo, **options: Any) -> Runtime:
    declaration = BindingDeclaration("ASSETS", "assets", {"directory": str(folder), **options})
    worker = Worker(bindings=[declaration], entrypoint=entrypoint, compatibility_date=date)
    return Runtime(worker, storage=None, durability="memory", plugins=[plugin], discover_plugins=False)


async def get(running: Runtime, path: str, *, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
    request = Request(path, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = await running.fetch(request)
    return response.status, await response.text(), response.headers


@pytest.mark.parametrize(
    ("options", "path", "headers", "expected"),
    [
        ({}, "/page", {}, (200, "page")),
        ({}, "/nothing", {}, (200, "worker /nothing")),
        ({}, "/page.html?q=1", {}, (307, "")),
        ({}, "/old", {}, (301, "")),
        ({}, "/a%20b.txt", {}, (200, "space")),
        ({}, "/%70age", {}, (307, "")),
        ({}, "//page", {}, (307, "")),
        ({}, "/asset/page", {}, (200, "page")),
        ({}, "/asset/nothing", {}, (404, "")),
        ({"run_worker_first": True}, "/page", {}, (200, "worker /page")),
        ({"run_worker_first": ["/docs/*", "!/docs/index.html"]}, "/docs/", {}, (200, "worker /docs/")),
        ({"run_worker_first": ["/docs/*"]}, "/page", {}, (200, "page")),
        ({"run_worker_first": ["/a/*", "!/a/b*"]}, "/a/bcd", {}, (404, "")),
        ({"not_found_handling": "single-page-application"}, "/x", {}, (200, "worker /x")),
        ({"not_found_handling": "single-page-application"}, "/x", {"sec_fetch_mode": "navigate"}, (200, "home")),
        (
            {"not_found_handling": "single-page-application", "date": "2025-03-01"},
            "/x",
            {"sec_fetch_mode": "navigate"},
            (200, "worker /x"),
        ),
        ({"not_found_handling": "404-page", "entrypoint": None}, "/x", {}, (404, "no such page")),
    ],
)
async def test_who_answers(folder: Path, options: Any, path: str, headers: Any, expected: Any) -> None:
    async with runtime(folder, **options) as running:
        assert (await get(running, path, **headers))[:2] == expected


async def test_where_a_path_leads_keeps_the_query(folder: Path) -> None:
    async with runtime(folder) as running:
        assert (await get(running, "/page.html?q=1"))[2]["location"] == "/page?q=1"


async def test_an_asset_has_its_headers(folder: Path) -> None:
    async with runtime(folder) as running:
        _, _, headers = await get(running, "/app.js")
        assert headers["content-type"] == "text/javascript; charset=utf-8"
        assert headers["cache-control"] == "public, max-age=0, must-revalidate"
        assert headers["x-one"] == "1"
        assert "content-type" not in (await get(running, "/plain"))[2]
        assert "cache-control" not in (await get(running, "/app.js", authorization="x"))[2]


async def test_an_asset_that_the_client_has_is_not_sent_again(folder: Path) -> None:
    async with runtime(folder) as running:
        _, _, headers = await get(running, "/app.js")
        assert (await get(running, "/app.js", if_none_match=f'"x", W/{headers["etag"]}'))[:2] == (304, "")
        (folder / "app.js").write_text("let y;")
        assert (await get(running, "/app.js", if_none_match=headers["etag"]))[:2] == (200, "let y;")


async def test_an_asset_can_only_be_got(folder: Path) -> None:
    async with runtime(folder, entrypoint=None) as running:
        assert (await get(running, "/page", method="POST"))[0] == 405
    async with runtime(folder) as running:
        assert (await get(running, "/page", method="POST"))[0] == 405
        assert (await get(running, "/nothing", method="POST"))[:2] == (200, "worker /nothing")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"run_worker_first": []}, "1 to 100 rules"),
        ({"run_worker_first": ["!/a"]}, "at least one of which"),
        ({"run_worker_first": ["a"]}, "must begin with"),
        ({"run_worker_first": ["/a", "/a"]}, "'/a' twice"),
        ({"directory": "/nowhere/at/all"}, "there is no folder '/nowhere/at/all'"),
        ({"directory": ""}, "there is no folder ''"),
        ({"date": "2026"}, "compatibility_date: '2026' is not a whole date; write YYYY-MM-DD"),
        ({"date": "2026/01/02"}, "compatibility_date: '2026/01/02' is not"),
    ],
)
async def test_a_section_that_cannot_be_served_is_told(folder: Path, options: Any, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        async with runtime(folder, **options):
            pass


async def test_a_fault_of_a_rule_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "_redirects").write_text("/a /b 418\n")
    async with runtime(folder):
        assert caplog.text.count("The status is one of") == 1


async def test_without_a_binding_they_are_served_and_not_in_env(folder: Path) -> None:
    worker = Worker(bindings=[BindingDeclaration("", "assets", {"directory": str(folder)})], entrypoint=Echo)
    async with Runtime(worker, storage=None, durability="memory", plugins=[plugin], discover_plugins=False) as running:
        assert (await get(running, "/page"))[1] == "page"
        assert "" not in running.env


class Tide:
    """A transport that knows its requests."""

    name = "tide"

    def claims(self, request: Request) -> bool:
        return request.path.startswith("/tide/")

    async def serve(self, request: Request, fetch: Any) -> Response:
        return Response(f"the tide at {request.path}")


async def test_no_other_transport_is_hidden(folder: Path) -> None:
    declaration = BindingDeclaration("", "assets", {"directory": str(folder)})
    worker = Worker(bindings=[declaration], entrypoint=Echo)
    other = SimpleNamespace(register_transports=hookimpl(lambda runtime: [Tide()]))
    for plugins in ([plugin, other], [other, plugin]):
        async with Runtime(
            worker, storage=None, durability="memory", plugins=plugins, discover_plugins=False
        ) as running:
            assert (await get(running, "/tide/x"))[1] == "the tide at /tide/x"
            assert (await get(running, "/page"))[1] == "page"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.JS", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.svg", "image/svg+xml"),
        ("a.tar.gz", "application/gzip"),
        ("a.mine", None),
        ("html", None),
        (".html", None),
    ],
)
def test_what_a_file_is_does_not_depend_on_the_machine(
    name: str, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **more: ("application/x-of-the-machine", None))
    assert media_type(Path(name)) == kind
