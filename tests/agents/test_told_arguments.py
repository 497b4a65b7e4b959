"""Errors name an agent's options as Python spells them, and the agent whose client was refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from edgeagents import Agent
from edgeagents.agents.retries import RetryOptions
from edgeagents.errors import AgentError
from edgeagents.testing import agent_runtime, connect


class Strict(Agent):
    initial_state = {"n": 0}

    def validate_state_change(self, next_state: Any, source: Any) -> None:
        if source != "server":
            raise ValueError("never")

    async def plan_naively(self) -> None:
        await self.schedule(datetime(2030, 1, 1), "ring")

    async def ring(self) -> None:
        self.broadcast("ring")


def test_a_refused_retry_names_pythons_options() -> None:
    with pytest.raises(AgentError) as raised:
        RetryOptions(max_attempts=0).check()
    assert raised.value.__notes__ == ["In Python the options are max_attempts, base_delay_ms and max_delay_ms."]


async def test_a_time_without_a_zone_is_not_guessed_at() -> None:
    async with agent_runtime(Strict) as runtime:
        with pytest.raises(AgentError, match="takes a datetime with a time zone"):
            await runtime.namespaces["Strict"].get_by_name("x").plan_naively()


async def test_the_log_names_the_agent_whose_state_was_not_changed(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(Strict) as runtime:
        client = await connect(runtime, "/agents/strict/ann")
        client.send('{"type": "cf_agent_state", "state": {"n": 1}}')
        await client.frame("cf_agent_state_error")
    assert "Strict 'ann': the state sent by" in caplog.text
