"""A frame of a megabyte that would be a gigabyte, sent to each server by a client that offers compression."""

from __future__ import annotations

import base64
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.servers import SERVERS, Server

pytestmark = pytest.mark.server

INFLATED = 1_000_000_000
MOST_MEGABYTES = 160
"""What a server may have at most: it begins with about 40, and uvicorn inflates 16."""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server("tests.asgi.sink_app:app", server=request.param)
    yield server.start()
    server.close()


def peak_megabytes(server: Server) -> int:
    """Return the most memory that any process of the server has had."""
    peaks = [0]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == os.getpgid(server.pid):
                lines = (process / "status").read_text().splitlines()
                peaks += [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")]
        except (OSError, ProcessLookupError):
            continue
    return max(peaks)


def bomb() -> bytes:
    """Return a compressed binary message in one frame."""
    compressor = zlib.compressobj(9, wbits=-15)
    zeros = bytes(1_000_000)
    data = b"".join(compressor.compress(zeros) for _ in range(INFLATED // len(zeros)))
    data = (data + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
    return bytes([0xC2, 0xFF]) + struct.pack(">Q", len(data)) + bytes(4) + data


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="measures memory through /proc")
def test_a_compressed_frame_does_not_fill_the_memory(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as wire:
        key = base64.b64encode(os.urandom(16)).decode()
        wire.sendall(
            f"GET /agents/sink/a HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\nupgrade: websocket\r\n"
            f"connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n"
            "sec-websocket-extensions: permessage-deflate\r\n\r\n".encode()
        )
        frame = bomb()
        assert len(frame) < 1024 * 1024
        try:
            wire.sendall(frame)
            while wire.recv(65_536):
                pass  # The server ends it, with or without a close frame.
        except ConnectionError:
            pass

    peak = peak_megabytes(server)
    print(f"{server.server}: {peak} MB at most")
    assert peak < MOST_MEGABYTES


def test_a_client_that_offers_compression_is_served(server: Server):
    with connect(f"{server.ws_url}/agents/sink/a", proxy=None, compression="deflate") as client:
        client.send("x" * 100_000)
        while not (told := str(client.recv(timeout=30))).endswith("bytes"):
            pass
        assert told == "100000 bytes"


def test_hypercorn_and_granian_do_not_compress_an_agents_socket(server: Server):
    with connect(f"{server.ws_url}/agents/sink/a", proxy=None, compression="deflate") as client:
        assert client.response is not None
        is_compressed = "sec-websocket-extensions" in client.response.headers
    assert is_compressed is (server.server == "uvicorn")


def test_a_socket_of_the_apps_own_is_left_alone(server: Server):
    if server.server != "hypercorn":
        pytest.skip("nothing is changed in this server")
    with connect(f"{server.ws_url}/own", proxy=None, compression="deflate") as client:
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["sec-websocket-extensions"]
        client.send("hello")
        assert client.recv(timeout=30) == "the app's own"
