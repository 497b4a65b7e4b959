"""Schedules: an agent's methods called at a time, after a while, by a cron expression and again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from edgeagents.agents import Agent, Schedule, get_agent_by_name
from edgeagents.errors import ConfigError
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare("Background work", "schedules: kinds, idempotency, errors, figures", "same")

START = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Planner(Agent):
    """Notes what is called when; the test tells it what to schedule and how calls end."""

    called: list[Any] = []
    fails: int = 0
    held: asyncio.Event | None = None

    async def plan(self, when: Any, callback: Any = "remind", payload: Any = None, **options: Any) -> dict[str, Any]:
        return asdict(await self.schedule(when, callback, payload, **options))

    async def plan_every(self, seconds: Any, payload: Any = None, callback: Any = "remind", **options: Any) -> Any:
        return asdict(await self.schedule_every(seconds, callback, payload, **options))

    async def plan_method(self) -> str:
        return (await self.schedule(1, self.remind, "by method")).callback

    async def plan_function(self) -> None:
        await self.schedule(1, len)

    def plan_from_thread(self) -> str:
        return async_to_sync(self.schedule)(1, "remind", "from a thread").id

    async def planned(self, **criteria: Any) -> list[dict[str, Any]]:
        assert await self.list_schedules(criteria) == self.get_schedules(criteria)
        return [asdict(schedule) for schedule in self.get_schedules(criteria)]

    async def find(self, id: str) -> dict[str, Any] | None:
        schedule = self.get_schedule(id)
        assert schedule == await self.get_schedule_by_id(id)
        return None if schedule is None else asdict(schedule)

    async def cancel(self, id: str) -> bool:
        return await self.cancel_schedule(id)

    async def remind(self, payload: Any, schedule: Schedule) -> None:
        cls = type(self)
        cls.called.append([(self.ctx.clock.now() - START).total_seconds(), payload])
        if cls.held is not None:
            await cls.held.wait()
        if cls.fails:
            cls.fails -= 1
            raise ValueError("forgotten")

    async def whole(self, payload: Any, schedule: Schedule) -> None:
        self.called.append(asdict(schedule))

    def without_arguments(self) -> None:
        self.called.append("called")

    async def set_back(self) -> None:
        self.called.append(self.ctx.clock.now())
        clock: Any = self.ctx.clock
        clock.set_now(self.ctx.clock.now() - timedelta(minutes=10))

    async def cancel_itself(self, payload: Any, schedule: Schedule) -> None:
        self.called.append("called")
        await self.cancel_schedule(schedule.id)

    async def on_error(self, error: Exception) -> None:
        self.called.append(str(error))

    async def has_database(self) -> bool:
        return self.ctx.storage.database.exists


class Eager(Planner):
    async def on_start(self) -> None:
        await self.schedule(60, "remind", "again and again")
        await self.schedule(60, "remind", "again and again")
        await self.schedule(60, "without_arguments", idempotent=True)
        await self.schedule("0 * * * *", "remind")


@pytest.fixture
async def clock() -> ManualClock:
    Planner.called, Planner.fails, Planner.held = [], 0, None
    return ManualClock(START)


@pytest.fixture
async def planner(clock: ManualClock) -> AsyncIterator[Any]:
    async with agent_runtime(Planner, clock=clock) as runtime:
        yield await get_agent_by_name(runtime.namespaces["Planner"], "x")


def times() -> list[float]:
    return [round(entry[0], 1) for entry in Planner.called if isinstance(entry, list)]


# Kinds


@pytest.mark.cloudflare(
    "Background work",
    "fields of a `Schedule`",
    "different: `delay_in_seconds` and `interval_seconds` in Python; in JSON all have the same names",
)
async def test_a_number_is_seconds_from_now(planner: Any, clock: ManualClock) -> None:
    schedule = await planner.plan(90, payload={"to": "buy milk"})
    assert schedule == {
        "id": schedule["id"],
        "callback": "remind",
        "payload": {"to": "buy milk"},
        "type": "delayed",
        "time": int(START.timestamp()) + 90,
        "retry": None,
        "delay_in_seconds": 90,
        "cron": None,
        "interval_seconds": None,
    }
    await clock.advance(89)
    assert Planner.called == []
    await clock.advance(2)
    assert Planner.called == [[pytest.approx(90, abs=0.1), {"to": "buy milk"}]]
    assert await planner.planned() == []


async def test_a_length_of_time_is_one_from_now(planner: Any, clock: ManualClock) -> None:
    assert (await planner.plan(timedelta(minutes=2)))["delay_in_seconds"] == 120
    await clock.advance(121)
    assert times() == [120]


async def test_a_datetime_is_that_time(planner: Any, clock: ManualClock) -> None:
    schedule = await planner.plan(NOON)
    assert (schedule["type"], schedule["time"]) == ("scheduled", int(NOON.timestamp()))
    await clock.advance(12 * 3600 + 1)
    assert times() == [12 * 3600]


async def test_a_time_that_has_passed_is_now(planner: Any, clock: ManualClock) -> None:
    await planner.plan(START - timedelta(days=1))
    await clock.advance(0.1)
    assert len(Planner.called) == 1


async def test_a_text_is_a_cron_expression_in_utc(planner: Any, clock: ManualClock) -> None:
    schedule = await planner.plan("30 */6 * * *")
    assert (schedule["type"], schedule["cron"]) == ("cron", "30 */6 * * *")
    await clock.advance(24 * 3600)
    assert times() == [1800, 1800 + 6 * 3600, 1800 + 12 * 3600, 1800 + 18 * 3600]


async def test_an_interval_counts_from_the_end_of_the_last_run(planner: Any, clock: ManualClock) -> None:
    schedule = await planner.plan_every(60, "tick")
    assert (schedule["type"], schedule["interval_seconds"]) == ("interval", 60)
    await clock.advance(61)
    Planner.held = asyncio.Event()
    await clock.advance(60)
    await clock.advance(20)
    Planner.held.set()
    await clock.advance(59)
    assert times() == [60, pytest.approx(120, abs=0.2)]
    await clock.advance(5)
    assert times()[2] == pytest.approx(201, abs=1)


@pytest.mark.cloudflare(
    "Background work",
    "when a delayed schedule is due",
    "different: to the millisecond, never early; the SDK cuts off to the second before",
)
async def test_a_schedule_is_never_early(planner: Any, clock: ManualClock) -> None:
    await clock.advance(0.9)
    await planner.plan(1)
    await clock.advance(0.9)
    assert Planner.called == []
    await clock.advance(0.2)
    assert times() == [1.9]


# Callbacks


async def test_the_callback_gets_its_payload_and_the_schedule(planner: Any, clock: ManualClock) -> None:
    schedule = await planner.plan(1, "whole", [1, 2])
    await clock.advance(2)
    assert Planner.called == [schedule]


async def test_the_callback_may_be_a_plain_method_that_takes_nothing(planner: Any, clock: ManualClock) -> None:
    await planner.plan(1, "without_arguments", "ignored")
    await clock.advance(2)
    while not Planner.called:
        await settle()
    assert Planner.called == ["called"]


async def test_the_callback_may_be_a_method(planner: Any, clock: ManualClock) -> None:
    assert await planner.plan_method() == "remind"
    await clock.advance(2)
    assert Planner.called[0][1] == "by method"


async def test_a_sync_handler_schedules_with_async_to_sync(planner: Any, clock: ManualClock) -> None:
    await planner.plan_from_thread()
    await clock.advance(2)
    assert Planner.called[0][1] == "from a thread"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        pytest.param((1, 5), "Callback must be a string", id="no text"),
        pytest.param(
            (1, "nothing"), 'Unknown scheduled callback "nothing": not registered on this Scheduler', id="no method"
        ),
        pytest.param((None,), r"Invalid schedule type: None\(NoneType\) trying to schedule remind", id="no time"),
        pytest.param((True,), r"Invalid schedule type: True\(bool\) trying to schedule remind", id="a boolean"),
        pytest.param(("* *",), "Invalid cron expression: expected 5 or 6 elements.", id="no cron expression"),
        pytest.param(("0 0 30 2 *",), "No valid next date was found.", id="never"),
    ],
)
async def test_what_cannot_be_scheduled_is_told(planner: Any, args: Any, error: str) -> None:
    with pytest.raises(Exception, match=error):
        await planner.plan(*args)
    assert await planner.has_database() is False


async def test_a_function_is_no_callback(planner: Any) -> None:
    with pytest.raises(Exception, match=r"len\(\) is no method of Planner, so it cannot be found again later"):
        await planner.plan_function()


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (0, "intervalSeconds must be a positive number"),
        (-1, "intervalSeconds must be a positive number"),
        ("60", "intervalSeconds must be a positive number"),
        (float("nan"), "intervalSeconds must be a positive number"),
        (2_592_001, r"intervalSeconds cannot exceed 2592000 seconds \(30 days\)"),
    ],
)
async def test_intervals_have_bounds(planner: Any, seconds: Any, error: str) -> None:
    with pytest.raises(Exception, match=error):
        await planner.plan_every(seconds)


async def test_a_refusal_in_the_words_of_the_sdk_notes_what_python_calls_it(planner: Any) -> None:
    with pytest.raises(Exception, match="intervalSeconds") as interval:
        await planner.plan_every(0)
    with pytest.raises(Exception, match="Unknown scheduled callback") as callback:
        await planner.plan(1, "nothing")

    assert interval.value.__notes__ == ["In Python it is schedule_every(interval_seconds=0, ...)."]
    assert callback.value.__notes__ == ["Planner has no method 'nothing': it is called later by that name."]


async def test_an_interval_of_30_days_is_possible(planner: Any) -> None:
    assert (await planner.plan_every(2_592_000))["interval_seconds"] == 2_592_000


# Failures


async def test_a_failed_call_is_tried_three_times_and_then_told(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    async with agent_runtime(Planner, clock=clock) as runtime:
        runtime.events.subscribe("agents:schedule", lambda event: told.append((event.type, dict(event.payload))))
        planner = await get_agent_by_name(runtime.namespaces["Planner"], "x")
        Planner.fails = 5
        id = (await planner.plan(1))["id"]
        await clock.advance(10)
        assert len(times()) == 3
        assert Planner.called[-1] == "forgotten"
        assert await planner.planned() == []
    named = {"callback": "remind", "id": id}
    assert told == [
        ("schedule:create", named),
        ("schedule:execute", named),
        ("schedule:retry", {**named, "attempt": 2, "max_attempts": 3}),
        ("schedule:retry", {**named, "attempt": 3, "max_attempts": 3}),
        ("schedule:error", {**named, "error": "forgotten", "attempts": 3}),
    ]
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert said.getMessage() == f"Planner 'x': remind() failed 3 times as the schedule {id}"


async def test_a_schedule_may_say_how_often_it_is_tried(planner: Any, clock: ManualClock) -> None:
    Planner.fails = 5
    schedule = await planner.plan(1, retry={"max_attempts": 5})
    assert schedule["retry"] == {"max_attempts": 5, "base_delay_ms": None, "max_delay_ms": None}
    await clock.advance(60)
    assert len(times()) == 5


async def test_the_class_may_say_how_often_schedules_are_tried(clock: ManualClock) -> None:
    class Impatient(Planner):
        options = {"retry": {"max_attempts": 1}}

    Impatient.fails = 5
    async with agent_runtime(Impatient, clock=clock) as runtime:
        planner = await get_agent_by_name(runtime.namespaces["Impatient"], "x")
        await planner.plan(1)
        await clock.advance(60)
    assert len(times()) == 1


def test_options_that_make_no_sense_are_told() -> None:
    with pytest.raises(ConfigError, match=r"Wrong\.options: retry\.maxAttempts must be >= 1"):

        class Wrong(Agent):
            options = {"retry": {"max_attempts": 0}}


@pytest.mark.parametrize("plan", ["plan", "plan_every"])
async def test_retries_that_make_no_sense_are_told(planner: Any, plan: str) -> None:
    with pytest.raises(Exception, match=r"retry\.baseDelayMs must be <= retry\.maxDelayMs"):
        await getattr(planner, plan)(1, retry={"base_delay_ms": 5000})


async def test_what_repeats_goes_on_after_a_failure(planner: Any, clock: ManualClock) -> None:
    Planner.fails = 3
    await planner.plan_every(60)
    await planner.plan("0 * * * *")
    await clock.advance(3650)
    assert Planner.called.count("forgotten") == 1
    assert len(await planner.planned()) == 2
    assert len(times()) >= 60


# One or many


async def test_one_shots_are_many_unless_they_are_idempotent(planner: Any) -> None:
    first = await planner.plan(60, payload=1)
    assert (await planner.plan(60, payload=1))["id"] != first["id"]
    again = await planner.plan(90, payload=1, idempotent=True)
    assert again["id"] in {schedule["id"] for schedule in await planner.planned()}
    assert len(await planner.planned()) == 2
    await planner.plan(60, payload=2, idempotent=True)
    assert len(await planner.planned()) == 3


async def test_recurring_ones_are_one_unless_told_otherwise(planner: Any) -> None:
    first = await planner.plan("0 * * * *", payload={"a": 1, "b": 2})
    assert await planner.plan("0 * * * *", payload={"a": 1, "b": 2}) == first
    await planner.plan("0 * * * *")
    await planner.plan("5 * * * *", payload={"a": 1, "b": 2})
    await planner.plan("0 * * * *", payload={"a": 1, "b": 2}, idempotent=False)
    assert len(await planner.planned(type="cron")) == 4
    every = await planner.plan_every(60, "x")
    assert await planner.plan_every(60, "x") == every
    await planner.plan_every(61, "x")
    await planner.plan_every(60, "y")
    await planner.plan_every(60, "x", idempotent=False)
    assert len(await planner.planned(type="interval")) == 4


async def test_one_shots_of_on_start_are_warned_of_once_a_callback(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_runtime(Eager, clock=clock) as runtime:
        eager = await get_agent_by_name(runtime.namespaces["Eager"], "x")
        await eager.plan(1, "without_arguments")
    warnings = [record.getMessage() for record in caplog.records if "each time it wakes" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("Eager schedules remind() each time it wakes")


# Looking and cancelling


async def test_schedules_are_found_by_id_kind_and_time(planner: Any) -> None:
    late = await planner.plan(300)
    soon = await planner.plan(60)
    every = await planner.plan_every(120)
    assert [each["id"] for each in await planner.planned()] == [soon["id"], every["id"], late["id"]]
    assert await planner.planned(id=late["id"]) == [late]
    assert await planner.planned(type="interval") == [every]
    within = {"start": START + timedelta(seconds=60), "end": START + timedelta(seconds=120)}
    assert await planner.planned(time_range=within) == [soon, every]
    assert await planner.planned(time_range={"start": START + timedelta(seconds=61)}, type="delayed") == [late]
    assert await planner.find(every["id"]) == every
    assert await planner.find("unknown") is None


async def test_a_cancelled_schedule_is_not_called(planner: Any, clock: ManualClock) -> None:
    schedule = await planner.plan(60)
    assert await planner.cancel(schedule["id"]) is True
    assert await planner.cancel(schedule["id"]) is False
    await clock.advance(100)
    assert Planner.called == []


async def test_a_recurring_schedule_may_cancel_itself(planner: Any, clock: ManualClock) -> None:
    await planner.plan_every(10, callback="cancel_itself")
    await clock.advance(60)
    assert Planner.called == ["called"]
    assert await planner.planned() == []


async def test_creation_and_cancelling_are_told(clock: ManualClock) -> None:
    told: list[str] = []
    async with agent_runtime(Planner, clock=clock) as runtime:
        runtime.events.subscribe("agents:schedule", lambda event: told.append(event.type))
        planner = await get_agent_by_name(runtime.namespaces["Planner"], "x")
        schedule = await planner.plan("0 * * * *")
        await planner.plan("0 * * * *")
        await planner.cancel(schedule["id"])
    assert told == ["schedule:create", "schedule:cancel"]


async def test_looking_at_schedules_makes_no_database(planner: Any) -> None:
    assert await planner.planned() == []
    assert await planner.cancel("unknown") is False
    assert await planner.has_database() is False


# Restarts and the clock


async def test_schedules_survive_a_restart_and_missed_runs_are_one(tmp_path: Path, clock: ManualClock) -> None:
    def runtime() -> Any:
        return agent_runtime(Planner, clock=clock, storage=tmp_path, durability="normal")

    async with runtime() as first:
        planner = await get_agent_by_name(first.namespaces["Planner"], "x")
        await planner.plan("0 * * * *", payload="hourly")
        await planner.plan_every(600, "ten minutes")
        await planner.plan(1800, payload="once")
    await clock.advance(5 * 3600 + 100)
    async with runtime() as second:
        await clock.advance(1)
        while len(Planner.called) < 3:
            await settle()
        planner = await get_agent_by_name(second.namespaces["Planner"], "x")
        due = [(each["payload"], each["time"] - int(START.timestamp())) for each in await planner.planned()]
    assert sorted(payload for _, payload in Planner.called) == ["hourly", "once", "ten minutes"]
    assert due == [("ten minutes", 5 * 3600 + 700), ("hourly", 6 * 3600)]


async def test_a_clock_that_is_set_back_does_not_run_a_cron_schedule_twice(planner: Any, clock: ManualClock) -> None:
    await planner.plan("0 12 * * *", "set_back")
    clock.set_now(NOON - timedelta(seconds=5))
    await clock.advance(3600)
    assert len(Planner.called) == 1
    assert NOON <= Planner.called[0] < NOON + timedelta(minutes=1)


async def test_a_clock_that_is_set_forward_runs_what_was_passed_over_once(planner: Any, clock: ManualClock) -> None:
    await planner.plan("0 * * * *")
    clock.set_now(START + timedelta(hours=10, minutes=30))
    await clock.advance(61)
    assert len(Planner.called) == 1
    await clock.advance(1800)
    assert len(Planner.called) == 2
