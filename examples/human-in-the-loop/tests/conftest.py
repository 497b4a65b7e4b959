"""The example with its page, served by the real emulator, with a model that says what a test wrote down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from edgeagents_openai.testing import ChatVendor

from edgeagents.testing.vendor import VendorServer
from tests.examples import serving_example
from tests.pages import build_page
from tests.servers import Server

EXAMPLE = "human-in-the-loop"


@pytest.fixture(scope="session")
def page() -> Path:
    return build_page(EXAMPLE)


@pytest.fixture
async def model() -> AsyncIterator[VendorServer]:
    async with VendorServer(ChatVendor()) as server:
        yield server


@pytest.fixture
def emulator(tmp_path: Path, page: Path, model: VendorServer) -> Iterator[Server]:
    secrets, env = {"OPENAI_API_KEY": "sk-test"}, {"OPENAI_BASE_URL": model.url}
    with serving_example(EXAMPLE, tmp_path, secrets=secrets, env=env, plugins=["assets"]) as server:
        yield server
