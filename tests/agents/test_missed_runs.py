"""Runs whose time came while nothing could run, and clocks: what the policies ``once``, ``all`` and ``skip`` do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edgeagents.agents import Agent, Schedule, get_agent_by_name
from edgeagents.agents.cron import latest_runs, next_run
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare(
    "Background work",
    "runs of cron and interval schedules that were missed",
    'same: one for all of them; `missed="all"` and `missed="skip"` are our own',
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600


class Diary(Agent):
    """Notes for which time it was called, and when."""

    called: list[tuple[int, int]] = []

    async def plan(self, when: Any, **options: Any) -> Schedule:
        return await self.schedule(when, "note", **options)

    async def plan_every(self, seconds: float, **options: Any) -> Schedule:
        return await self.schedule_every(seconds, "note", **options)

    async def note(self, payload: Any, schedule: Schedule) -> None:
        now = self.ctx.clock.now()
        self.called.append((schedule.time - int(START.timestamp()), int((now - START).total_seconds())))


@pytest.fixture
def clock() -> ManualClock:
    Diary.called = []
    return ManualClock(START)


def running(folder: Path, clock: ManualClock) -> Any:
    return agent_runtime(Diary, clock=clock, storage=folder, durability="normal")


async def diary(runtime: Runtime) -> Any:
    return await get_agent_by_name(runtime.namespaces["Diary"], "d")


def hours(calls: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(round(due / HOUR, 2), round(at / HOUR, 2)) for due, at in calls]


PLANS: dict[str, Any] = {
    "cron": lambda diary, missed: diary.plan("0 * * * *", missed=missed),
    "interval": lambda diary, missed: diary.plan_every(HOUR, missed=missed),
}
# For which hour it was called, and at which: five and a half hours nothing ran, then the clock went on to hour 7.
CALLS: dict[tuple[str, str], list[tuple[float, float]]] = {
    ("cron", "once"): [(1, 5.5), (6, 6), (7, 7)],
    ("cron", "all"): [(1, 5.5), (2, 5.5), (3, 5.5), (4, 5.5), (5, 5.5), (6, 6), (7, 7)],
    ("cron", "skip"): [(6, 6), (7, 7)],
    ("interval", "once"): [(1, 5.5), (6.5, 6.5)],
    ("interval", "all"): [(1, 5.5), (2, 5.5), (3, 5.5), (4, 5.5), (5, 5.5), (6, 6), (7, 7)],
    ("interval", "skip"): [(6.5, 6.5)],
}


@pytest.mark.parametrize(("kind", "missed"), CALLS)
async def test_what_was_missed(tmp_path: Path, clock: ManualClock, kind: str, missed: str) -> None:
    async with running(tmp_path, clock) as runtime:
        await PLANS[kind](await diary(runtime), missed)
    await clock.advance(5.5 * HOUR)
    async with running(tmp_path, clock) as runtime:
        for _ in range(200):
            await clock.advance(0.01)
        await clock.advance(1.5 * HOUR)
    assert hours(Diary.called) == CALLS[kind, missed]


@pytest.mark.parametrize(("seconds", "calls"), [(59, 1), (62, 0)])
async def test_a_minute_late_is_not_missed(tmp_path: Path, clock: ManualClock, seconds: float, calls: int) -> None:
    async with running(tmp_path, clock) as runtime:
        await (await diary(runtime)).plan("0 1 * * *", missed="skip")
    await clock.advance(HOUR + seconds)
    async with running(tmp_path, clock):
        await clock.advance(1)
    assert len(Diary.called) == calls


@pytest.mark.parametrize(
    "plan", [lambda d: d.plan("* * * * * *", missed="all"), lambda d: d.plan_every(1, missed="all")]
)
async def test_no_more_than_a_thousand_are_made_up_for(clock: ManualClock, plan: Any) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        await plan(await diary(runtime))
        clock.set_now(START + timedelta(days=1))
        await clock.advance(61)
    times = [due for due, _ in Diary.called]
    assert times == list(range(times[0], times[-1] + 1))
    assert 24 * HOUR - times[0] in (998, 999, 1000)
    assert 24 * HOUR <= times[-1] <= 24 * HOUR + 61


@pytest.mark.parametrize(
    ("expression", "days"), [("* * * * * *", 3), ("*/7 3 * 1-5 mon", 3000), ("0 9 * * *", 1500), ("* * * * 1 *", 150)]
)
def test_the_last_thousand_are_found_however_far_apart(expression: str, days: int) -> None:
    first, until = next_run(expression, START), START + timedelta(days=days)
    found = latest_runs(expression, first, until, 1000)
    count, at = 1, found
    while (at := next_run(expression, at)) <= until:
        count += 1
    assert count == 1000
    assert latest_runs(expression, found, until, 1000) == found


async def test_another_policy_changes_the_schedule_that_there_is(clock: ManualClock) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        agent = await diary(runtime)
        first = await agent.plan("0 * * * *")
        assert await agent.plan("0 * * * *", missed="skip") == first
        clock.set_now(START + timedelta(hours=5, minutes=30))
        await clock.advance(61)
        assert Diary.called == []
        assert len(await agent.list_schedules()) == 1


@pytest.mark.parametrize(
    ("when", "missed", "fault"),
    [
        ("0 * * * *", "never", "missed is one of 'once', 'all', 'skip', not 'never'"),
        (60, "skip", "missed is for schedules that repeat"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_told(clock: ManualClock, when: Any, missed: str, fault: str) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        with pytest.raises(Exception, match=fault):
            await (await diary(runtime)).plan(when, missed=missed)


# Summer time


@contextmanager
def machine_in(zone: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        yield
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
async def test_cron_is_in_utc_and_knows_no_summer_time(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock, day: datetime
) -> None:
    with machine_in("Europe/Berlin", monkeypatch):
        clock.set_now(day - timedelta(days=1))
        async with agent_runtime(Diary, clock=clock) as runtime:
            await (await diary(runtime)).plan("30 1 * * *")
            await clock.advance(3 * 24 * HOUR)
    offset = int((day - START).total_seconds())
    # Half past one: an hour that there is not in Berlin in spring, and twice in autumn.
    assert [due - offset for due, _ in Diary.called] == [h * HOUR + 1800 for h in (-23, 1, 25)]


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        (datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 2, 30, fold=1), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        (datetime(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)
async def test_a_time_of_a_zone_is_one_moment(clock: ManualClock, local: datetime, utc: datetime) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        made = await (await diary(runtime)).plan(local.replace(tzinfo=ZoneInfo("Europe/Berlin")))
    assert made.due == utc


# Clocks that are set


@pytest.mark.parametrize("back", [timedelta(minutes=30), timedelta(days=400)])
async def test_an_interval_goes_on_when_the_clock_is_set_back(clock: ManualClock, back: timedelta) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        await (await diary(runtime)).plan_every(600)
        await clock.advance(601)
        assert len(Diary.called) == 1
        # It leaves memory meanwhile.
        await clock.advance(60)
        clock.set_now(clock.now() - back)
        await clock.advance(back.total_seconds() + 700 if back < timedelta(hours=3) else 700)
        assert len(Diary.called) >= 2


async def test_a_wait_is_no_longer_when_the_clock_is_set_back(clock: ManualClock) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        await (await diary(runtime)).plan(600)
        await clock.advance(60)
        clock.set_now(clock.now() - timedelta(days=400))
        await clock.advance(700)
    assert len(Diary.called) == 1


async def test_cron_follows_a_clock_that_was_wrong(clock: ManualClock) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        await (await diary(runtime)).plan("0 * * * *")
        clock.set_now(START + timedelta(days=400))
        await clock.advance(61)
        assert len(Diary.called) == 1
        clock.set_now(START + timedelta(minutes=30))
        await clock.advance(61)
        assert len(Diary.called) == 1
        await clock.advance(HOUR)
        assert Diary.called[1:] == [(HOUR, HOUR)]


async def test_everybody_who_waits_hears_of_it(clock: ManualClock) -> None:
    async with agent_runtime(Diary, clock=clock) as runtime:
        agents = [await get_agent_by_name(runtime.namespaces["Diary"], f"d{number}") for number in range(200)]
        for agent in agents:
            await agent.plan_every(600)
        await clock.advance(60)
        clock.set_now(clock.now() - timedelta(days=400))
        await clock.advance(700)
        await settle()
    assert len(Diary.called) == 200
