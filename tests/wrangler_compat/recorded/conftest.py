"""The host's modules are in place, as a worker that imports the SDK finds them."""

from __future__ import annotations

import pytest

from wrangler_compat.host.platform import install_platform


@pytest.fixture(autouse=True, scope="session")
def host() -> None:
    install_platform()
