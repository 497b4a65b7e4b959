"""Events that a server sends: read, named, and read on where the connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wrangler_compat.host.web.fetching import close_clients

pytestmark = pytest.mark.cloudflare("Workers", "Python: `EventSource`", "same")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Sender:
    """Answers each connection with the next piece, and keeps what it was asked."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.asked: list[str] = []
        self.base = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.pieces.pop(0) if self.pieces else b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    await close_clients()
    server.close()


def listened(source: Any, *kinds: str) -> asyncio.Queue[Any]:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    for kind in kinds:
        source.addEventListener(kind, heard.put_nowait)
    return heard


async def test_events_are_read_and_the_connection_is_opened_again(sender: Sender) -> None:
    import js

    sender.pieces = [
        HEAD + b": hello\nretry: 0\nid: 7\ndata: one\ndata: two\n\nevent: named\r\ndata:x\r\n\r\ndata: not ended",
        HEAD + b"data: again\n\n",
    ]
    source = js.EventSource.new(f"{sender.base}/events")
    heard = listened(source, "open", "message", "named", "error")
    events = [await heard.get() for _ in range(7)]
    assert [event.type for event in events] == ["open", "message", "named", "error", "open", "message", "error"]
    assert (events[1].data, events[1].lastEventId, events[1].origin) == ("one\ntwo", "7", sender.base)
    assert (events[2].data, events[5].data) == ("x", "again")
    assert "last-event-id: 7" in sender.asked[1].lower()
    source.close()
    assert (source.readyState, js.EventSource.CLOSED) == (2, 2)


async def test_an_answer_that_is_no_stream_of_events_ends_it(sender: Sender) -> None:
    import js

    sender.pieces = [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"]
    source = js.EventSource.new(sender.base)
    heard = listened(source, "error")
    error = await heard.get()
    assert "The server answered 404" in error.message
    assert source.readyState == js.EventSource.CLOSED


async def test_a_stream_that_is_there_is_read() -> None:
    import js

    source = js.EventSource.from_(js.Response.new("data: x\n\ndata: y\n\n").body)
    heard = listened(source, "message", "error")
    assert [(await heard.get()).data for _ in range(2)] == ["x", "y"]
    assert (await heard.get()).type == "error"


def test_a_url_that_is_none_is_refused() -> None:
    import js
    from pyodide.ffi import JsException

    with pytest.raises(JsException, match=r"SyntaxError: Cannot open an EventSource to 'nope'. The URL is invalid"):
        js.EventSource.new("nope")
