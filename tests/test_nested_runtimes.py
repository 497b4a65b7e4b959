"""Which runtime code finds, when one runs inside of another's time, as a test's beside an app's."""

from __future__ import annotations

import asyncio

import pytest

from edgeagents import Agent, get_agent_by_name
from edgeagents.errors import ConfigError
from edgeagents.testing import agent_runtime


class Diary(Agent):
    def write(self, line: str) -> list[str]:
        self.ctx.storage.kv.put("lines", [*self.read(), line])
        return self.read()

    def read(self) -> list[str]:
        return self.ctx.storage.kv.get("lines") or []


async def write(line: str) -> list[str]:
    diary = await get_agent_by_name(Diary, "d")
    return await diary.write(line)  # type: ignore[misc] - a stub's methods are awaited.


async def test_after_an_inner_runtime_the_outer_one_is_found_again():
    async with agent_runtime(Diary):
        await write("outer")
        async with agent_runtime(Diary):
            assert await write("inner") == ["inner"]

        assert await write("after") == ["outer", "after"]


async def test_after_the_outermost_runtime_none_is_found():
    async with agent_runtime(Diary):
        await write("outer")

    with pytest.raises(ConfigError, match="no runtime is known"):
        await write("after")


async def test_one_that_was_left_first_does_not_take_the_other_away():
    first, second = agent_runtime(Diary), agent_runtime(Diary)
    await first.start()
    await second.start()
    await first.stop()

    assert await write("second") == ["second"]

    await second.stop()


async def test_an_inner_runtime_that_is_stopped_by_another_task_leaves_no_trace():
    async with agent_runtime(Diary):
        await write("outer")
        inner = agent_runtime(Diary)
        await asyncio.create_task(inner.start())
        await asyncio.create_task(inner.stop())

        assert await write("after") == ["outer", "after"]
