"""What cannot be used is refused where it is given, by a text that names it."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagents import Agent, History
from edgeagents.errors import ConfigError
from edgeagents.testing import agent_runtime


class Clumsy(Agent):
    async def spawns_a_function(self) -> None:
        function: Any = print
        self.ctx.spawn(function, name="x")

    async def gets_a_number(self) -> None:
        key: Any = 5
        await self.ctx.storage.get(key)

    async def names_a_class(self) -> None:
        cls: Any = "Clumsy"
        await self.sub_agent(cls, "x")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (
            "spawns_a_function",
            r"spawn\(\) takes a coroutine.*: <built-in function print>",
        ),
        ("gets_a_number", r"get\(\) takes a key, which is a str, or several, not int: 5"),
        ("names_a_class", r"sub_agent\(\) takes a class of agents, not str: 'Clumsy'"),
    ],
)
async def test_an_agent_is_told_what_it_has_given(method: str, told: str) -> None:
    async with agent_runtime(Clumsy) as runtime:
        with pytest.raises(TypeError, match=told):
            await getattr(runtime.namespaces["Clumsy"].get_by_name("x"), method)()


def test_a_history_is_a_number_of_days() -> None:
    days: Any = "x"
    with pytest.raises(ConfigError, match=r"History\(days=\.\.\.\) is a number, not str: 'x'"):
        History(days=days)
