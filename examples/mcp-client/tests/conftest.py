"""The example, served by the real emulator, and servers for it to use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from plugins.mcp.tests.authorization import Protected
from plugins.mcp.tests.loopback import serving
from tests.examples import serving_example
from tests.servers import Server


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests: each has an agent of its own."""
    with serving_example("mcp-client", tmp_path_factory.mktemp("client"), plugins=["mcp", "assets"]) as server:
        yield server


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example ``mcp``: a server with a tool."""
    with serving_example("mcp", tmp_path_factory.mktemp("server"), plugins=["mcp"]) as server:
        yield server


@pytest.fixture
def protected() -> Protected:
    return Protected()


@pytest.fixture
async def guarded(protected: Protected) -> AsyncIterator[str]:
    """A server that its user has to authorize the agent for."""
    async with serving(protected.app) as url:
        yield f"{url}/mcp"
