from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edgeagents.asgi.broken_off import BrokenOff, CutOff
from edgeagents.asgi.http import serve_http
from edgeagents.errors import BadRequest, BodyTooLarge, ClientDisconnected, HttpError
from edgeagents.http import Identity, Request, Response, ServerSentEvent
from edgeagents.objects import Limits
from tests.asgi.client import http_scope


class Body:
    """A streamed body that a test drives: it tells when it is closed."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while (chunk := await self.chunks.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            self.closed.set()

    def give(self, *chunks: str | BaseException | None) -> None:
        for chunk in chunks:
            self.chunks.put_nowait(chunk)


def streaming(body: Body, content_type: str = "text/plain"):
    async def handle(request: Request) -> Response:
        return Response(aiter(body), headers={"content-type": content_type})

    return handle


async def test_a_response_that_is_there_is_sent_with_its_length(exchange):
    async def handle(request: Request) -> Response:
        assert (request.method, request.url, request.path) == ("GET", "http://testserver/a?b=1", "/a")
        assert request.client == ("127.0.0.1", 1234)
        assert request.scope is not None
        return Response("hällo", headers={"X-A": "b"})

    call = exchange(handle, "/a?b=1")

    assert await call.start() == (
        200,
        {"x-a": "b", "content-type": "text/plain;charset=UTF-8", "content-length": "6"},
    )
    assert await call.rest() == "hällo".encode()
    assert await call.done() is True


async def test_nothing_is_received_or_sent_when_it_is_not_ours(exchange):
    async def handle(request: Request) -> None:
        assert request.headers["host"] == "testserver"

    call = await exchange(handle).send(b"x")

    assert await call.done() is False
    assert call.left() == []
    assert call._communicator.input_queue.qsize() == 1


async def test_a_handler_that_ends_by_being_cancelled_is_answered(exchange, caplog):
    async def handle(request: Request) -> Response:
        waited_for = asyncio.get_running_loop().create_future()
        waited_for.cancel()
        return await waited_for

    call = await exchange(handle).send()

    assert (await call.start())[0] == 500
    assert await call.done() is True
    assert "cancelled by what it waited for" in caplog.text


async def test_a_request_that_the_server_cancels_is_cancelled(exchange):
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    call = await exchange(handle).send()
    await began.wait()
    call._communicator.future.cancel()

    await cancelled.wait()
    with contextlib.suppress(asyncio.CancelledError):
        await call.done()
    assert call.left() == []


class TestRequestBody:
    async def test_it_is_not_read_before_it_is_asked_for(self, exchange):
        async def handle(request: Request) -> Response:
            request.stream()
            return Response("done")

        call = await exchange(handle, method="POST").send(b"never read")

        await call.done()
        assert call._communicator.input_queue.qsize() == 1

    async def test_it_arrives_chunk_by_chunk(self, exchange):
        got: asyncio.Queue[bytes] = asyncio.Queue()

        async def handle(request: Request) -> Response:
            async for chunk in request.stream():
                got.put_nowait(chunk)
            return Response("done")

        call = await exchange(handle, method="POST").send(b"a", more=True)
        assert await got.get() == b"a"
        await call.send(b"", more=True)
        await call.send(b"b")

        assert await got.get() == b"b"
        assert (await call.start())[0] == 200

    async def test_json_and_a_second_look(self, exchange):
        async def handle(request: Request) -> Response:
            return Response.from_json([await request.json(), await request.text()])

        call = await exchange(handle, method="POST").send(b'{"a"', more=True)
        await call.send(b":1}")

        await call.start()
        assert await call.rest() == b'[{"a":1},"{\\"a\\":1}"]'

    async def test_one_that_is_too_large_for_memory_is_413(self, exchange):
        exchange.settings = replace(exchange.settings, limits=Limits(buffered_body_bytes=4))

        async def handle(request: Request) -> Response:
            return Response(await request.bytes())

        call = await exchange(handle, method="POST").send(b"12345", more=True)

        assert (await call.start())[0] == 413
        assert b"limit of 4 bytes" in await call.rest()

    async def test_a_total_limit_counts_streams_too(self, exchange):
        exchange.settings = replace(exchange.settings, limits=Limits(body_bytes=4))
        got: list[bytes] = []

        async def handle(request: Request) -> Response:
            async for chunk in request.stream():
                got.append(chunk)  # noqa: PERF401 - what came before the limit is looked at
            return Response("done")

        call = await exchange(handle, method="POST").send(b"123", more=True)
        await call.send(b"45", more=True)

        assert (await call.start())[0] == 413
        assert got == [b"123"]

    @pytest.mark.parametrize("length", ["5", "9" * 5000])
    async def test_a_length_beyond_the_limit_is_refused_unread(self, exchange, length: str):
        exchange.settings = replace(exchange.settings, limits=Limits(body_bytes=4))

        async def handle(request: Request) -> Response:
            raise AssertionError

        call = exchange(handle, method="POST", headers={"content-length": length})

        assert (await call.start())[0] == 413

    async def test_a_client_that_leaves_in_the_middle_is_an_error_for_the_reader(self, exchange):
        failed: list[BaseException] = []

        async def handle(request: Request) -> Response:
            try:
                return Response(await request.bytes())
            except ClientDisconnected as error:
                failed.append(error)
                raise

        call = await exchange(handle, method="POST").send(b"a", more=True)
        await call.leave()

        await call.done()
        assert len(failed) == 1
        assert isinstance(failed[0], ConnectionError)

    async def test_bad_json_is_400(self, exchange):
        async def handle(request: Request) -> Response:
            return Response.from_json(await request.json())

        call = await exchange(handle, method="POST").send(b"{")

        status, headers = await call.start()
        assert (status, headers["content-type"]) == (400, "text/plain;charset=UTF-8")
        assert b"not JSON" in await call.rest()

    async def test_files_of_a_form_are_closed_after_the_response(self, exchange):
        files: list[Any] = []

        async def handle(request: Request) -> Response:
            form = await request.copy().form()
            files.append(form.files["f"])
            return Response(form.files["f"].read())

        body = b'--b\r\ncontent-disposition: form-data; name="f"; filename="x"\r\n\r\nhi\r\n--b--\r\n'
        call = exchange(handle, method="POST", headers={"content-type": "multipart/form-data; boundary=b"})
        await call.send(body)

        await call.start()
        assert await call.rest() == b"hi"
        await call.done()
        assert files[0].stream.closed


class TestStreams:
    async def test_the_head_goes_out_before_the_first_chunk(self, exchange):
        body = Body()
        call = await exchange(streaming(body)).send()

        status, headers = await call.start()
        assert (status, headers) == (200, {"content-type": "text/plain"})
        body.give("a")
        assert await call.chunk() == b"a"
        body.give("ü", None)
        assert await call.rest() == "ü".encode()
        assert body.closed.is_set()

    async def test_a_slow_client_slows_the_body_down(self, exchange):
        made: list[int] = []
        room = asyncio.Semaphore(0)

        async def numbers() -> AsyncIterator[str]:
            for n in range(100):
                made.append(n)
                yield str(n)

        async def handle(request: Request) -> Response:
            return Response(numbers())

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            async def slow_send(message: Any) -> None:
                await room.acquire()
                await send(message)

            await serve_http(scope, receive, slow_send, handle, exchange.settings)

        call = exchange.run(slow, http_scope())
        for _ in range(4):
            room.release()
        await call.start()
        assert await call.chunk() == b"0"
        assert await call.chunk() == b"1"

        assert len(made) <= 3

    async def test_a_client_that_leaves_closes_the_body_and_aborts_the_signal(self, exchange):
        body = Body()
        requests: list[Request] = []

        async def handle(request: Request) -> Response:
            requests.append(request)
            return await streaming(body)(request)

        call = await exchange(handle).send()
        await call.start()
        body.give("a")
        await call.chunk()
        assert not requests[0].signal.aborted

        await call.leave()
        await call.done()

        assert body.closed.is_set()
        assert requests[0].signal.aborted
        assert isinstance(requests[0].signal.reason, ClientDisconnected)
        assert all(message.get("more_body") for message in call.left())

    async def test_a_client_that_has_left_before_gets_nothing_and_the_body_is_closed(self, exchange):
        class Source:
            closed = False

            def __aiter__(self) -> Source:
                return self

            async def __anext__(self) -> str:
                raise AssertionError

            async def aclose(self) -> None:
                self.closed = True

        source = Source()

        async def handle(request: Request) -> Response:
            await request.signal.wait()
            return Response(source)

        call = exchange(handle)
        await call.leave()
        await call.done()

        assert source.closed
        assert call.left() == []

    async def test_leaving_is_seen_while_the_handler_works(self, exchange):
        async def handle(request: Request) -> Response:
            await request.bytes()
            await request.signal.wait()
            return Response("nobody")

        call = await exchange(handle, method="POST").send(b"x")
        await call.leave()

        assert await call.done() is True

    async def test_leaving_is_seen_past_a_body_that_nobody_reads(self, exchange):
        body = Body()
        call = await exchange(streaming(body), method="POST").send(b"a", more=True)
        await call.send(b"b")
        await call.start()

        await call.leave()
        await call.done()

        assert body.closed.is_set()

    async def test_the_watcher_keeps_the_body_for_its_reader(self, exchange):
        async def echo(request: Request) -> AsyncIterator[bytes]:
            async for chunk in request.stream():
                yield chunk.upper()

        async def handle(request: Request) -> Response:
            assert not request.signal.aborted
            return Response(echo(request))

        call = await exchange(handle, method="POST").send(b"a", more=True)
        await call.start()
        assert await call.chunk() == b"A"
        await call.send(b"b", more=True)
        assert await call.chunk() == b"B"
        await call.send(b"c")

        assert await call.rest() == b"C"

    async def test_the_watcher_does_not_read_ahead_without_end(self, exchange):
        body = Body()
        call = exchange(streaming(body), method="POST")
        for _ in range(40):
            await call.send(bytes(100_000), more=True)
        await call.start()
        body.give("a")
        await call.chunk()

        assert call._communicator.input_queue.qsize() >= 25

    @pytest.mark.parametrize("limits", [Limits(), Limits(body_bytes=1000)], ids=["kept", "too large"])
    async def test_a_client_that_leaves_behind_a_body_that_nobody_reads_is_missed(self, exchange, clock, limits):
        exchange.settings = replace(exchange.settings, limits=limits, clock=clock)
        body = Body()
        call = exchange(streaming(body), method="POST")
        for _ in range(15):
            await call.send(bytes(100_000), more=True)
        await call.leave()
        await call.start()
        body.give("a")
        await call.chunk()
        assert not body.closed.is_set()

        for _ in range(15):
            await clock.advance(1)

        assert await call.done() is True
        assert body.closed.is_set()

    async def test_what_is_kept_of_a_body_that_nobody_reads_is_bounded(self, exchange, clock):
        exchange.settings = replace(
            exchange.settings, limits=Limits(buffered_body_bytes=1_500_000, body_bytes=None), clock=clock
        )
        read = asyncio.Event()
        got = 0

        async def echo(request: Request) -> AsyncIterator[str]:
            nonlocal got
            yield "a"
            await read.wait()
            try:
                async for chunk in request.stream():
                    got += len(chunk)
            except BodyTooLarge as error:
                yield str(error.setting)

        async def handle(request: Request) -> Response:
            return Response(echo(request))

        call = exchange(handle, method="POST")
        for _ in range(100):
            await call.send(bytes(100_000), more=True)
        await call.start()
        await call.chunk()
        for _ in range(100):
            await clock.advance(1)
        read.set()

        assert await call.rest() == b"buffered_body_bytes"
        assert 1_500_000 <= got <= 1_700_000
        assert call._communicator.input_queue.empty()

    async def test_the_watcher_of_a_large_body_is_stopped_with_its_timer(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = exchange(streaming(body), method="POST")
        for _ in range(15):
            await call.send(bytes(100_000), more=True)
        await call.start()
        body.give("a", None)
        assert await call.rest() == b"a"
        assert await call.done() is True

        left = call._communicator.input_queue.qsize()
        await clock.advance(60)

        assert call._communicator.input_queue.qsize() == left > 0

    async def test_a_body_that_fails_is_broken_off_and_logged(self, exchange, caplog):
        body = Body()
        call = await exchange(streaming(body)).send()
        await call.start()
        body.give("a", ValueError("kaboom"))

        assert await call.chunk() == b"a"
        with pytest.raises(BrokenOff):
            await call.done()
        assert call.left() == []
        [record] = [record for record in caplog.records if record.name == "edgeagents.asgi"]
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        assert "kaboom" in str(record.exc_info[1])

    async def test_a_send_that_fails_means_that_the_client_has_gone(self, exchange, caplog):
        body = Body()

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            async def send_once(message: Any) -> None:
                if message.get("body"):
                    raise OSError("gone")
                await send(message)

            await serve_http(scope, receive, send_once, streaming(body), exchange.settings)

        call = exchange.run(failing, http_scope())
        body.give("a")
        await call.done()

        assert body.closed.is_set()
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    async def test_head_has_no_body_and_closes_it(self, exchange):
        body = Body()
        closed: list[bool] = []

        class Source:
            def __aiter__(self) -> AsyncIterator[str]:
                return self

            async def __anext__(self) -> str:
                raise AssertionError

            async def aclose(self) -> None:
                closed.append(True)

        async def handle(request: Request) -> Response:
            return Response(Source(), headers={"content-length": "12"})

        call = await exchange(handle, method="HEAD").send()

        assert await call.start() == (200, {"content-length": "12"})
        assert await call.rest() == b""
        assert closed == [True]
        assert not body.closed.is_set()

    async def test_head_of_a_body_that_is_there_tells_its_length(self, exchange):
        async def handle(request: Request) -> Response:
            return Response("hello")

        call = await exchange(handle, method="HEAD").send()

        assert (await call.start())[1]["content-length"] == "5"
        assert await call.rest() == b""

    @pytest.mark.parametrize("status", [204, 304])
    async def test_statuses_without_a_body(self, exchange, status: int):
        async def handle(request: Request) -> Response:
            return Response("x", status=status)

        call = await exchange(handle).send()
        got, headers = await call.start()

        assert got == status
        assert "content-length" not in headers
        assert await call.rest() == b""

    @pytest.mark.parametrize("body", ["x", ["x"]])
    async def test_the_answer_that_resets_a_form_is_empty(self, exchange, body: Any):
        async def handle(request: Request) -> Response:
            return Response(body, status=205, headers={"content-length": "1"})

        call = await exchange(handle).send()
        status, headers = await call.start()

        assert (status, headers["content-length"]) == (205, "0")
        assert await call.rest() == b""

    async def test_framing_belongs_to_the_server(self, exchange, caplog):
        caplog.set_level(logging.DEBUG, "edgeagents.asgi")

        async def handle(request: Request) -> Response:
            return Response(
                ["a"],
                headers={
                    "content-type": "text/x-unknown",
                    "content-encoding": "identity",
                    "Transfer-Encoding": "chunked",
                    "connection": "keep-alive",
                    "keep-alive": "5",
                    "upgrade": "h2c",
                },
            )

        call = await exchange(handle).send()

        assert (await call.start())[1] == {"content-type": "text/x-unknown", "content-encoding": "identity"}
        dropped = [record.getMessage() for record in caplog.records if "server owns it" in record.getMessage()]
        assert len(dropped) == 4

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("x\r\nset-cookie: a=b", "1"),
            ("x y", "1"),
            ("x:", "1"),
            ("", "1"),
            ("é", "1"),
            ("x", "a\0b"),
            ("x", "\x1b[2J"),
        ],
    )
    @pytest.mark.parametrize("is_streamed", [False, True])
    async def test_a_header_that_is_none_is_sent_to_nobody(
        self, exchange, caplog, name: str, value: str, is_streamed: bool
    ):
        body = Body()

        async def handle(request: Request) -> Response:
            response = Response(aiter(body) if is_streamed else "secret")
            response.headers[name] = value
            return response

        call = await exchange(handle).send()

        status, headers = await call.start()
        assert (status, set(headers)) == (500, {"content-type", "content-length"})
        assert await call.rest() == b"Internal Server Error"
        await call.done()
        assert caplog.records[0].exc_info
        assert repr(name) in str(caplog.records[0].exc_info[1])

    async def test_values_are_sent_without_blanks_around_them_and_in_utf_8_when_they_must(self, exchange):
        async def handle(request: Request) -> Response:
            return Response(headers={"x-blank": " a\tb ", "x-latin": "é", "x-far": "日本", "x-empty": ""})

        call = await exchange(handle).send()

        assert (await call.message())["headers"] == [
            (b"x-blank", b"a\tb"),
            (b"x-latin", b"\xe9"),
            (b"x-far", "日本".encode()),
            (b"x-empty", b""),
            (b"content-length", b"0"),
        ]

    async def test_not_modified_tells_no_length_that_a_server_would_wait_for(self, exchange):
        async def handle(request: Request) -> Response:
            return Response("hello", headers={"etag": '"1"', "content-length": "5"}).make_conditional(request)

        call = await exchange(handle, headers={"if-none-match": '"1"'}).send()

        status, headers = await call.start()
        assert status == 304
        assert "content-length" not in headers

    async def test_a_length_that_is_wrong_is_mended(self, exchange):
        async def handle(request: Request) -> Response:
            return Response("hello", headers={"content-length": "99"})

        call = await exchange(handle).send()

        assert (await call.start())[1]["content-length"] == "5"

    async def test_a_header_outside_of_latin_1_is_utf_8(self, exchange):
        async def handle(request: Request) -> Response:
            return Response("x", headers={"x-a": "€"})

        message = await (await exchange(handle).send()).message()

        assert (b"x-a", "€".encode()) in message["headers"]

    async def test_the_watcher_is_stopped_after_the_response(self, exchange):
        async def handle(request: Request) -> Response:
            assert not request.signal.aborted
            return Response("x")

        call = await exchange(handle).send()
        await call.done()
        await asyncio.sleep(0)

        assert [task.get_name() for task in asyncio.all_tasks() if "edgeagents" in task.get_name()] == []

    async def test_cancelling_the_server_s_task_closes_the_body(self, exchange):
        body = Body()
        call = await exchange(streaming(body)).send()
        await call.start()
        body.give("a")
        await call.chunk()

        call._communicator.future.cancel()
        await call.done()

        assert body.closed.is_set()


class TestFailures:
    async def test_an_error_before_the_start_is_500_without_a_stack(self, exchange, caplog):
        async def handle(request: Request) -> Response:
            raise RuntimeError("secret")

        call = await exchange(handle).send()
        status, headers = await call.start()

        assert (status, headers["content-type"]) == (500, "text/plain;charset=UTF-8")
        assert await call.rest() == b"Internal Server Error"
        [record] = caplog.records
        assert (record.name, record.levelname) == ("edgeagents.asgi", "ERROR")
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "secret"

    async def test_debug_shows_the_traceback(self, exchange):
        exchange.settings = replace(exchange.settings, debug=True)

        async def handle(request: Request) -> Response:
            raise RuntimeError("secret")

        call = await exchange(handle).send()
        await call.start()

        body = await call.rest()
        assert b"Traceback" in body
        assert b"secret" in body

    @pytest.mark.parametrize(
        ("error", "status", "text"),
        [
            (BadRequest("no"), 400, b"no"),
            (HttpError("teapot", 418), 418, b"teapot"),
            (
                BodyTooLarge(3, "buffered_body_bytes"),
                413,
                b"The body of this request is larger than the limit of 3 bytes: Limits(buffered_body_bytes=3).",
            ),
        ],
    )
    async def test_http_errors_are_answers(self, exchange, error: HttpError, status: int, text: bytes):
        async def handle(request: Request) -> Response:
            raise error

        call = await exchange(handle).send()

        assert (await call.start())[0] == status
        assert await call.rest() == text

    @pytest.mark.parametrize("status", [101, 103])
    async def test_a_status_that_is_no_answer_is_500(self, exchange, caplog, status: int):
        async def handle(request: Request) -> Response:
            response = Response()
            response.status = status
            return response

        call = await exchange(handle).send()

        assert (await call.start())[0] == 500
        assert f"status {status}" in caplog.text


class TestEventStreams:
    async def test_events_have_the_headers_that_keep_them_flowing(self, exchange):
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()

        assert (await call.start())[1] == {
            "content-type": "text/event-stream",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
        }

    async def test_headers_of_the_handler_stay(self, exchange):
        async def handle(request: Request) -> Response:
            return Response.event_stream(
                events(), headers={"cache-control": "no-store", "x-accel-buffering": "yes", "content-length": "3"}
            )

        async def events() -> AsyncIterator[str]:
            yield "a"

        call = await exchange(handle).send()

        assert (await call.start())[1] == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "yes",
        }
        assert await call.rest() == b"data: a\n\n"

    async def test_silence_is_broken_by_comments(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()
        await call.start()

        await clock.advance(14)
        assert [message for message in call.left() if message["body"]] == []
        await clock.advance(1)
        assert await call.chunk() == b": keep-alive\n\n"
        await clock.advance(10)
        body.give(ServerSentEvent(data="x").encode().decode())
        assert await call.chunk() == b"data: x\n\n"
        await clock.advance(14)
        assert call.left() == []
        await clock.advance(1)
        assert await call.chunk() == b": keep-alive\n\n"

    async def test_three_minutes_of_silence_are_twelve_comments(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()
        await call.start()

        await clock.advance(180)
        body.give("data: end\n\n", None)

        assert await call.rest() == b": keep-alive\n\n" * 12 + b"data: end\n\n"

    @pytest.mark.parametrize("cut", ["data: a", "data: a\n", "data: a\r\n"])
    async def test_a_comment_never_cuts_an_event(self, exchange, clock, cut: str):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()
        await call.start()
        body.give(cut)
        await call.chunk()

        await clock.advance(60)
        assert call.left() == []
        rest = "\r\n\r\n" if cut.endswith("a") else "\r\n"
        body.give(rest)
        await call.chunk()
        await clock.advance(30)
        assert await call.chunk() == b": keep-alive\n\n"

    async def test_an_event_of_single_bytes_is_an_event(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()
        await call.start()
        for char in "data: a\n\n":
            body.give(char)
            await call.chunk()

        await clock.advance(15)

        assert await call.chunk() == b": keep-alive\n\n"

    async def test_a_compressed_stream_is_left_alone(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()

        async def handle(request: Request) -> Response:
            return Response(aiter(body), headers={"content-type": "text/event-stream", "content-encoding": "gzip"})

        call = await exchange(handle).send()
        await call.start()
        await clock.advance(60)

        assert [message for message in call.left() if message["body"]] == []

    async def test_plain_streams_have_no_comments(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body)).send()
        await call.start()
        await clock.advance(3600)
        body.give("a", None)

        assert await call.rest() == b"a"

    async def test_the_interval_can_be_chosen(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock, keep_alive_seconds=1.0)
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()
        await call.start()
        await clock.advance(2)
        body.give(None)

        assert await call.rest() == b": keep-alive\n\n" * 2


class TestDraining:
    async def test_event_streams_end_at_once_and_properly(self, exchange):
        body = Body()
        call = await exchange(streaming(body, "text/event-stream")).send()
        await call.start()
        body.give("data: a\n\n")
        await call.chunk()

        exchange.settings.connections.drain()

        assert await call.rest() == b""
        await call.done()
        assert body.closed.is_set()
        assert len(exchange.settings.connections) == 0

    async def test_other_streams_may_finish(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body)).send()
        await call.start()

        exchange.settings.connections.drain()
        await clock.advance(1)
        body.give("end", None)

        assert await call.rest() == b"end"

    async def test_other_streams_are_broken_off_when_they_take_long(self, exchange, clock):
        exchange.settings = replace(exchange.settings, clock=clock)
        body = Body()
        call = await exchange(streaming(body)).send()
        await call.start()

        exchange.settings.connections.drain()
        await clock.advance(2)

        with pytest.raises(CutOff, match="server stops"):
            await call.done()
        assert body.closed.is_set()

    async def test_a_stream_that_begins_while_the_server_stops_is_ended(self, exchange):
        body = Body()
        exchange.settings.connections.drain()
        call = await exchange(streaming(body, "text/event-stream")).send()

        await call.done()

        assert len(exchange.settings.connections) == 0


@pytest.mark.parametrize(("media_type", "ends"), [("text/event-stream", True), ("text/plain", False)])
async def test_an_event_stream_ends_with_the_identity_of_its_reader(exchange, clock, media_type: str, ends: bool):
    exchange.settings = replace(exchange.settings, clock=clock)
    body = Body()

    async def handle(request: Request) -> Response:
        request.identity = Identity("ann", expires_at=clock.now() + timedelta(seconds=10))
        return Response(aiter(body), headers={"content-type": media_type})

    call = await exchange(handle).send()
    await call.start()
    await clock.advance(9)
    body.give("data: a\n\n")
    assert await call.chunk() == b"data: a\n\n"

    await clock.advance(1)

    if ends:
        assert await call.rest() == b""
        await call.done()
    else:
        # It answers one request, which was let in; a reader of events stays for good.
        body.give("data: b\n\n", None)
        assert await call.rest() == b"data: b\n\n"
