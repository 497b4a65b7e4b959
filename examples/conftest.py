"""An example, served by the real emulator, with a model that says what a test wrote down, and without one.

The example is the one whose tests ask. One that needs more has fixtures of its own, by these names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from edgeagents_openai.testing import ChatVendor

from edgeagents.testing.vendor import VendorServer
from tests.examples import serving_example
from tests.servers import Server


@pytest.fixture
def example(request: pytest.FixtureRequest) -> str:
    """The name of the example: of the folder in which the test is."""
    return request.path.relative_to(Path(__file__).parent).parts[0]


@pytest.fixture
async def model() -> AsyncIterator[VendorServer]:
    """A server that speaks as a model's."""
    async with VendorServer(ChatVendor()) as server:
        yield server


@pytest.fixture
def plugins() -> list[str]:
    """The folders of ``plugins/`` that are as if they were installed."""
    return []


@pytest.fixture
def emulator(example: str, tmp_path: Path, model: VendorServer, plugins: list[str]) -> Iterator[Server]:
    """The example, whose model is ``model``."""
    secrets, env = {"OPENAI_API_KEY": "sk-test"}, {"OPENAI_BASE_URL": model.url}
    with serving_example(example, tmp_path, secrets=secrets, env=env, plugins=plugins) as server:
        yield server


@pytest.fixture
def offline_emulator(example: str, tmp_path: Path) -> Iterator[Server]:
    """The example, on the offline model."""
    with serving_example(example, tmp_path) as server:
        yield server
