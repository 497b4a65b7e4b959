"""How long a question waits, by a clock that the test moves: five minutes are too long to sit through."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from typing import Any

import pytest
from edgeagents_mcp import plugin

from edgeagents.testing import ManualClock, agent_runtime, connect
from plugins.mcp.tests.loopback import Frames, until

from .servers import asking, pushing

ENTRY = Path(__file__).parents[1] / "src" / "entry.py"


def questions(tab: Frames) -> list[Any]:
    return [frame for frame in tab.seen if frame["type"] == "mcp-elicitation"]


@pytest.mark.parametrize("asker", [asking, pushing], ids=["stateless", "pushed"])
async def test_a_question_that_nobody_answers_is_cancelled_after_five_minutes(asker: Any) -> None:
    my_agent, clock = runpy.run_path(str(ENTRY))["MyAgent"], ManualClock()
    async with asker() as url, agent_runtime(my_agent, plugins=[plugin], clock=clock) as runtime:
        tab = Frames(await connect(runtime, "/agents/my-agent/a"))
        await tab.call("addServer", "server", url)
        mcp = next(frame["mcp"] for frame in reversed(tab.seen) if frame["type"] == "cf_agent_mcp_servers")
        call = asyncio.create_task(tab.call("callTool", *mcp["servers"], "book", {}))
        (question,) = await until(lambda: questions(tab), "the question")
        await clock.advance(5 * 60 - 1)
        assert not call.done()
        await clock.advance(1)
        answer = await call
        late = await tab.call("respondToElicitation", question["id"], {"action": "accept", "content": {"guests": 1}})

    assert answer["result"]["content"][0]["text"] == "cancel"
    assert late["success"] is True
