"""What the example needs beside a model: its page, and the plugin that serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import build_page


@pytest.fixture(scope="session")
def page() -> Path:
    return build_page("human-in-the-loop")


@pytest.fixture
def plugins(page: Path) -> list[str]:
    return ["assets"]
