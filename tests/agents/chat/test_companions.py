"""Chat beside an agent's other parts: MCP servers, sub-agents, capabilities of its own, callables, state."""

from __future__ import annotations

import asyncio

from edgeagents import Agent, AIChatAgent
from edgeagents.agents import Capability
from edgeagents.testing import agent_runtime, settle
from tests.agents.chat.talk import ask, hear_turn, history, tab, text_of, user
from tests.agents.frames import answer, heard


class Servers(Capability):
    """Stands for servers that are being connected to."""

    name = "mcp"
    connected: asyncio.Future[None]
    seconds: list[float] = []

    async def wait_for_connections(self, timeout: float | None = None) -> None:
        self.seconds.append(timeout or 0)
        await Servers.connected


class Bot(AIChatAgent):
    initial_state = {"turns": 0}
    capability_types = (Servers,)
    wait_for_mcp_connections = {"timeout": 500}

    async def on_chat_message(self) -> str:
        self.set_state({"turns": self.state["turns"] + 1})
        return f"turn {self.state['turns']}"


class Hasty(Bot):
    wait_for_mcp_connections = False


class Child(AIChatAgent):
    def on_chat_message(self) -> str:
        return "I am " + self.name


class Parent(Agent):
    sub_agents = (Child,)


async def test_a_turn_waits_for_servers_that_are_being_connected_to() -> None:
    Servers.connected = asyncio.get_running_loop().create_future()
    Servers.seconds = []
    async with agent_runtime(Bot) as runtime:
        a = await tab(runtime, "A")
        ask(a, "r1", user("u1"))
        assert await heard(a) == []
        Servers.connected.set_result(None)
        frames = await hear_turn(a, "r1")
        assert text_of([f for f in frames if "body" in f]) == "turn 1"
        assert Servers.seconds == [0.5]


async def test_a_turn_need_not_wait_for_servers() -> None:
    Servers.connected = asyncio.get_running_loop().create_future()
    async with agent_runtime(Hasty) as runtime:
        a = await tab(runtime, "A", "/agents/hasty/x")
        ask(a, "r1", user("u1"))
        assert (await hear_turn(a, "r1"))[-1]["done"]


async def test_a_turn_may_set_the_state() -> None:
    async with agent_runtime(Hasty) as runtime:
        a = await tab(runtime, "A", "/agents/hasty/x")
        ask(a, "r1", user("u1"))
        frames = await hear_turn(a, "r1")
        assert {"type": "cf_agent_state", "state": {"turns": 1}} in frames


async def test_a_sub_agent_has_a_conversation_of_its_own() -> None:
    path = "/agents/parent/p/sub/child/c"
    async with agent_runtime(Parent, Child) as runtime:
        a = await tab(runtime, "A", path)
        ask(a, "r1", user("u1"))
        assert text_of(await hear_turn(a, "r1")) == "I am c"
        assert [m["role"] for m in await history(runtime, path)] == ["user", "assistant"]


async def test_frames_that_are_not_chats_reach_the_agent() -> None:
    async with agent_runtime(Child) as runtime:
        a = await tab(runtime, "A", "/agents/child/x")
        frame = await answer(a, "nothing")
        await settle()
        assert frame["error"] == "Method nothing does not exist"
