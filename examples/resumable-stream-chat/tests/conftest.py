"""The example with its page built, a model whose pace the test decides, and a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.agents.chat.cuts_model import CountingModels
from tests.examples import serving_example
from tests.pages import Browser, browser_of, build_page
from tests.servers import Server

EXAMPLE = "resumable-stream-chat"


@pytest.fixture(scope="session")
def page() -> Path:
    return build_page(EXAMPLE)


@pytest.fixture
async def browser(page: Path) -> AsyncIterator[Browser]:
    async with browser_of(EXAMPLE) as browser:
        yield browser


@pytest.fixture
async def models() -> AsyncIterator[tuple[CountingModels, str]]:
    models = CountingModels()
    url = await models.start()
    yield models, url
    await models.stop()


@pytest.fixture
def emulator(tmp_path: Path, page: Path, models: tuple[CountingModels, str]) -> Iterator[Server]:
    env = {"OPENAI_BASE_URL": models[1]}
    secrets = {"OPENAI_API_KEY": "sk-test"}
    with serving_example(EXAMPLE, tmp_path, secrets=secrets, env=env, plugins=["assets"]) as server:
        yield server
