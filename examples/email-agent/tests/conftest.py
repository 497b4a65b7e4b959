"""The example, served by the real emulator with the email plugin; mail that it sends is a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples import serving_example
from tests.servers import Server


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("signed")
    with serving_example("email-agent", folder, secrets={"EMAIL_SECRET": "a secret"}, plugins=["email"]) as server:
        yield server


@pytest.fixture(scope="module")
def unsigned_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without a secret."""
    with serving_example("email-agent", tmp_path_factory.mktemp("unsigned"), plugins=["email"]) as server:
        yield server
