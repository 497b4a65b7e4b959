"""The code in chat's README runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import edgeagents.agents.chat
from edgeagents.testing import ManualClock, agent_runtime
from tests.agents.chat.talk import ask, hear_turn, tab, text_of, user

README = (Path(edgeagents.agents.chat.__file__).parent / "README.md").read_text()


async def test_the_example_answers() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    clock = ManualClock()
    async with agent_runtime(names["Chat"], clock=clock) as runtime:
        a = await tab(runtime, "A", "/agents/chat/x")
        ask(a, "r1", user("u1", "hello"))
        await clock.advance(60)
        assert text_of(await hear_turn(a, "r1"))


def test_what_the_readme_names_is_there() -> None:
    table = README.split("## Where to look")[1].split("## What you can")[0]
    names = [name for name in re.findall(r"`([a-z_]+)`", table) if "_" in name and name not in ("stream_text",)]
    options = {"body", "client_tools", "abort_signal", "continuation", "request_id"}
    assert [name for name in names if not hasattr(edgeagents.AIChatAgent, name) and name not in options] == []
