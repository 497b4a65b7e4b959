"""URLs are matched by their shape. What matches what was seen on workerd 1.20260503."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.cloudflare("Workers", "Python: `URLPattern`", "same")

H = "https://example.com"


def groups(pattern: Any, url: Any, base: str | None = None) -> dict[str, Any] | None:
    """Return what stands in the named places, or None when it does not match."""
    import js
    from pyodide.ffi import jsnull, to_js

    made = js.URLPattern.new(pattern if isinstance(pattern, str) else to_js(pattern), base)
    found = made.exec(url if isinstance(url, str) else to_js(url))
    assert made.test(url if isinstance(url, str) else to_js(url)) is (found is not jsnull)
    if found is jsnull:
        return None
    parts = ("protocol", "hostname", "port", "pathname", "search", "hash")
    named = [(part, getattr(found, part).groups.to_py()) for part in parts]
    return {
        f"{part}.{name}" if name.isdecimal() else name: value
        for part, held in named
        for name, value in held.items()
        if value
    }


@pytest.mark.parametrize(
    ("pattern", "url", "found"),
    [
        (
            {"pathname": "/a/:id"},
            "http://x/a/5?q=1",
            {"protocol.0": "http", "hostname.0": "x", "id": "5", "search.0": "q=1"},
        ),
        ({"pathname": "/a/:id"}, "http://x/a/5/6", None),
        ("https://*.example.com/x", "https://a.example.com/x", {"hostname.0": "a"}),
        ("https://*.example.com/x", f"{H}/x", None),
        (f"{H}/:a?", f"{H}/", None),
        (f"{H}/b/:a?", f"{H}/b", {}),
        (f"{H}/b/:a*", f"{H}/b/c/d", {"a": "c/d"}),
        (f"{H}/b/:a+", f"{H}/b", None),
        (f"{H}/b/:a(\\d+)", f"{H}/b/12", {"a": "12"}),
        (f"{H}/b/:a(\\d+)", f"{H}/b/x", None),
        (f"{H}/b/(\\d+)-:n", f"{H}/b/12-q", {"pathname.0": "12", "n": "q"}),
        ("http{s}?://example.com/x", "http://example.com/x", {}),
        (f"{H}/a{{/b}}?", f"{H}/a", {}),
        (f"{H}/a?q=:v", f"{H}/a?q=5", {"v": "5"}),
        (f"{H}/a\\?b", f"{H}/a?b", {}),
        (f"{H}/a#:h", f"{H}/a#z", {"h": "z"}),
        (f"{H}:8080/*", f"{H}:8080/x", {"pathname.0": "x"}),
        (f"{H}:443/*", f"{H}/x", {"pathname.0": "x"}),
        (
            {"hostname": ":sub.example.com"},
            "http://www.example.com/",
            {"protocol.0": "http", "sub": "www", "pathname.0": "/"},
        ),
        ({"pathname": "c", "baseURL": "https://h/b/d"}, "https://h/b/c", {}),
        ({"pathname": "/A/:x"}, {"pathname": "/a/b"}, None),
        ({"pathname": "/a/:x"}, {"pathname": "/a/b"}, {"x": "b"}),
        ({"pathname": "/:a.:b"}, {"pathname": "/x.y"}, {"a": "x", "b": "y"}),
        ({"pathname": "/*/*"}, {"pathname": "/a/b"}, {"pathname.0": "a", "pathname.1": "b"}),
        (
            {"pathname": "/\u00e9/:x"},
            "http://h/\u00e9/\u00fc",
            {"protocol.0": "http", "hostname.0": "h", "x": "%C3%BC"},
        ),
    ],
)
def test_a_pattern_matches_what_it_matches_there(pattern: Any, url: Any, found: Any) -> None:
    assert groups(pattern, url) == found


def test_a_pattern_stands_on_a_base() -> None:
    assert groups("/b/*", "http://h/b/c/d", "http://h") == {"pathname.0": "c/d"}
    assert groups("/b/*", "https://h/b/c/d", "http://h") is None
    assert groups("c/:x", "https://h/b/c/1", "https://h/b/d") == {"x": "1"}


def test_a_pattern_tells_its_parts_and_whether_it_has_expressions() -> None:
    import js
    from pyodide.ffi import to_js

    made = js.URLPattern.new("https://*.example.com/:a(\\d+)?q")
    assert (made.protocol, made.hostname, made.port, made.search) == ("https", "*.example.com", "", "*")
    assert (made.pathname, made.hasRegExpGroups) == ("/:a(\\d+)?q", True)
    assert js.URLPattern.new(to_js({"pathname": "/A"}), ignoreCase=True).test("http://h/a")


@pytest.mark.parametrize("pattern", ["/x", {"pathname": "/(unclosed"}])
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    from pyodide.ffi import JsException

    with pytest.raises(JsException, match="TypeError: Failed to construct URLPattern"):
        groups(pattern, "http://h/")
