from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgeagents.testing import ManualClock
from tests.asgi.client import Fixture


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def exchange() -> AsyncIterator[Fixture]:
    fixture = Fixture()
    yield fixture
    fixture.close()
    await asyncio.sleep(0)
