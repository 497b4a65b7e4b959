"""Hypercorn as the emulator mends it: what a client says when it closes arrives."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from tests.servers import Server, serving, until

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("closing_app:app", pythonpath=[Path(__file__).parent]) as running:
        yield running


def told(server: Server, expected: object) -> bool:
    with urlopen(server.url) as answer:
        return answer.read().decode() == repr([expected])


@pytest.mark.parametrize("code", [1000, 1001, 4321])
def test_the_code_and_reason_of_a_client_arrive(server: Server, code: int) -> None:
    with connect(server.ws_url, proxy=None) as client:
        client.send("hello")
        assert client.recv() == "hello"
        client.close(code, f"reason {code}")
    until(lambda: told(server, (code, f"reason {code}")), "the close to be told")


def test_a_client_that_is_lost_is_1006(server: Server) -> None:
    client = connect(server.ws_url, proxy=None)
    client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: told(server, (1006, None)), "the loss to be told")
    client.socket.close()
