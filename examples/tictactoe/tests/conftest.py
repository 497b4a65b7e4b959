"""The example, served by the real emulator, with a model that says what a test wrote down, and without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from edgeagents_openai.testing import ChatVendor

from edgeagents.testing.vendor import VendorServer
from tests.examples import serving_example
from tests.servers import Server


@pytest.fixture
async def model() -> AsyncIterator[VendorServer]:
    async with VendorServer(ChatVendor()) as server:
        yield server


@pytest.fixture
def emulator(tmp_path: Path, model: VendorServer) -> Iterator[Server]:
    with serving_example(
        "tictactoe", tmp_path, secrets={"OPENAI_API_KEY": "sk-test"}, env={"OPENAI_BASE_URL": model.url}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def offline_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests: each plays a game of its own."""
    with serving_example("tictactoe", tmp_path_factory.mktemp("offline")) as server:
        yield server
