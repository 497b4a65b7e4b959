"""What the web's classes refuse, in the words of workerd 1.20260503, and what they have that nobody set."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.cloudflare("Workers", "Python: what the web's classes refuse, and its words", "same")

RANGE = "RangeError: Responses may only be constructed with status codes in the range 200 to 599, inclusive."
BODILESS = "TypeError: Response with null body status (101, 204, 205, or 304) cannot have a body."
FORMS = (
    "TypeError: Unrecognized Content-Type header value. FormData can only parse the following MIME types: "
    "multipart/form-data, application/x-www-form-urlencoded"
)
CODE = "InvalidAccessError: If you specify a WebSocket close reason, you must also specify a code."
CONSTRUCTOR = "SyntaxError: WebSocket Constructor:"

REFUSED = [
    ("js.Headers.new().set('a b', 'x')", "TypeError: Invalid header name."),
    ("js.Headers.new({'a': 'x\\ny'})", "TypeError: Invalid header value."),
    ("js.Request.new('nope')", "TypeError: Invalid URL: nope"),
    ("js.Request.new('http://a', method='custom')", "TypeError: Invalid HTTP method string: custom"),
    ("js.Request.new('http://a', cache='bad')", "TypeError: Unsupported cache mode: bad"),
    ("js.Request.new('http://a', body='x')", "TypeError: Request with a GET or HEAD method cannot have a body."),
    ("js.Response.redirect('http://a', 200)",
     "RangeError: 200 is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308."),
    ("js.Response.redirect('/rel')", "TypeError: Unable to parse URL: /rel"),
    ("js.Response.new('x', status=100)", RANGE),
    ("js.Response.new('x', status='abc')", RANGE),
    ("js.Response.new(None, status=101)", RANGE),
    ("js.Response.new('x', status=204)", BODILESS),
    ("js.Response.new('x', statusText='\u00e9')", "TypeError: Invalid statusText"),
    ("js.Response('x')", "TypeError: Failed to construct 'Response': Please use the 'new' operator, "
     "this object constructor cannot be called as a function."),
    ("js.Response.new('x').formData()", FORMS),
    ("js.Response.new('x').json()", "SyntaxError: Unexpected token 'x', \"x\" is not valid JSON"),
    ("js.Response.new('').json()", "SyntaxError: Unexpected end of JSON input"),
    ("js.JSON.parse('[1,')", "SyntaxError: Unexpected end of JSON input"),
    ("js.Response.new(js.ReadableStream.from_(['text'])).text()",
     "TypeError: This ReadableStream did not return bytes."),
    ("js.URL.new('nope')", "TypeError: Invalid URL string."),
    ("js.AbortSignal.abort().throwIfAborted()", "AbortError: The operation was aborted"),
    ("js.scheduler.wait(1000, signal=js.AbortSignal.abort())", "AbortError: The operation was aborted"),
    ("js.WebSocket.new('bad url')", f"{CONSTRUCTOR} The url is invalid."),
    ("js.WebSocket.new('ftp://a')", f"{CONSTRUCTOR} The url scheme must be ws or wss."),
    ("js.WebSocket.new('ws://a/#x')", f"{CONSTRUCTOR} The url fragment must be empty."),
    ("js.WebSocket.new('ws://a', ['b', 'b'])", f"{CONSTRUCTOR} The protocols header cannot have repeating values."),
    ("js.WebSocketPair.new()[0].close(None, 'r')", CODE),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text"), REFUSED, ids=[code for code, _ in REFUSED])
async def test_it_is_refused(code: str, text: str) -> None:
    import js
    from pyodide.ffi import JsException

    async def make() -> None:
        await eval(code, {"js": js})

    with pytest.raises(JsException) as raised:
        await make()
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("js.Request.new('http://a', method='purge').method", "PURGE"),
        ("js.Response.new('', status=299).statusText", "Successful"),
        ("js.Response.new('', status=418).statusText", "I'm a teapot"),
        ("js.Response.new('', status=599).statusText", "Server Error"),
        ("js.Event.new('x').bubbles", False),
        ("js.Event.new('x').timeStamp", 0),
    ],
)
def test_what_nobody_set_is_what_it_is_there(code: str, value: Any) -> None:
    import js

    assert eval(code, {"js": js}) == value


async def test_a_wait_is_given_up() -> None:
    import js
    from pyodide.ffi import JsException

    controller = js.AbortController.new()
    waiting = js.scheduler.wait(60_000, signal=controller.signal)
    await js.scheduler.wait(0)
    controller.abort()
    with pytest.raises(JsException, match="AbortError"):
        await waiting


async def test_a_reader_waits_for_as_much_as_it_is_asked_for() -> None:
    import js

    stream = js.ReadableStream.from_([js.Uint8Array.of(1), js.Uint8Array.of(2, 3), js.Uint8Array.of(4)])
    reader = stream.getReader(mode="byob")
    first = await reader.readAtLeast(2, js.Uint8Array.new(8))
    rest = await reader.readAtLeast(5, js.Uint8Array.new(8))
    assert (first.value.to_bytes(), rest.value.to_bytes()) == (b"\x01\x02\x03", b"\x04")
    assert (await reader.readAtLeast(1, js.Uint8Array.new(8))).done


def test_the_console_counts(capsys: pytest.CaptureFixture[str]) -> None:
    import js

    js.console.count("a")
    js.console.count("a")
    js.console.countReset("a")
    js.console.count("a")
    assert capsys.readouterr().out == "a: 1\na: 2\na: 1\n"


def test_the_console_shows_what_an_error_of_python_is_and_where_it_was_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import js

    try:
        int("x")
    except ValueError as error:
        js.console.error("bad", error)
    js.console.error("worse", KeyError("k"))
    shown = capsys.readouterr().err
    assert shown.startswith("bad Traceback (most recent call last):")
    assert shown.endswith("ValueError: invalid literal for int() with base 10: 'x'\nworse KeyError: 'k'\n")
