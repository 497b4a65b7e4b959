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
    secrets, env = {"OPENAI_API_KEY": "sk-test"}, {"OPENAI_BASE_URL": model.url}
    with serving_example("anthropic-patterns", tmp_path, secrets=secrets, env=env) as server:
        yield server


@pytest.fixture
def offline_emulator(tmp_path: Path) -> Iterator[Server]:
    with serving_example("anthropic-patterns", tmp_path) as server:
        yield server
