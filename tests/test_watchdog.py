"""The watchdog tells of code that keeps the event loop for itself."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from edgeagents import Agent
from edgeagents.objects import Limits
from edgeagents.testing import ManualClock, agent_runtime
from edgeagents.watchdog import Watchdog

pytestmark = pytest.mark.cloudflare(
    "Observability", "handlers that block the event loop are reported", "different: more than the SDK offers"
)

LOGGER = logging.getLogger("edgeagents.watchdog")


class Noticed(logging.Handler):
    """Sets ``noticed`` when the watchdog writes to the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.noticed = threading.Event()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.noticed.set()


@pytest.fixture
def log():
    handler = Noticed()
    LOGGER.addHandler(handler)
    yield handler
    LOGGER.removeHandler(handler)


class Blocker(Agent):
    noticed: threading.Event

    async def compute_for_long(self) -> bool:
        # Keeps the loop until the watchdog has seen it.
        return Blocker.noticed.wait(30)

    async def ask(self, name: str) -> bool:
        from edgeagents import get_agent_by_name

        return await (await get_agent_by_name(Blocker, name)).compute_for_long()

    def wait_in_thread(self) -> bool:
        return Blocker.noticed.wait(0.1)

    async def quick(self) -> str:
        return "done"


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "edgeagents-watchdog"]


async def test_a_handler_that_blocks_is_reported_with_its_agent_and_where_it_stands(log):
    Blocker.noticed = log.noticed
    async with agent_runtime(Blocker, limits=Limits(blocked_seconds=0.05)) as runtime:
        events: list[Any] = []
        told = asyncio.Event()
        runtime.events.subscribe("agents:watchdog", lambda event: (events.append(event), told.set()))
        assert await runtime.namespaces["Blocker"].get_by_name("stuck").compute_for_long()
        async with asyncio.timeout(30):
            await told.wait()

        assert "Blocker 'stuck' keeps the event loop for more than 0.05 s" in log.texts[0]
        assert "Limits(blocked_seconds=0.05)" in log.texts[0]
        assert "Blocker.noticed.wait(30)" in log.texts[0]
        (event,) = events
        assert (event.type, event.agent, event.name) == ("watchdog:blocked", "Blocker", "stuck")
        assert event.payload["seconds"] > 0.05
        assert "compute_for_long" in event.payload["stack"]
        # It goes on to watch, and the loop to run.
        assert await runtime.namespaces["Blocker"].get_by_name("a").quick() == "done"


async def test_it_names_the_agent_that_blocks_and_not_the_one_that_asked_it(log):
    Blocker.noticed = log.noticed
    async with agent_runtime(Blocker, limits=Limits(blocked_seconds=0.05)) as runtime:
        assert await runtime.namespaces["Blocker"].get_by_name("asking").ask("asked")

        assert "Blocker 'asked' keeps" in log.texts[0]


async def test_a_sync_handler_may_block_its_own_thread(log):
    Blocker.noticed = log.noticed
    async with agent_runtime(Blocker, limits=Limits(blocked_seconds=0.02)) as runtime:
        assert not await runtime.namespaces["Blocker"].get_by_name("a").wait_in_thread()
        assert [text for text in log.texts if "wait_in_thread" in text] == []


async def test_it_ends_with_the_runtime():
    before = watchdogs()
    async with agent_runtime(Blocker):
        assert len(watchdogs()) == len(before) + 1
    assert watchdogs() == before


@pytest.mark.parametrize("options", [{"limits": Limits(blocked_seconds=None)}, {"clock": ManualClock()}])
async def test_there_is_none_where_nobody_wants_it_or_time_is_not_the_machines(options):
    before = watchdogs()
    async with agent_runtime(Blocker, **options):
        assert watchdogs() == before


async def test_it_can_be_stopped_at_any_moment() -> None:
    for _ in range(300):
        watchdog = Watchdog(1e-6, lambda block: None)
        watchdog.start()
        await asyncio.sleep(0)
        # As in the loop itself, which gives no sign meanwhile.
        stopping = threading.Thread(target=watchdog.stop, daemon=True)
        stopping.start()
        stopping.join(10)
        assert not stopping.is_alive()
