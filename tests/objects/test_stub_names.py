"""No name of a stub's own hides a method of the object, but those that Cloudflare's stubs have."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagents import Agent, DurableObject, Runtime, call_part, get_agent_by_name, wake
from edgeagents.objects import Stub
from edgeagents.testing import agent_runtime


class Child(Agent):
    async def start(self) -> str:
        return f"{self.name} is started"


class Race(Agent):
    sub_agents = [Child]

    async def start(self, laps: int = 1) -> str:
        return f"{laps} laps"

    async def call_part(self, part: str) -> str:
        return f"{part}, please"

    async def wake(self) -> str:
        return "awake"

    async def start_child(self) -> str:
        return await (await self.sub_agent(Child, "c")).start()


class Lamp(DurableObject):
    async def start(self) -> str:
        return "lit"


async def test_a_method_named_start_runs_when_it_is_called_through_a_stub() -> None:
    async with agent_runtime(Race):
        race = await get_agent_by_name(Race, "r")
        assert await race.start(3) == "3 laps"
        assert await race.call_part("gears") == "gears, please"
        assert await race.wake() == "awake"
        assert await race.start_child() == "c is started"


async def test_so_it_does_on_a_plain_durable_object() -> None:
    async with Runtime(agents=[Lamp], storage=None, discover_plugins=False) as runtime:
        lamp = runtime.namespaces["Lamp"].get_by_name("x")
        await wake(lamp)
        assert await lamp.start() == "lit"


async def test_an_object_without_such_a_method_has_none() -> None:
    class Plain(Agent):
        pass

    async with agent_runtime(Plain) as runtime:
        stub: Any = runtime.namespaces["Plain"].get_by_name("x")
        with pytest.raises(AttributeError, match="Plain has no method 'start'"):
            stub.start()
        with pytest.raises(AttributeError, match="no method 'spending:burn'"):
            await call_part(stub, "spending", "burn")


def test_a_stub_has_no_public_names_but_those_of_cloudflares() -> None:
    assert {name for name in vars(Stub) if not name.startswith("_")} | {"id"} == {"id", "name", "fetch"}
