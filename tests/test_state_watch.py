"""A runtime with debug=True tells of states that were changed in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from edgeagents import Agent, get_agent_by_name
from edgeagents.testing import ManualClock, agent_runtime, settle


@dataclass
class Score:
    n: int = 0
    best: int = 0


class Counter(Agent):
    initial_state: Any = {"n": 0, "rows": []}

    async def add_in_place(self) -> int:
        self.state["n"] += 1000
        return self.state["n"]

    def append_in_a_thread(self) -> None:
        self.state["rows"].append({1, 2})

    async def add_and_set(self) -> None:
        self.state["n"] += 1
        await settle()
        self.set_state(self.state)

    async def set_with_tuples(self) -> None:
        self.set_state({"rows": ((1, 2),), 3: "a key that is no text"})

    async def write_by_hand(self) -> None:
        self.set_state({"n": 1})
        self.sql("update cf_agents_state set state = ?", '{ "n": 2 }')

    async def look(self) -> Any:
        return self.state


class Typed(Agent[Any, Score]):
    initial_state = Score()

    async def add_in_place(self) -> None:
        self.state.n += 1

    async def write_by_hand(self) -> None:
        self.set_state(Score(1))
        self.sql("update cf_agents_state set state = ?", '{"n":2}')

    async def look(self) -> int:
        return self.state.n


@pytest.mark.parametrize(
    ("cls", "method"), [(Counter, "add_in_place"), (Counter, "append_in_a_thread"), (Typed, "add_in_place")]
)
async def test_a_change_in_place_is_told_once_a_class(cls: Any, method: str, caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(cls, debug=True):
        for name in ("x", "x", "y"):
            await getattr(await get_agent_by_name(cls, name), method)()

    (told,) = caplog.messages
    assert told.startswith(f"The state of {cls.__name__} 'x' was changed in place.")
    assert "self.set_state(" in told


@pytest.mark.parametrize(
    ("cls", "method"),
    [
        (Counter, "add_and_set"),
        (Counter, "set_with_tuples"),
        (Counter, "write_by_hand"),
        (Counter, "look"),
        (Typed, "write_by_hand"),
    ],
)
async def test_what_is_kept_is_not_told(cls: Any, method: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    async with agent_runtime(cls, debug=True, clock=clock):
        agent = await get_agent_by_name(cls, "x")
        await getattr(agent, method)()
        await clock.advance(60)
        await agent.look()

    assert caplog.messages == []


async def test_nothing_is_looked_at_without_debug(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(Counter):
        assert await (await get_agent_by_name(Counter, "x")).add_in_place() == 1000

    assert caplog.messages == []
