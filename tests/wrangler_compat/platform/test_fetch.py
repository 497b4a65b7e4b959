"""fetch goes out to the network, here to a server on loopback."""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets

from edgeagents.testing import settle
from wrangler_compat.host.web.fetching import close_clients


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            method, path, _ = head.split(" ", 2)
            length = next(
                (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length")), 0
            )
            body = await reader.readexactly(length)
            answers = {
                "/to": b"HTTP/1.1 302 Found\r\nlocation: /seen\r\ncontent-length: 0\r\n\r\n",
                "/again": b"HTTP/1.1 307 T\r\nlocation: /seen\r\ncontent-length: 0\r\n\r\n",
                "/round": b"HTTP/1.1 302 Found\r\nlocation: /round\r\ncontent-length: 0\r\n\r\n",
            }
            packed = gzip.compress(b"packed")
            answers["/gzip"] = (
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
            )
            seen = f"{method} {body.decode()}".encode()
            default = (
                b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: %d\r\n\r\n" % len(seen)
                + seen
            )
            if path == "/slow":
                await asyncio.sleep(60)
            writer.write(answers.get(path, default))

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await close_clients()
    server.close()


async def test_a_request_is_sent_and_answered(base):
    from workers import fetch

    answer = await fetch(f"{base}/x", method="POST", body="hi", headers={"a": "1"})
    assert (answer.status, await answer.text(), answer.headers.get_all("set-cookie")) == (
        200,
        "POST hi",
        ["a=1", "b=2"],
    )


async def test_redirects_are_followed_as_the_web_does(base):
    import js

    moved = await js.fetch(f"{base}/to", method="POST", body="hi")
    assert (await moved.text(), moved.redirected, moved.url) == ("GET ", True, f"{base}/seen")
    kept = await js.fetch(f"{base}/again", method="POST", body="hi")
    assert await kept.text() == "POST hi"
    manual = await js.fetch(f"{base}/to", redirect="manual")
    assert (manual.status, manual.headers.get("location")) == (302, "/seen")
    with pytest.raises(Exception, match="Too many redirects"):
        await js.fetch(f"{base}/round")


async def test_bodies_are_unpacked_and_data_urls_read(base):
    import js

    assert await (await js.fetch(f"{base}/gzip")).text() == "packed"
    assert await (await js.fetch("data:text/plain;base64,aGk=")).text() == "hi"


async def test_failures_are_errors(base):
    import js
    from workers import fetch

    with pytest.raises(OSError, match="connection"):
        await fetch("http://127.0.0.1:1/")
    with pytest.raises(Exception, match="TypeError"):
        await js.fetch("ftp://x/")
    controller = js.AbortController.new()
    slow = js.fetch(f"{base}/slow", signal=controller.signal)
    await asyncio.sleep(0)
    controller.abort()
    with pytest.raises(Exception, match="AbortError"):
        await slow


async def test_a_web_socket_to_a_server_elsewhere():
    import js

    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)
            if message == "close":
                await connection.close(4001, "bye")

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        got: asyncio.Queue[Any] = asyncio.Queue()
        socket = js.WebSocket.new(f"ws://127.0.0.1:{port}")
        assert socket.readyState == 0
        socket.addEventListener("open", lambda event: socket.send("hi"))
        socket.addEventListener("message", lambda event: got.put_nowait(event.data))
        socket.onclose = lambda event: got.put_nowait((event.code, event.reason, event.wasClean))
        assert await got.get() == "hi"
        socket.binaryType = "arraybuffer"
        socket.send(b"\x01")
        assert (await got.get()).to_bytes() == b"\x01"
        socket.send("close")
        assert await got.get() == "close"
        assert await got.get() == (4001, "bye", True)

        upgraded = await js.fetch(f"http://127.0.0.1:{port}", headers={"Upgrade": "websocket"})
        assert upgraded.status == 101
        upgraded.webSocket.accept()
        upgraded.webSocket.onmessage = lambda event: got.put_nowait(event.data)
        upgraded.webSocket.send("again")
        assert await got.get() == "again"
        upgraded.webSocket.close(1000, "done")


async def test_a_socket_that_cannot_connect_is_an_event():
    import js

    told: asyncio.Queue[str] = asyncio.Queue()
    socket = js.WebSocket.new("ws://127.0.0.1:1")
    socket.addEventListener("error", lambda event: told.put_nowait(event.type))
    socket.addEventListener("close", lambda event: told.put_nowait(f"{event.type} {event.code}"))
    assert [await told.get(), await told.get()] == ["error", "close 1006"]


async def test_the_two_ends_of_a_pair():
    import js

    client, server = js.WebSocketPair.new()
    one, two = js.WebSocketPair.new().object_values()
    assert one.constructor.name == two.constructor.name == "WebSocket"
    got: list[Any] = []
    with pytest.raises(Exception, match="must call one of accept"):
        server.send("x")
    server.accept()
    server.send("early")
    client.addEventListener("message", lambda event: got.append(event.data))
    client.accept()
    client.addEventListener("close", lambda event: got.append(event.code))
    with pytest.raises(Exception, match="InvalidAccessError"):
        server.close(1005)
    server.close(3001, "x")
    await settle()  # Events never come before the code that brought them about has ended.
    assert (got, server.readyState) == (["early", 3001], 3)
    with pytest.raises(Exception, match="after close"):
        server.send("x")


class Endless:
    """A server that answers with a piece and then waits, and tells of connections that end."""

    def __init__(self) -> None:
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.got: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        if path == "/down":
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        try:
            while piece := await reader.read(100):
                self.got.put_nowait(piece.decode())
        except ConnectionError:
            pass
        self.ended.put_nowait(path)
        writer.close()


@pytest.fixture
async def endless() -> AsyncIterator[Any]:
    made = Endless()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await close_clients()
    server.close()


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("None", "AbortError: The operation was aborted"),
        ("js.TypeError.new('mine')", "TypeError: mine"),
        ("'text'", "Error: text"),
    ],
)
async def test_an_abort_after_the_head_ends_the_body_and_the_connection(endless, reason, shown):
    import js

    server, base = endless
    controller = js.AbortController.new()
    response = await js.fetch(f"{base}/down", signal=controller.signal)
    reader = response.body.getReader()
    first = await reader.read()
    waiting = reader.read()
    controller.abort(eval(reason, {"js": js}))
    with pytest.raises(Exception, match=f"^{shown}$"):
        await waiting
    with pytest.raises(Exception, match=f"^{shown}$"):
        await reader.closed
    assert (first.value.to_bytes(), await server.ended.get()) == (b"one", "/down")


async def test_an_abort_before_the_body_is_read_ends_it_too_and_a_copy_of_it(endless):
    import js

    server, base = endless
    controller = js.AbortController.new()
    response = await js.fetch(f"{base}/down", signal=controller.signal)
    copy = js.Response.new(response.body, response)
    controller.abort()
    with pytest.raises(Exception, match="AbortError"):
        await copy.text()
    assert await server.ended.get() == "/down"


async def test_an_abort_ends_an_upload_and_its_source_is_told(endless):
    import js

    server, base = endless
    told: asyncio.Queue[Any] = asyncio.Queue()

    class Source:
        async def pull(self, controller: Any) -> None:
            controller.enqueue(js.Uint8Array.of(65))
            if server.got.empty():
                return
            await asyncio.Event().wait()

        def cancel(self, reason: Any) -> None:
            told.put_nowait(reason)

    controller = js.AbortController.new()
    sending = js.fetch(f"{base}/up", method="POST", body=js.ReadableStream.new(Source()), signal=controller.signal)
    await server.got.get()
    controller.abort()
    with pytest.raises(Exception, match="AbortError"):
        await sending
    assert (await told.get(), await server.ended.get()) == (None, "/up")


async def test_an_abort_after_the_end_changes_nothing(base):
    import js

    controller = js.AbortController.new()
    response = await js.fetch(f"{base}/x", signal=controller.signal)
    assert await response.text() == "GET "
    controller.abort()
    assert response.bodyUsed


async def test_answers_that_nobody_reads_are_let_go_of(endless):
    import js

    server, base = endless
    unread = [await js.fetch(f"{base}/down") for _ in range(120)]
    assert {response.status for response in unread} == {200}
    unread.clear()
    await settle()
    gc.collect()
    assert [await server.ended.get() for _ in range(120)] == ["/down"] * 120
