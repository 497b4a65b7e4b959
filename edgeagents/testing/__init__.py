"""What tests of agents need: a clock that is moved by hand, a runtime in memory, a socket without a network.

async with agent_runtime(Counter) as runtime:
    socket = await connect(runtime, "/agents/counter/x")
    socket.send('{"type": "rpc", "id": "1", "method": "add", "args": [2]}')
    assert json.loads(await socket.receive())["result"] == 2

| to | look in |
|---|---|
| move time | `clock.py` |
| run agents in memory and talk to them | `agents.py` |
| test a model provider | `model_contract.py` (needs pytest and pytest-asyncio) |
| stand in for a vendor's server | `vendor.py` |
"""

from __future__ import annotations

from edgeagents.testing.agents import TestSocket, agent_runtime, connect
from edgeagents.testing.clock import ManualClock, settle

__all__ = ["ManualClock", "TestSocket", "agent_runtime", "connect", "settle"]
