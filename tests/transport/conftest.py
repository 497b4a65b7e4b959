"""One server of each kind, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import SERVERS, Server


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transport") / "state"


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, storage: Path) -> Iterator[Server]:
    folder = storage / request.param
    server = Server("tests.transport.transport_app:app", server=request.param, env={"AGENTS_STORAGE": str(folder)})
    yield server.start()
    server.close()
