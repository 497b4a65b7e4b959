"""What JavaScript's own objects can do: arrays, maps, numbers, dates and the rest of the global scope."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytestmark = pytest.mark.cloudflare("Workers", "Python: JavaScript's built-in objects through `js`", "same")

CASES = [
    ("js.Array.of(3, 1, 2).toSorted()", [1, 2, 3]),
    ("js.Array.of(1, 2).toReversed()", [2, 1]),
    ("js.Array.of(1, 2).flatMap(lambda one: js.Array.of(one, one))", [1, 1, 2, 2]),
    ("js.Array.of(1, 2, 1).lastIndexOf(1)", 2),
    ("js.Array.of(1, 2, 3).findLast(lambda one: one < 3)", 2),
    ("js.Array.of(1, 2, 3).findLastIndex(lambda one: one > 5)", -1),
    ("js.Array.of(1, 2, 3).reduceRight(lambda a, b: f'{a}{b}', '')", "321"),
    ("js.Array.of(1, 2, 3).fill(0, 1)", [1, 0, 0]),
    ("js.Array.of(1, 2, 3).toSpliced(1, 1, 9)", [1, 9, 3]),
    ("js.Array.of(1, 2).with_(0, 9)", [9, 2]),
    ("js.Array.of(5, 6).index(6)", 1),
    ("js.Array.of(5, 6, 5).count(5)", 2),
    ("[(a := js.Array.of(5, 6)).insert(0, 4), a.remove(6), a.pop(0), a.to_py()][2:]", [4, [5]]),
    ("js.Array.new().pop()", None),
    ("[(m := js.Map.new([['a', 1]])).setdefault('b', 2), m.update({'c': 3}), m.pop('a'), m.to_py()][2:]",
     [1, {"b": 2, "c": 3}]),
    ("list(js.Set.new([1, 2]).union(js.Set.new([3])))", [1, 2, 3]),
    ("list(js.Set.new([1, 2]).symmetricDifference(js.Set.new([2, 3])))", [1, 3]),
    ("list(js.Set.new([1, 2]).intersection(js.Set.new([2])))", [2]),
    ("js.Set.new([1]).isSubsetOf(js.Set.new([1, 2]))", True),
    ("js.WeakMap.new([[js.Array, 1]]).get(js.Array)", 1),
    ("js.WeakRef.new(js.Array).deref() is js.Array", True),
    ("js.Uint8Array.of(1, 2).map(lambda one: one * 200).to_bytes()", bytes([200, 144])),
    ("js.Uint8Array.of(3, 1).sort().to_bytes()", b"\x01\x03"),
    ("js.Float32Array.of(1.5, 2).join('-')", "1.5-2"),
    ("js.Uint8Array.of(7, 8).indexOf(8)", 1),
    ("js.Uint8Array.of(1, 255).toHex()", "01ff"),
    ("js.Uint8Array.fromBase64('YWI=').to_bytes()", b"ab"),
    ("js.Number.isSafeInteger(2**53)", False),
    ("js.Number.new(255).toString(16)", "ff"),
    ("js.Number.new(-1.255).toFixed(2)", "-1.25"),
    ("js.parseInt('12px')", 12),
    ("js.parseInt('-0xff')", -255),
    ("js.parseInt('z', 36)", 35),
    ("js.parseFloat(' 1.5e3x')", 1500),
    ("js.isNaN(js.parseInt('x'))", True),
    ("js.isFinite('12')", True),
    ("js.BigInt('12345678901234567890')", 12345678901234567890),
    ("js.String.fromCodePoint(128512)", "\U0001f600"),
    ("js.encodeURIComponent('a b&\u00e9/')", "a%20b%26%C3%A9%2F"),
    ("js.decodeURIComponent('a%20b%26')", "a b&"),
    ("js.encodeURI('http://a/\u00e9?x=1 2')", "http://a/%C3%A9?x=1%202"),
    ("js.decodeURI('a%20b%2F')", "a b%2F"),
    ("js.Math.hypot(3, 4)", 5),
    ("js.Math.sign(-3)", -1),
    ("js.Math.log2(8)", 3),
    ("js.Math.clz32(1)", 31),
    ("math.isnan(js.Math.acos(2))", True),
    ("js.JSON.stringify(to_js({'a': 1, 'b': 2}), to_js(['a']))", '{"a":1}'),
    ("js.JSON.stringify(to_js({'a': 1, 'b': [2]}), lambda name, value: 9 if value == 1 else value)", '{"a":9,"b":[2]}'),
    ("js.JSON.stringify(js.Uint8Array.of(1, 2))", '{"0":1,"1":2}'),
    ("js.JSON.parse('{\"a\":[1,2]}', lambda name, value: 7 if value == 1 else value)", {"a": [7, 2]}),
    ("js.Date.new(0).toDateString()", "Thu Jan 01 1970"),
    ("js.Date.new(0).toLocaleString()", "1/1/1970, 12:00:00 AM"),
    ("[(d := js.Date.new(0)).setUTCHours(25, 1), d.toISOString()][1]", "1970-01-02T01:01:00.000Z"),
    ("[(d := js.Date.new(0)).setMonth(13), d.toISOString()][1]", "1971-02-01T00:00:00.000Z"),
    ("js.CustomEvent.new('x', detail=5).detail", 5),
    ("js.CountQueuingStrategy.new(highWaterMark=3).highWaterMark", 3),
]  # fmt: skip


@pytest.mark.parametrize(("code", "value"), CASES, ids=[code for code, _ in CASES])
def test_they_do_what_they_do_in_javascript(code: str, value: Any) -> None:
    import js
    from pyodide.ffi import to_js

    found = eval(code, {"js": js, "math": math, "to_js": to_js})
    assert (found.to_py() if hasattr(found, "to_py") else found) == value


def test_a_global_expression_goes_on_from_match_to_match() -> None:
    import js
    from pyodide.ffi import JsException, jsnull

    pattern = js.RegExp.new("(?<n>\\d)-", "g")
    first = pattern.exec("1-2-")
    assert (list(first), first.index, first.groups.n, pattern.lastIndex) == (["1-", "1"], 0, "1", 2)
    assert pattern.exec("1-2-").index == 2
    assert pattern.exec("1-2-") is jsnull
    with pytest.raises(JsException, match="SyntaxError: Invalid flags"):
        js.RegExp.new("a", "gg")


async def test_promises_settle_as_the_first_that_is_kept() -> None:
    import js
    from pyodide.ffi import JsException

    bad, good = js.Promise.reject(js.Error.new("a")), js.Promise.resolve(5)
    assert await js.Promise.any([bad, good]) == 5
    assert await js.Promise.try_(lambda: 3) == 3
    with pytest.raises(JsException, match="AggregateError: All promises were rejected") as raised:
        await js.Promise.any([bad])
    assert str(raised.value.errors[0]) == "Error: a"


@pytest.mark.parametrize("text", ["%", "%ff", "%zz"])
def test_what_no_url_says_is_refused(text: str) -> None:
    import js
    from pyodide.ffi import JsException

    with pytest.raises(JsException, match="URIError: URI malformed"):
        js.decodeURIComponent(text)


def test_base64_that_is_none_is_refused() -> None:
    import js
    from pyodide.ffi import JsException

    for text in ("a", "\u00e9"):
        with pytest.raises(JsException, match="InvalidCharacterError"):
            js.atob(text)
