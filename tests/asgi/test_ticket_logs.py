"""Tickets behind each server: they let in, and its access log does not tell them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.servers import SERVERS, Server, until

pytestmark = pytest.mark.server

WITH_ACCESS_LOG = {
    "hypercorn": ("--access-logfile", "-", "--access-logformat", "%(R)s %(s)s %(x-missing)s"),
    "uvicorn": ("--access-log",),
    "granian": ("--access-log", "--access-log-fmt", "%(method)s %(path)s %(query_string)s %(status)d"),
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server("tests.asgi.ticket_app:app", server=request.param, options=WITH_ACCESS_LOG[request.param])
    yield server.start()
    server.close()


def test_a_ticket_lets_in_and_is_not_logged(server: Server):
    with urlopen(server.url) as answer:
        ticket = answer.read().decode()
    with urlopen(f"{server.url}/agents/door/a?ticket={ticket}") as answer:
        assert answer.read() == b"come in"
    with connect(f"{server.ws_url}/agents/door/a?ticket={ticket}", proxy=None) as client:
        while client.recv(timeout=30) != "welcome ann":
            pass
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{server.url}/agents/door/b?ticket={ticket}")
    with pytest.raises(InvalidStatus):
        connect(f"{server.ws_url}/agents/door/b?ticket={ticket}", proxy=None)

    until(lambda: server.log.count("/agents/door/b") >= 1, "the access log")
    assert ticket not in server.log
    assert ticket[:20] not in server.log
    assert "Traceback" not in server.log
