from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

import pytest

from edgeagents.asgi.settings import Settings
from edgeagents.asgi.websocket import serve_websocket
from edgeagents.errors import BadRequest, WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.objects import Limits
from edgeagents.objects.websocket import WebSocket, web_socket_pair
from tests.asgi.client import Exchange, Fixture, websocket_scope


class Room:
    """A handler that accepts, and keeps the server's end for the test."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.headers = headers
        self.request: Request
        self.socket: WebSocket

    async def __call__(self, request: Request) -> Response:
        self.request = request
        client, self.socket = web_socket_pair()
        self.socket.accept()
        return Response(status=101, websocket=client, headers=self.headers)

    async def closed(self) -> tuple[int, str, bool]:
        async with asyncio.timeout(5):
            while True:
                try:
                    await self.socket.receive()
                except WebSocketClosed as closed:
                    return closed.code, closed.reason, closed.was_clean


class Call:
    """A WebSocket client that speaks ASGI."""

    def __init__(self, exchange: Fixture, handle: Any, **scope: Any) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> bool:
            return await serve_websocket(scope, receive, send, handle, exchange.settings)

        self.exchange: Exchange = exchange.run(app, websocket_scope(**scope))

    async def open(self) -> dict[str, Any]:
        await self.exchange.put({"type": "websocket.connect"})
        return await self.exchange.message()

    async def send(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self.exchange.put({"type": "websocket.receive", kind: message})

    async def leave(self, code: int | None = None, reason: str | None = None) -> None:
        await self.exchange.put({"type": "websocket.disconnect", "code": code, "reason": reason})


class TestHandshake:
    async def test_it_is_accepted(self, exchange):
        room = Room({"x-a": "b"})
        call = Call(exchange, room, path="/a?b=1")

        accept = await call.open()

        assert accept == {"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-a", b"b")]}
        assert room.request.is_websocket_upgrade
        assert room.request.url == "http://testserver/a?b=1"
        assert room.request.headers["upgrade"] == "websocket"

    async def test_a_header_that_is_none_refuses_it(self, exchange, caplog):
        room = Room()

        async def handle(request: Request) -> Response:
            response = await room(request)
            response.headers["x\r\nset-cookie: a=b"] = "1"
            return response

        call = Call(exchange, handle)
        start = await call.open()

        assert start["status"] == 500
        assert {name for name, _ in start["headers"]} == {b"content-type", b"content-length"}
        assert await room.closed() == (1006, "", False)
        assert "ValueError" in caplog.text

    async def test_the_subprotocol_is_one_that_was_offered(self, exchange):
        room = Room({"sec-websocket-protocol": "b"})
        call = Call(exchange, room, subprotocols=["a", "b"])

        accept = await call.open()

        assert accept["subprotocol"] == "b"
        assert accept["headers"] == []
        assert room.request.subprotocols == ["a", "b"]

    async def test_a_subprotocol_that_was_not_offered_is_not_chosen(self, exchange, caplog):
        call = Call(exchange, Room({"sec-websocket-protocol": "c"}), subprotocols=["a"])

        assert (await call.open())["subprotocol"] is None
        assert "did not offer" in caplog.text

    async def test_nothing_is_received_when_it_is_not_ours(self, exchange):
        async def handle(request: Request) -> None:
            return None

        call = Call(exchange, handle)
        await call.exchange.put({"type": "websocket.connect"})

        assert await call.exchange.done() is False
        assert call.exchange._communicator.input_queue.qsize() == 1

    async def test_a_refusal_is_sent_as_it_is(self, exchange):
        async def handle(request: Request) -> Response:
            return Response("no", status=401, headers={"x-a": "b"})

        call = Call(exchange, handle)

        assert await call.open() == {
            "type": "websocket.http.response.start",
            "status": 401,
            "headers": [
                (b"x-a", b"b"),
                (b"content-type", b"text/plain;charset=UTF-8"),
                (b"content-length", b"2"),
            ],
        }
        assert await call.exchange.message() == {"type": "websocket.http.response.body", "body": b"no"}
        assert await call.exchange.done() is True

    async def test_a_refusal_may_be_a_stream(self, exchange):
        async def handle(request: Request) -> Response:
            return Response(["a", "b"], status=403)

        call = Call(exchange, handle)

        assert (await call.open())["status"] == 403
        assert await call.exchange.rest() == b"ab"

    async def test_a_server_that_cannot_refuse_with_a_response_closes(self, exchange):
        async def handle(request: Request) -> Response:
            return Response("no", status=401)

        call = Call(exchange, handle, extensions={})

        assert (await call.open())["type"] == "websocket.close"

    @pytest.mark.parametrize(("error", "status"), [(BadRequest("no"), 400), (RuntimeError("kaboom"), 500)])
    async def test_a_handler_that_fails_refuses(self, exchange, error: Exception, status: int):
        async def handle(request: Request) -> Response:
            raise error

        call = Call(exchange, handle)

        assert (await call.open())["status"] == status
        assert b"kaboom" not in await call.exchange.rest()

    @pytest.mark.parametrize("status", [101, 200])
    async def test_status_and_websocket_must_agree(self, exchange, caplog, status: int):
        async def handle(request: Request) -> Response:
            return Response(status=status, websocket=web_socket_pair()[0] if status == 200 else None)

        call = Call(exchange, handle)

        assert (await call.open())["status"] == 500
        assert "belong together" in caplog.text

    async def test_a_client_that_leaves_before_the_answer_is_lost(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.leave(1006)

        await call.exchange.done()

        assert await room.closed() == (1006, "", False)
        assert call.exchange.left() == []


class TestMessages:
    async def test_text_and_bytes_go_both_ways(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.open()

        await call.send("hé")
        await call.send(b"\x00\xff")
        assert [await room.socket.receive(), await room.socket.receive()] == ["hé", b"\x00\xff"]
        room.socket.send("a")
        room.socket.send(b"b")
        assert await call.exchange.message() == {"type": "websocket.send", "text": "a"}
        assert await call.exchange.message() == {"type": "websocket.send", "bytes": b"b"}

    async def test_what_was_sent_during_the_handshake_comes_after_it(self, exchange):
        async def handle(request: Request) -> Response:
            client, server = web_socket_pair()
            server.accept()
            server.send("one")
            server.send("two")
            return Response(status=101, websocket=client)

        call = Call(exchange, handle)

        assert (await call.open())["type"] == "websocket.accept"
        assert [(await call.exchange.message())["text"] for _ in range(2)] == ["one", "two"]

    async def test_feeding_that_must_wait_holds_up_reading(self, exchange):
        class Slow:
            """An end that takes one message at a time."""

            def __init__(self) -> None:
                self.got: list[Any] = []
                self.may_go_on = asyncio.Event()
                self.has_got = asyncio.Event()

            def attach(self, sink: Any) -> None:
                return

            def feed(self, message: str) -> Awaitable[Any]:
                self.got.append(message)
                self.has_got.set()
                return self.may_go_on.wait()

            def feed_close(self, code: int, reason: str, was_clean: bool) -> None:
                self.got.append(code)

        slow = Slow()

        async def handle(request: Request) -> Response:
            return Response(status=101, websocket=slow)  # type: ignore[arg-type]

        call = Call(exchange, handle)
        await call.open()
        await call.send("a")
        await call.send("b")
        await slow.has_got.wait()
        assert call.exchange._communicator.input_queue.qsize() == 1

        slow.may_go_on.set()
        await call.leave(1000)
        await call.exchange.done()
        assert slow.got == ["a", "b", 1000]

    @pytest.mark.parametrize("message", ["x" * 101, b"x" * 101, "é" * 51])
    async def test_a_message_that_is_too_big_closes_with_1009(self, exchange, message: str | bytes):
        exchange.settings = replace(exchange.settings, limits=Limits(frame_bytes=100))
        room = Room()
        call = Call(exchange, room)
        await call.open()

        await call.send("é" * 50)
        await call.send(message)

        assert await room.socket.receive() == "é" * 50
        close = await call.exchange.message()
        assert (close["type"], close["code"]) == ("websocket.close", 1009)
        assert (await room.closed())[0] == 1009

    async def test_a_feed_that_fails_closes_with_1011(self, exchange, caplog):
        class Broken:
            def attach(self, sink: Any) -> None:
                return

            def feed(self, message: str) -> None:
                raise RuntimeError("kaboom")

            def feed_close(self, code: int, reason: str, was_clean: bool) -> None:
                return

        async def handle(request: Request) -> Response:
            return Response(status=101, websocket=Broken())  # type: ignore[arg-type]

        call = Call(exchange, handle)
        await call.open()
        await call.send("a")

        assert (await call.exchange.message())["code"] == 1011
        assert "kaboom" in caplog.text


class TestClosing:
    @pytest.mark.parametrize(
        ("code", "reason", "told"),
        [
            (4001, "bye", (4001, "bye", True)),
            (1000, None, (1000, "", True)),
            (None, None, (1005, "", True)),
            (1005, "", (1005, "", True)),
            (1006, "", (1006, "", False)),
        ],
    )
    async def test_the_client_s_close_is_passed_on(self, exchange, code, reason, told):
        room = Room()
        call = Call(exchange, room)
        await call.open()
        await call.leave(code, reason)

        await call.exchange.done()

        assert await room.closed() == told
        assert room.request.signal.aborted

    async def test_the_object_s_close_comes_after_what_it_sent(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.open()

        room.socket.send("last")
        room.socket.close(4002, "done")

        assert (await call.exchange.message())["text"] == "last"
        assert await call.exchange.message() == {"type": "websocket.close", "code": 4002, "reason": "done"}
        # Not every server passes on the code that the client answered with.
        await call.leave(1006)
        await call.exchange.done()
        assert await room.closed() == (4002, "done", True)

    async def test_a_close_without_a_code_is_a_normal_one(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.open()
        room.socket.close()

        assert (await call.exchange.message())["code"] == 1000

    async def test_a_client_that_never_answers_a_close_is_not_waited_for(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        room = Room()
        call = Call(exchange, room)
        await call.open()
        room.socket.close(1000)
        await call.exchange.message()

        await clock.advance(5)

        assert await call.exchange.done() is True

    async def test_draining_closes_with_1012(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.open()
        room.socket.send("a")

        exchange.settings.connections.drain()

        assert (await call.exchange.message())["text"] == "a"
        assert (await call.exchange.message())["code"] == 1012
        await call.leave(1012)
        await call.exchange.done()
        assert (await room.closed())[0] == 1012
        assert len(exchange.settings.connections) == 0

    async def test_a_task_that_the_server_cancels_loses_the_socket(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.open()

        call.exchange._communicator.future.cancel()
        await call.exchange.done()

        assert await room.closed() == (1006, "", False)


class TestText:
    async def test_a_lone_surrogate_is_replaced_for_no_server_can_send_it(self, exchange):
        room = Room()
        call = Call(exchange, room)
        await call.open()

        for text in ("a\ud800b", "\ud83d\ude00", "é"):
            room.socket.send(text)

        assert [(await call.exchange.message())["text"] for _ in range(3)] == ["a\ufffdb", "\N{GRINNING FACE}", "é"]


async def test_a_handler_that_is_cancelled_does_not_leave_its_connection_unread(exchange, monkeypatch):
    room = Room()
    call = Call(exchange, room)
    await call.open()

    def feed(self: WebSocket, message: str | bytes) -> Awaitable[None]:
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        return cancelled

    monkeypatch.setattr(WebSocket, "feed", feed)
    await call.send("a")

    assert (await call.exchange.message())["code"] == 1011
    assert await room.closed() == (1011, "Internal error", False)
    await call.leave(1011)
    assert await call.exchange.done() is True


class Stuck:
    """A server whose client has stopped reading: ``send`` does not return."""

    def __init__(self, exchange: Fixture, room: Room) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.is_stuck = True
        self._taken = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> bool:
            async def stuck_send(message: Any) -> None:
                self.sent.put_nowait(message)
                if message["type"] == "websocket.send" and self.is_stuck:
                    await self._taken.wait()
                    self._taken.clear()

            return await serve_websocket(scope, receive, stuck_send, room, exchange.settings)

        self.exchange = exchange.run(app, websocket_scope())

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.sent.get()

    def take(self) -> None:
        """Let the send() that does not return do so."""
        self._taken.set()


class TestSlowReaders:
    @pytest.mark.parametrize(
        "limits", [Limits(send_queue_frames=10), Limits(send_queue_bytes=1000)], ids=["frames", "bytes"]
    )
    async def test_a_reader_that_stalls_is_dropped_with_1013(self, exchange, caplog, limits: Limits):
        exchange.settings = replace(exchange.settings, limits=limits)
        room = Room()
        stuck = Stuck(exchange, room)
        await stuck.exchange.put({"type": "websocket.connect"})
        assert (await stuck.next())["type"] == "websocket.accept"

        for _ in range(11):
            room.socket.send("x" * 100)

        close = await stuck.next()
        while close["type"] == "websocket.send":
            close = await stuck.next()
        assert (close["type"], close["code"]) == ("websocket.close", 1013)
        assert await room.closed() == (1013, "The client reads too slowly", False)
        assert "reads too slowly" in caplog.text

    async def test_what_waits_for_a_reader_is_counted_as_it_is_sent(self, exchange):
        exchange.settings = replace(exchange.settings, limits=Limits(send_queue_bytes=1000))
        room = Room()
        stuck = Stuck(exchange, room)
        await stuck.exchange.put({"type": "websocket.connect"})
        await stuck.next()

        for _ in range(3):
            room.socket.send("\N{GRINNING FACE}" * 100)

        assert await room.closed() == (1013, "The client reads too slowly", False)

    async def test_what_a_reader_has_taken_does_not_count_any_more(self, exchange):
        exchange.settings = replace(exchange.settings, limits=Limits(send_queue_bytes=1000))
        room = Room()
        slow = Stuck(exchange, room)
        await slow.exchange.put({"type": "websocket.connect"})
        await slow.next()

        for _ in range(20):
            room.socket.send("日本" * 50)
            assert (await slow.next())["text"] == "日本" * 50
            room.socket.send("é" * 50)
            slow.take()
            assert (await slow.next())["text"] == "é" * 50
            slow.take()
            await asyncio.sleep(0)

        assert room.socket.buffered_messages == 0
        assert room.socket.ready_state == WebSocket.OPEN

    async def test_a_stalled_reader_that_is_gone_for_good_is_let_go(self, exchange, clock):
        exchange.settings = replace(exchange.settings, limits=Limits(send_queue_frames=1), clock=clock)
        room = Room()
        stuck = Stuck(exchange, room)
        await stuck.exchange.put({"type": "websocket.connect"})
        await stuck.next()
        for _ in range(2):
            room.socket.send("x")

        await clock.advance(5)

        assert await stuck.exchange.done() is True

    async def test_a_stalled_reader_whose_task_the_server_cancels_leaves_nothing_behind(self):
        rooms, stuck, received = [Room()], asyncio.Event(), asyncio.Queue[dict[str, Any]]()
        received.put_nowait({"type": "websocket.connect"})

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                stuck.set()
                await asyncio.Event().wait()
            else:
                asyncio.get_running_loop().call_soon(rooms[0].socket.send, "x")

        serving = asyncio.create_task(serve_websocket(websocket_scope(), received.get, send, rooms[0], Settings()))
        await stuck.wait()

        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always")
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            assert await rooms.pop().closed() == (1006, "", False)
            del serving
            for _ in range(3):
                await asyncio.sleep(0)
            gc.collect()

        assert [str(warning.message) for warning in left] == []

    async def test_sending_after_the_client_left_is_harmless(self, exchange, caplog):
        room = Room()

        async def app(scope: Any, receive: Any, send: Any) -> bool:
            async def broken_send(message: Any) -> None:
                if message["type"] == "websocket.send":
                    raise OSError("gone")
                await send(message)

            return await serve_websocket(scope, receive, broken_send, room, exchange.settings)

        call = exchange.run(app, websocket_scope())
        await call.put({"type": "websocket.connect"})
        await call.message()
        room.socket.send("a")
        room.socket.send("b")
        await asyncio.sleep(0)
        room.socket.send("c")
        await call.put({"type": "websocket.disconnect", "code": 1006})

        await call.done()
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_nothing_is_left_running_when_it_is_over(exchange):
    room = Room()
    call = Call(exchange, room)
    await call.open()
    room.socket.send("a")
    await call.leave(1000)
    await call.exchange.done()
    await asyncio.sleep(0)

    assert [task.get_name() for task in asyncio.all_tasks() if "edgeagents" in task.get_name()] == []


async def test_the_body_of_a_refusal_is_closed_when_the_client_has_left(exchange):
    closed: list[bool] = []

    class Source:
        def __aiter__(self) -> AsyncIterator[str]:
            return self  # type: ignore[return-value]

        async def __anext__(self) -> str:
            raise AssertionError

        async def aclose(self) -> None:
            closed.append(True)

    async def handle(request: Request) -> Response:
        return Response(Source(), status=403)

    call = Call(exchange, handle)
    await call.leave(1006)
    await call.exchange.done()

    assert closed == [True]
