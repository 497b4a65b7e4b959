"""Bad input on real servers: the right status or close code, a clear text, and no word about the inside."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.servers import Server, until
from tests.transport.raw_http import Answer, Exchange, ask
from tests.transport.transport_app import SECRET

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Agents",
        "a request handler that raises",
        "different: 500 without a stack, unless `debug`; a stack is nobody's business",
    ),
]

JSON = "content-type: application/json\r\n"
MULTIPART = "content-type: multipart/form-data; boundary=x\r\n"


def says_nothing_of_the_inside(text: str) -> bool:
    return not any(word in text for word in ("Traceback", 'File "', SECRET, "site-packages"))


BAD_REQUESTS: dict[str, tuple[int, dict[str, Any]]] = {
    "unknown agent": (400, {"target": "/agents/nothing/x"}),
    "class in the wrong case": (400, {"target": "/agents/Talker/x"}),
    "no name": (404, {"target": "/agents/talker"}),
    "no name but a slash": (404, {"target": "/agents/talker/"}),
    "not JSON": (400, {"target": "/agents/talker/x/json", "method": "POST", "headers": JSON, "body": b"{"}),
    "NaN is not JSON": (400, {"target": "/agents/talker/x/json", "method": "POST", "headers": JSON, "body": b"NaN"}),
    "no body where JSON is expected": (400, {"target": "/agents/talker/x/json", "method": "POST", "headers": JSON}),
    "JSON that is not UTF-8": (
        400,
        {"target": "/agents/talker/x/json", "method": "POST", "headers": JSON, "body": b'"\xff"'},
    ),
    "JSON nested too deeply": (
        400,
        {"target": "/agents/talker/x/json", "method": "POST", "headers": JSON, "body": b"[" * 50_000},
    ),
    "body too large to be read at once": (
        413,
        {"target": "/agents/talker/x/json", "method": "POST", "headers": JSON, "body": b" " * 65_537},
    ),
    "a form that has no end": (
        400,
        {"target": "/agents/talker/x/form", "method": "POST", "headers": MULTIPART, "body": b"--x\r\n\r\n"},
    ),
    "a name that is too long": (400, {"target": f"/agents/talker/{'x' * 4000}/name"}),
}


@pytest.mark.parametrize("row", BAD_REQUESTS)
async def test_bad_request(server: Server, row: str) -> None:
    status, request = BAD_REQUESTS[row]

    answer = await ask(server, **request)

    assert answer.status == status
    assert answer.text
    assert says_nothing_of_the_inside(answer.text)
    # The agent is none the worse for it.
    assert (await ask(server, "/agents/talker/x/name")).status == 200


# A name is data: it is what stands in the URL, and never a part of a path.
ODD_NAMES: dict[str, str] = {
    "percent-encoded": "a%20b",
    "encoded slash and dots": "..%2f..%2f..%2fetc%2fpasswd",
    "encoded backslash": "..%5c..%5cx",
    "encoded dots": "%2e%2e",
    "dots": "..",
    "a dot": ".",
    "unicode": "%E6%97%A5%E6%9C%AC",
    "not UTF-8": "%ff%fe",
    "encoded NUL": "%00",
    "encoded line feed": "x%0d%0aset-cookie:%20a=b",
    "300 characters": "x" * 300,
    "a percent sign alone": "100%",
    "SQL": "';drop%20table%20_cf_KV;--",
    "a name of Windows": "CON",
    "tilde": "~root",
}


@pytest.mark.parametrize("row", ODD_NAMES)
async def test_odd_name_is_a_name(server: Server, row: str) -> None:
    name = ODD_NAMES[row]

    answer = await ask(server, f"/agents/talker/{name}/name")

    assert (answer.status, json.loads(answer.text)) == (200, {"name": name})
    assert "set-cookie" not in answer.head


async def test_raw_bytes_in_a_name_are_refused_or_kept(server: Server) -> None:
    # Not a URL any more: servers differ in whether they let it through. None may break on it.
    answer = await ask(server, "/agents/talker/\u65e5\u672c/name".encode())

    assert answer.status in (200, 400)
    assert says_nothing_of_the_inside(answer.text)
    assert (await ask(server, "/agents/talker/x/name")).status == 200


async def test_no_name_leaves_the_state_folder(server: Server, storage: Path) -> None:
    for name in ODD_NAMES.values():
        async with websockets.connect(f"{server.ws_url}/agents/talker/{name}", proxy=None) as socket:
            await socket.send('{"type":"rpc","id":"1","method":"handled","args":[]}')
            async for message in socket:
                if json.loads(message)["type"] == "rpc":
                    break

    inside = storage / server.server
    files = [
        path.relative_to(inside) for path in storage.parent.rglob("*") if path.is_file() and inside in path.parents
    ]
    databases = [path for path in files if path.suffix == ".sqlite" and len(path.stem) == 64]
    outside = [path for path in storage.parent.rglob("*.sqlite") if storage not in path.parents]
    assert len(databases) >= len(ODD_NAMES)
    assert outside == []
    assert all(set(path.stem) <= set("0123456789abcdef") for path in databases)


async def test_error_of_a_handler_is_told_without_its_text(server: Server) -> None:
    answer = await ask(server, "/agents/talker/x/raise")

    assert answer.status == 500
    assert says_nothing_of_the_inside(answer.text)
    await in_log(server, f"RuntimeError: {SECRET}")
    assert 'File "' in server.log


async def test_answer_that_is_none_is_an_error(server: Server) -> None:
    answer = await ask(server, "/agents/talker/x/nonsense")

    assert answer.status == 500
    assert says_nothing_of_the_inside(answer.text)
    await in_log(server, "TypeError")


async def test_error_in_mid_stream_cuts_the_response(server: Server) -> None:
    answer: Answer = await (await Exchange.begin(server, "/agents/talker/x/raise-midway")).finish()

    # Whoever reads it must not take it for the whole.
    assert (answer.status, answer.text, answer.is_whole) == (200, "the beginning", False)
    await in_log(server, f"RuntimeError: {SECRET}")


async def in_log(server: Server, text: str) -> None:
    await asyncio.to_thread(until, lambda: text in server.log, f"{text!r} in the log")


# WebSockets.


async def opened(server: Server) -> websockets.ClientConnection:
    """Connect and read the three frames that come with a connection."""
    socket = await websockets.connect(f"{server.ws_url}/agents/talker/ws", proxy=None, compression=None)
    for _ in range(3):
        await socket.recv()
    return socket


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        '{"type":"rpc"}',
        '{"type":"rpc","id":"1","method":"handled","args":{}}',
        '{"type":"cf_agent_state"}',
        "[" * 30_000,
        "\x00",
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ],
    ids=[
        "empty",
        "half an object",
        "a list",
        "null",
        "a call of nothing",
        "arguments that are no list",
        "a state that is none",
        "deep nesting",
        "NUL",
        "half a surrogate",
    ],
)
async def test_malformed_frame_is_a_message(server: Server, frame: str) -> None:
    socket = await opened(server)

    await socket.send(frame)

    assert await socket.recv() == frame
    await socket.close()


async def test_a_frame_that_nests_too_deeply_is_refused_by_name(server: Server) -> None:
    socket = await opened(server)

    await socket.send('{"type":"rpc","id":"1","method":"handled","args":[' * 1000)

    with pytest.raises(websockets.ConnectionClosedError):
        await socket.recv()
    assert (socket.close_code, "nests deeper" in (socket.close_reason or "")) == (1009, True)


async def test_message_that_fails_leaves_the_socket_open(server: Server) -> None:
    socket = await opened(server)

    await socket.send("raise")
    await socket.send("and on")

    assert await socket.recv() == "and on"
    await in_log(server, f"RuntimeError: {SECRET}")
    await socket.close()


async def test_message_that_is_too_large_closes_with_1009(server: Server) -> None:
    socket = await opened(server)

    await socket.send("x" * 65_537)

    with pytest.raises(websockets.ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1009


async def test_text_that_is_not_utf8_closes_the_socket(server: Server) -> None:
    socket = await opened(server)

    # The client library would not send this: the bytes of a text frame, masked with zeros.
    socket.transport.write(b"\x81\x82\x00\x00\x00\x00\xff\xfe")

    with pytest.raises(websockets.ConnectionClosed):
        await socket.recv()
    # 1007 says it best. Granian breaks the connection off, Hypercorn may.
    assert socket.close_code in (1005, 1006, 1007)
    assert (await ask(server, "/agents/talker/ws/name")).status == 200


@pytest.mark.parametrize("path", ["/agents/nothing/x", "/agents/Talker/x"])
async def test_handshake_with_an_unknown_agent_is_refused(server: Server, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"{server.ws_url}{path}", proxy=None)

    assert refused.value.response.status_code == 400
    assert refused.value.response.body == b"Invalid request"
