"""Servers that die or are stopped under a connected official client."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.servers import Server

pytestmark = [pytest.mark.node, pytest.mark.server]


def test_client_finds_its_state_after_a_sigkill(driver: Driver, own_server: Server) -> None:
    got = driver.run("server_killed", own_server.url, meet={"settled": own_server.kill, "closed": own_server.start})

    assert got == {"sum": 12, "after": 13, "state": {"n": 13}, "changes": []}


def test_client_comes_back_after_a_gentle_stop(driver: Driver, own_server: Server) -> None:
    got = driver.run("server_stopped", own_server.url, meet={"settled": own_server.stop, "closed": own_server.start})

    # A server that stops may accept a client that is quick to come back once more, to send it away again.
    assert got["opens"] >= 2
    # Clients take 1008 and 4000 to 4999 for final.
    assert got["code"] in {1000, 1001, 1006, 1012}
