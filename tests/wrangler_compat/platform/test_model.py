"""Objects, conversions and errors are JavaScript's, as Pyodide shows them to Python."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest


def js() -> Any:
    import js

    return js


def to_js(value: Any, **options: Any) -> Any:
    from pyodide.ffi import to_js

    return to_js(value, **options)


def test_the_names_of_classes_are_javascripts():
    from pyodide.ffi import create_proxy

    g = js()
    named = {
        "Object": to_js({}),
        "Array": to_js([]),
        "Map": g.Map.new(),
        "Set": to_js({1}),
        "Date": g.Date.new(),
        "Error": g.Error.new("x"),
        "TypeError": g.TypeError.new("x"),
        "Number": g.Number.new(1),
        "Uint8Array": to_js(b""),
        "ArrayBuffer": g.ArrayBuffer.new(1),
        "DataView": g.DataView.new(g.ArrayBuffer.new(1)),
        "Headers": g.Headers.new(),
        "Request": g.Request.new("http://a"),
        "Response": g.Response.new(),
        "ReadableStream": g.ReadableStream.new(),
        "FormData": g.FormData.new(),
        "Promise": None,
    }
    for name, value in named.items():
        assert value is None or value.constructor.name == name
    assert not hasattr("text", "constructor")
    assert create_proxy([1]).type == "list"


def test_keywords_become_one_object_at_the_end():
    response = js().Response.new("body", status=201, headers=to_js([["x", "1"]]))
    assert (response.status, response.headers.get("x"), response.statusText) == (201, "1", "Created")


def test_what_is_missing_is_undefined_and_too_many_are_dropped():
    g = js()
    assert g.Map.new().get("nowhere") is None
    assert g.Array.of(1, 2).join("-", "surplus") == "1-2"


def test_a_missing_property_is_no_attribute_and_keywords_of_python_are_written_with_an_underscore():
    made = to_js({"a": 1, "from": 2})
    assert made.a == 1
    assert made.from_ == 2
    assert not hasattr(made, "b")
    made.b = 3
    del made.a
    assert list(made.object_keys()) == ["from", "b"]
    assert list(js().Array.from_([1, 2])) == [1, 2]


def test_null_is_not_undefined():
    from pyodide.ffi import JsNull, jsnull

    assert not jsnull
    assert repr(jsnull) == "jsnull"
    assert jsnull is not None
    assert isinstance(jsnull, JsNull)
    assert js().JSON.parse("null") is jsnull
    assert js().undefined is None


def test_values_are_converted_both_ways():
    value = {"a": [1, 2.5, None, True, "x"], "b": {"c": b"\x01"}, "d": {1, 2}}
    back = to_js(value).to_py()
    assert back["a"] == value["a"]
    assert back["b"]["c"].tobytes() == b"\x01"
    assert back["d"] == {1, 2}


def test_cycles_are_kept():
    ring: list[Any] = []
    ring.append(ring)
    made = to_js(ring)
    assert made[0] is made
    back = made.to_py()
    assert back[0] is back


def test_converters_are_asked_for_what_has_no_form():
    from pyodide.ffi import ConversionError

    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    asked = to_js([moment], default_converter=lambda value, convert, cache: js().Date.new(value.timestamp() * 1000))
    assert asked[0].toISOString() == "2026-01-01T00:00:00.000Z"
    assert to_js(moment) is moment
    with pytest.raises(ConversionError):
        to_js(moment, create_pyproxies=False)
    plain = to_js({"a": {"b": 1}}, dict_converter=js().Object.fromEntries)
    assert (plain.a.b, plain.constructor.name) == (1, "Object")
    assert to_js(moment.date(), eager_converter=lambda value, convert, cache: "eager") == "eager"


def test_arrays_are_indexed_as_lists_and_have_javascripts_methods():
    array = to_js([3, 1, 2])
    assert (array[-1], list(array[1:]), len(array), 2 in array, True in array) == (2, [1, 2], 3, True, False)
    assert list(array.map(lambda value: value * 2)) == [6, 2, 4]
    assert list(array.filter(lambda value, index: index > 0)) == [1, 2]
    assert array.reduce(lambda a, b: a + b) == 6
    assert list(to_js([10, 9, 1]).sort()) == [1, 10, 9]
    assert str(to_js([1, [2, None]])) == "1,2,"
    assert not to_js([])


def test_a_plain_object_is_no_container_of_pythons():
    made = to_js({"a": 1}, dict_converter=js().Object.fromEntries)
    with pytest.raises(TypeError):
        made["a"]
    with pytest.raises(TypeError):
        len(made)
    with pytest.raises(TypeError):
        iter(made)


def test_maps_and_sets_iterate_as_in_javascript():
    g = js()
    assert [tuple(pair) for pair in g.Map.new([["a", 1], ["b", 2]])] == [("a", 1), ("b", 2)]
    assert (g.Map.new([["a", 1]])["a"], "a" in g.Map.new([["a", 1]]), bool(g.Map.new())) == (1, True, False)
    assert list(g.Set.new([1, 2, 1])) == [1, 2]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (1.5, "1.5"), (True, "true"), (None, "undefined"), (1e21, "1e+21"), (1e-7, "1e-7"), (math.nan, "NaN")],
)
def test_text_is_made_as_javascript_makes_it(value, text):
    assert js().String(value) == text


def test_json_is_javascripts():
    g = js()
    parsed = g.JSON.parse('{"a": [1.0, null, {"b": "é"}]}')
    assert type(parsed.a[0]) is int
    assert g.JSON.stringify(parsed) == '{"a":[1,null,{"b":"é"}]}'
    assert g.JSON.stringify(to_js({"a": None, "d": g.Date.new(0)})) == '{"d":"1970-01-01T00:00:00.000Z"}'
    assert g.JSON.stringify(g.Map.new()) == "{}"
    with pytest.raises(Exception, match="SyntaxError"):
        g.JSON.parse("{")


def test_errors_are_exceptions_of_both_worlds():
    from pyodide.ffi import JsException, JsProxy

    g = js()
    error = g.TypeError.new("no")
    assert isinstance(error, JsException)
    assert isinstance(error, JsProxy)
    assert (error.name, error.message, str(error), str(g.Error.new())) == ("TypeError", "no", "TypeError: no", "Error")
    with pytest.raises(JsException, match="Error: x"):
        raise g.Error("x")


async def test_promises_are_awaited_chained_and_awaited_again():
    g = js()
    promise = g.Promise.resolve(1).then(lambda value: value + 1)
    assert (await promise, await promise) == (2, 2)
    failed = g.Promise.reject(g.Error.new("no"))
    assert await failed.catch(lambda error: error.message) == "no"
    ended: list[int] = []
    await g.Promise.resolve(1).finally_(lambda: ended.append(1))
    assert ended == [1]
    assert list(await g.Promise.all([g.Promise.resolve(1), 2])) == [1, 2]
    settled = await g.Promise.allSettled([failed, 1])
    assert [one.status for one in settled] == ["rejected", "fulfilled"]
    pair = g.Promise.withResolvers()
    pair.resolve(g.Promise.resolve(7))
    assert await pair.promise == 7


def test_typed_arrays_share_memory_and_wrap_round():
    g = js()
    buffer = g.ArrayBuffer.new(8)
    bytes_, words = g.Uint8Array.new(buffer), g.Uint16Array.new(buffer, 2, 1)
    words[0] = 0x10203
    assert list(bytes_) == [0, 0, 3, 2, 0, 0, 0, 0]
    assert list(bytes_.subarray(2, 4)) == [3, 2]
    bytes_.subarray(2, 4)[0] = 300
    assert bytes_[2] == 44
    assert g.Int8Array.of(200)[0] == -56
    view = g.DataView.new(buffer)
    view.setUint32(0, 1)
    assert (view.getUint8(3), view.getUint32(0, True)) == (1, 1 << 24)
    assert to_js(b"abc").buffer.to_bytes() == b"abc"
    assert to_js(memoryview(b"\x01\x02").cast("H")).constructor.name == "Uint16Array"


def test_proxies_end_when_they_are_destroyed():
    from pyodide.ffi import create_once_callable, create_proxy, destroy_proxies

    proxy = create_proxy(lambda a, b=2: a + b)
    assert proxy(1) == 3
    destroy_proxies(to_js([proxy]))
    with pytest.raises(Exception, match="already been destroyed"):
        proxy(1)
    once = create_once_callable(lambda: 1)
    assert once() == 1
    with pytest.raises(Exception, match="already been destroyed"):
        once()


def test_dates_and_numbers():
    g = js()
    assert g.Date.new("2026-02-03T04:05:06.789Z").getTime() == 1770091506789
    assert g.Date.new(2026, 1, 3).toISOString() == "2026-02-03T00:00:00.000Z"
    assert g.Date.new("nonsense").toString() == "Invalid Date"
    assert (g.Number("0x10"), g.Number("1.0"), math.isnan(g.Number("x"))) == (16, 1, True)
    assert g.Number.new(5).valueOf() == 5
    assert g.RegExp.new("(?<y>\\d+)", "i").exec("a12")[1] == "12"
