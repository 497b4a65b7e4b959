"""What only real servers show: bytes on a connection, close codes, and how a server stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import websockets

from tests.servers import SERVERS, Server, until

pytestmark = pytest.mark.server

PATIENCE = {
    "hypercorn": ("--graceful-timeout", "10"),
    "uvicorn": ("--timeout-graceful-shutdown", "10"),
    "granian": ("--workers-kill-timeout", "10"),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server("tests.asgi.server_app:app", server=request.param)
    yield server.start()
    server.close()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


class Wire:
    """A connection on which a test writes and reads the bytes itself."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.got = b""

    def ask(self, target: str, *, method: str = "GET", headers: str = "", body: bytes = b"") -> Wire:
        head = f"{method} {target} HTTP/1.1\r\nhost: h.example:81\r\n{headers}\r\n"
        self.socket.sendall(head.encode() + body)
        return self

    def read_until(self, wanted: bytes) -> bytes:
        while wanted not in self.got:
            data = self.socket.recv(65_536)
            assert data, f"the connection ended before {wanted!r}: {self.got!r}"
            self.got += data
        return self.got

    def read_all(self) -> bytes:
        """Read until the server closes the connection."""
        try:
            while data := self.socket.recv(65_536):
                self.got += data
        except ConnectionError:
            pass
        return self.got

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def wire(server: Server) -> Iterator[Any]:
    wires: list[Wire] = []

    def connect() -> Wire:
        wires.append(Wire(server))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.close()


def seen(server: Server) -> list[str]:
    wire = Wire(server).ask("/seen", headers="connection: close\r\n")
    body = wire.read_all().partition(b"\r\n\r\n")[2]
    wire.close()
    return json.loads(body)


def until_seen(server: Server, what: str) -> None:
    until(lambda: what in seen(server), f"the handler to see {what!r}")


class TestHttp:
    async def test_a_response_has_its_length(self, http: httpx2.AsyncClient):
        response = await http.get("/")

        assert (response.status_code, response.text) == (200, "hello")
        assert response.headers["content-length"] == "5"

    def test_the_url_is_the_one_on_the_wire(self, wire: Any):
        answer = wire().ask("/echo_url/a%20b/%2F/../x?q=%zz&e", headers="connection: close\r\n").read_all()

        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
            "url": "http://h.example:81/echo_url/a%20b/%2F/../x?q=%zz&e",
            "path": "/echo_url/a%20b/%2F/../x",
        }

    async def test_a_body_is_streamed_up(self, http: httpx2.AsyncClient):
        async def body() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield bytes(65_536)

        response = await http.post("/digest", content=body())

        assert response.json()["size"] == 6_553_600

    async def test_a_body_that_nobody_reads_does_no_harm(self, http: httpx2.AsyncClient):
        assert (await http.post("/unread", content=bytes(10_000))).text == "not read"
        assert (await http.get("/")).text == "hello"

    async def test_errors(self, http: httpx2.AsyncClient, server: Server):
        failed = await http.get("/fail")
        assert (failed.status_code, failed.text) == (500, "Internal Server Error")
        refused = await http.get("/refuse")
        assert (refused.status_code, refused.text) == (400, "this is refused")
        assert (await http.post("/json", content=bytes(2000))).status_code == 413
        assert (await http.post("/json", content=b"{")).status_code == 400
        assert "a secret of the inside" in server.log

    async def test_head_and_204(self, http: httpx2.AsyncClient):
        head = await http.head("/head")
        assert (head.status_code, head.headers["x-a"], head.content) == (200, "b", b"")
        none = await http.get("/none")
        assert (none.status_code, none.content) == (204, b"")
        assert (await http.get("/")).text == "hello"

    async def test_framing_is_the_server_s(self, http: httpx2.AsyncClient):
        response = await http.get("/framing")

        assert response.text == "ab"
        assert response.headers.get_list("transfer-encoding") == ["chunked"]
        assert response.headers["content-type"] == "text/x-unknown"


class TestStreams:
    def test_the_head_comes_before_the_first_chunk(self, wire: Any):
        answer = wire().ask("/silence").read_until(b"\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 200")

    def test_an_event_comes_as_it_is_made(self, wire: Any):
        answer = wire().ask("/events").read_until(b"data: first\n\n").lower()

        assert b"cache-control: no-cache" in answer
        assert b"x-accel-buffering: no" in answer

    def test_a_client_that_leaves_is_noticed_in_silence(self, server: Server, wire: Any):
        before = len(seen(server))
        stream = wire().ask("/events")
        stream.read_until(b"data: first\n\n")
        stream.close()

        until(lambda: {"events aborted", "events closed"} <= set(seen(server)[before:]), "the stream to be closed")

    def test_a_reader_that_stalls_holds_the_body_up(self, server: Server, wire: Any):
        stream = wire().ask("/endless")
        stream.read_until(b"\r\n\r\n")
        for _ in range(20):
            assert wire().ask("/", headers="connection: close\r\n").read_all().endswith(b"hello")

        chunks = wire().ask("/made", headers="connection: close\r\n").read_all().partition(b"\r\n\r\n")[2]
        # What the two ends' sockets hold, and no more.
        assert int(chunks) < 1000
        stream.close()
        until_seen(server, "endless closed")

    def test_both_ways_at_once(self, wire: Any):
        stream = wire().ask("/upper", method="POST", headers="transfer-encoding: chunked\r\n")
        stream.socket.sendall(b"3\r\nabc\r\n")
        stream.read_until(b"ABC")
        stream.socket.sendall(b"3\r\ndef\r\n")
        stream.read_until(b"DEF")
        stream.socket.sendall(b"0\r\n\r\n")
        stream.read_until(b"0\r\n\r\n")

    def test_a_body_that_fails_has_no_proper_end(self, server: Server, wire: Any):
        answer = wire().ask("/broken").read_all()

        assert b"half" in answer
        assert not answer.endswith(b"0\r\n\r\n")
        assert b"secret" not in answer
        assert "a secret of the inside" in server.log
        until(lambda: "/broken: the body of the response failed; see" in server.log, "the server to log it")
        assert "BrokenOff" not in server.log


class TestWebSockets:
    async def test_messages_and_a_close_of_the_object(self, server: Server):
        async with websockets.connect(f"{server.ws_url}/socket", proxy=None) as socket:
            await socket.send("text")
            assert await socket.recv() == "text"
            await socket.send(b"\x00\xff")
            assert await socket.recv() == b"\x00\xff"
            await (await socket.ping())
            await socket.send("close")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()

        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you wish")
        until_seen(server, "closed 4001 'as you wish' True")

    async def test_the_subprotocol_is_agreed_on(self, server: Server):
        async with websockets.connect(
            f"{server.ws_url}/socket",
            subprotocols=["other", "chat"],  # type: ignore[list-item]
            proxy=None,
        ) as socket:
            assert socket.subprotocol == "chat"

    async def test_the_client_s_close_reaches_the_object(self, server: Server):
        async with websockets.connect(f"{server.ws_url}/socket", proxy=None) as socket:
            await socket.close(4002, "bye")

        # Hypercorn up to 0.18 keeps the code to itself, granian the reason.
        known = {"hypercorn": "closed 1006 '' False", "granian": "closed 4002 '' True"}
        until_seen(server, known.get(server.server, "closed 4002 'bye' True"))

    async def test_a_lost_client_is_told_to_the_object(self, server: Server):
        before = len(seen(server))
        async with websockets.connect(f"{server.ws_url}/socket", proxy=None) as socket:
            socket.transport.abort()

        until(
            lambda: any(line.startswith(("closed 1006", "closed 1005")) for line in seen(server)[before:]),
            "the object to learn of it",
        )

    async def test_a_refusal_is_a_response(self, server: Server):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{server.ws_url}/deny", proxy=None)

        assert refused.value.response.status_code == 401
        assert refused.value.response.body == b"go away"

    async def test_a_message_that_is_too_big_is_1009(self, server: Server):
        async with websockets.connect(f"{server.ws_url}/socket", proxy=None) as socket:
            await socket.send("x" * 1_100_000)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()

        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009

    async def test_a_reader_that_stalls_is_dropped_and_others_are_served(self, server: Server):
        async with (
            websockets.connect(
                f"{server.ws_url}/socket", proxy=None, max_queue=1, compression=None, close_timeout=0
            ) as stalled,
            websockets.connect(f"{server.ws_url}/socket", proxy=None) as other,
        ):
            await stalled.send("flood")
            for n in range(50):
                await other.send(str(n))
                assert await other.recv() == str(n)
            await asyncio.to_thread(until_seen, server, "closed 1013 'The client reads too slowly' False")
            stalled.transport.abort()


class TestStopping:
    """With streams and sockets open, a server stops without being killed, and every client is told."""

    @pytest.fixture
    def stopping(self, server: Server) -> Iterator[Server]:
        own = Server("tests.asgi.server_app:app", server=server.server)
        yield own.start()
        own.close()

    def test_it_stops_with_an_open_event_stream_which_ends_properly(self, stopping: Server):
        stream = Wire(stopping).ask("/events")
        stream.read_until(b"data: first\n\n")

        stopping.stop()

        assert stream.read_all().endswith(b"0\r\n\r\n")
        assert "the runtime has stopped" in stopping.log
        stream.close()

    def test_it_stops_with_another_stream_open_which_is_broken_off(self, stopping: Server):
        stream = Wire(stopping).ask("/silence")
        stream.read_until(b"\r\n\r\n")

        stopping.stop()

        assert not stream.read_all().endswith(b"0\r\n\r\n")
        stream.close()

    def test_a_stream_that_is_broken_off_is_no_error_of_the_log(self, server: Server):
        # As much time as the server has by default, or more: it is not the server that loses patience.
        patient = Server("tests.asgi.server_app:app", server=server.server, options=PATIENCE[server.server])
        try:
            stream = Wire(patient.start()).ask("/silence")
            stream.read_until(b"\r\n\r\n")

            patient.stop()

            assert not stream.read_all().endswith(b"0\r\n\r\n")
            stream.close()
            assert "GET /silence: the response was cut because the server stops." in patient.log
            assert "CutOff" not in patient.log
            assert "ERROR" not in patient.log
        finally:
            patient.close()

    def test_a_supervised_worker_stops_with_an_open_event_stream(self):
        # The supervisor gets the signal, and its worker an event that nobody but Hypercorn sees.
        server = Server("tests.asgi.server_app:app", server="hypercorn", arguments=("--workers", "1"))
        try:
            server.start()
            stream = Wire(server).ask("/events")
            stream.read_until(b"data: first\n\n")

            os.kill(server.pid, signal.SIGTERM)

            assert stream.read_all().endswith(b"0\r\n\r\n")
            until(lambda: not server.is_running, "the supervisor to stop")
            assert "the runtime has stopped" in server.log
            stream.close()
        finally:
            server.close()

    async def test_sockets_are_closed_with_1012(self, stopping: Server):
        async with websockets.connect(f"{stopping.ws_url}/socket", proxy=None) as socket:
            await socket.send("hello")
            await socket.recv()
            stopped = asyncio.create_task(asyncio.to_thread(stopping.stop))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            await stopped

        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert "the runtime has stopped" in stopping.log
