"""The example without a model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples import serving_example
from tests.servers import Server


@pytest.fixture(scope="module")
def offline_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests: each plays a game of its own."""
    with serving_example("tictactoe", tmp_path_factory.mktemp("offline")) as server:
        yield server
