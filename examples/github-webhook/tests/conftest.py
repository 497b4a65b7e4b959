"""The example, served by the real emulator, once for all tests: each has a repository of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples import serving_example
from tests.servers import Server

SECRET = "It is a secret"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    secrets = {"GITHUB_WEBHOOK_SECRET": SECRET}
    with serving_example("github-webhook", tmp_path_factory.mktemp("webhook"), secrets=secrets) as server:
        yield server


@pytest.fixture(scope="module")
def open_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without a secret."""
    with serving_example("github-webhook", tmp_path_factory.mktemp("open")) as server:
        yield server
