"""A runtime with the bindings that a test declares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from edgeagents_platform import plugin

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

Start = Callable[..., Awaitable[Runtime]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start(clock: ManualClock) -> AsyncIterator[Start]:
    """Start one: ``await start("ratelimit", {...}, storage=folder)``; the binding is ``env.IT``."""
    async with AsyncExitStack() as stack:

        async def start(
            kind: str, options: dict[str, Any] | None = None, *, storage: Path | None = None, **settings: Any
        ) -> Runtime:
            worker = Worker("w", bindings=[BindingDeclaration("IT", kind, options or {})])
            runtime = Runtime(
                worker, storage=storage, clock=clock, plugins=[plugin], discover_plugins=False, **settings
            )
            return await stack.enter_async_context(runtime)

        yield start
