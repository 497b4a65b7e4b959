"""A sentence becomes a schedule: the prompt, the schema, and what ``schedule`` takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edgeagents.agents import Agent, ParsedSchedule, get_agent_by_name, get_schedule_prompt, when_of
from edgeagents.testing import ManualClock, ScriptedModel, agent_runtime

pytestmark = pytest.mark.cloudflare(
    "Background work",
    "`scheduleSchema` and `getSchedulePrompt` as `ParsedSchedule` and `get_schedule_prompt`",
    "different: `delay_in_seconds`, and a prompt of our own; `when_of` gives what `schedule` takes",
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Secretary(Agent):
    async def note(self, text: str) -> dict[str, Any] | None:
        told = f"{get_schedule_prompt(NOW)}\n\n{text}"
        parsed = (await self.generate_object(model="scripted:m", schema=ParsedSchedule, prompt=told)).object
        when = when_of(parsed)
        if when is None:
            return None
        schedule = await self.schedule(when, "remind", parsed["description"])
        return {"type": schedule.type, "payload": schedule.payload}

    async def remind(self, what: str) -> None:
        self.broadcast(what)


@pytest.mark.parametrize(
    ("when", "type"),
    [
        ({"type": "scheduled", "date": "2026-03-03T09:00:00+00:00"}, "scheduled"),
        ({"type": "delayed", "delay_in_seconds": 600}, "delayed"),
        ({"type": "cron", "cron": "0 9 * * 1"}, "cron"),
    ],
)
async def test_a_sentence_becomes_a_schedule(when: dict[str, Any], type: str) -> None:
    model = ScriptedModel([{"description": "call mum", "when": when}])
    async with agent_runtime(Secretary, plugins=[model], clock=ManualClock(NOW)):
        secretary = await get_agent_by_name(Secretary, "a")
        assert await secretary.note("Call mum some time") == {"type": type, "payload": "call mum"}
    assert "It is Monday, 2026-03-02T09:00:00+00:00." in model.requests[0].messages[-1].text
    assert model.requests[0].messages[-1].text.endswith("Call mum some time")


async def test_a_sentence_without_a_time_is_no_schedule() -> None:
    model = ScriptedModel([{"description": "call mum", "when": {"type": "no-schedule"}}])
    async with agent_runtime(Secretary, plugins=[model]):
        assert await (await get_agent_by_name(Secretary, "a")).note("Call mum") is None


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        get_schedule_prompt(datetime(2026, 3, 2))
    with pytest.raises(ValueError, match="which zone"):
        when_of({"description": "x", "when": {"type": "scheduled", "date": "2026-03-02T09:00:00"}})
