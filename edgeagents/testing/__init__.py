"""What tests of agents need: a clock that is moved by hand, a runtime in memory, a socket without a network.

    async def test_two_and_two():
        async with agent_runtime(Counter) as runtime:
            socket = await connect(runtime, "/agents/counter/x")
            assert (await socket.frame("cf_agent_state"))["state"] == {"n": 0}

            assert await socket.call("add", [2]) == 2

            assert (await socket.frame("cf_agent_state"))["state"] == {"n": 2}
            counter = await get_agent_by_name(Counter, "x")
            assert await counter.add(2) == 4

| to | look in |
|---|---|
| move time | `clock.py` |
| run agents in memory and talk to them | `agents.py` |
| have a model that says what the test wants | `scripted_model.py` |
| test a model provider | `model_contract.py` (needs pytest and pytest-asyncio) |
| stand in for a vendor's server | `vendor.py` |
"""

from __future__ import annotations

from edgeagents.testing.agents import TestSocket, agent_runtime, connect
from edgeagents.testing.clock import ManualClock, settle
from edgeagents.testing.scripted_model import Answer, ScriptedModel, call_tool, think

__all__ = [
    "Answer",
    "ManualClock",
    "ScriptedModel",
    "TestSocket",
    "agent_runtime",
    "call_tool",
    "connect",
    "settle",
    "think",
]
