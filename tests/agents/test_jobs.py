"""The job table: what capabilities do later, in order, at least once, across restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgeagents.agents import Agent, Capability, get_agent_by_name, get_current_agent
from edgeagents.agents.jobs import Job
from edgeagents.agents.retries import RetryOptions
from edgeagents.errors import AgentError, ObjectReset
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare(
    "Background work",
    "jobs: order, attempts, dead-man alarm, backlog and slowness, table `cf_agents_jobs`",
    "same; a run of 15 minutes is stopped, and after a crash nothing waits out the hung timeout",
)

START = datetime(2026, 1, 1, tzinfo=UTC)


class Postman(Capability):
    """Delivers what the test tells it to, and lets the test fail or hold up a delivery."""

    name = "postman"

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        host.jobs.on("postman", "deliver", self.deliver)
        host.jobs.on("postman", "carefully", self.deliver, failed=self.failed)

    def later(
        self, seconds: float, payload: Any = None, *, fn: str = "deliver", retry: Any = None, **options: Any
    ) -> str:
        due = self.host.ctx.clock.now() + timedelta(seconds=seconds)
        return self.host.jobs.push("postman", fn, payload, due=due, retry=RetryOptions.of(retry), **options).id

    async def deliver(self, job: Job) -> datetime | None:
        return await self.host.call("on_delivery", job)

    async def failed(self, job: Job, error: Exception) -> datetime | None:
        return await self.host.call("on_failure", job, error)


class House(Agent):
    capability_types = (Postman,)
    postman: Postman

    delivered: list[Any] = []
    resets = 1
    held = asyncio.Event()

    async def on_delivery(self, job: Job) -> datetime | None:
        self.delivered.append(job.payload)
        match job.payload:
            case "hold":
                await type(self).held.wait()
            case "again":
                return self.ctx.clock.now() + timedelta(seconds=60) if self.delivered.count("again") < 3 else None
            case "fail":
                raise ValueError("nobody home")
            case "fail once" if self.delivered.count("fail once") == 1:
                raise ValueError("nobody home")
            case "replace me":
                self.postman.later(60, "replaced", id=job.id)
            case "reset elsewhere" if self.delivered.count("reset elsewhere") <= self.resets:
                error = ObjectReset("Another agent was reset.")
                error.retryable = True
                raise error
            case "whose":
                current = get_current_agent()
                self.delivered.append([current.agent is self, current.connection, current.request])
            case "abort":
                self.ctx.abort("on purpose")
        return None

    async def on_failure(self, job: Job, error: Exception) -> datetime | None:
        self.delivered.append([str(error), job.attempt])
        return None

    async def push(self, *args: Any, **options: Any) -> str:
        return self.postman.later(*args, **options)

    def push_from_thread(self, *args: Any) -> str:
        return self.postman.later(*args)

    async def waiting(self) -> list[Any]:
        return [job.payload for job in self.postman.host.jobs.list("postman")]

    async def drop(self, id: str) -> bool:
        return self.postman.host.jobs.remove("postman", id)

    async def others(self, id: str) -> None:
        self.postman.host.jobs.push("somebody else", "deliver", due=self.ctx.clock.now(), id=id)

    async def run_sql(self, statement: str) -> list[dict[str, Any]]:
        return self.sql(statement)

    async def rows(self) -> list[dict[str, Any]]:
        return self.sql("select * from cf_agents_jobs order by time, id")

    async def alarm_at(self) -> float | None:
        alarm = await self.ctx.storage.get_alarm()
        return None if alarm is None else (alarm - START).total_seconds()

    async def forget_all(self) -> None:
        await self.ctx.storage.delete_all()

    async def has_database(self) -> bool:
        return self.ctx.storage.database.exists


@pytest.fixture
async def clock() -> ManualClock:
    House.delivered = []
    House.held = asyncio.Event()
    return ManualClock()


@pytest.fixture
async def house(clock: ManualClock) -> AsyncIterator[Any]:
    async with agent_runtime(House, clock=clock) as runtime:
        yield await get_agent_by_name(runtime.namespaces["House"], "x")


def on_disk(path: Path, clock: ManualClock) -> Runtime:
    return agent_runtime(House, clock=clock, storage=path, durability="normal")


async def house_of(runtime: Runtime) -> Any:
    return await get_agent_by_name(runtime.namespaces["House"], "x")


# Time and order


async def test_jobs_run_when_they_are_due_in_the_order_of_time(house: Any, clock: ManualClock) -> None:
    await house.push(30, "third")
    await house.push(10, "first")
    await house.push(20, "second")
    await clock.advance(9.9)
    assert House.delivered == []
    await clock.advance(10.2)
    assert House.delivered == ["first", "second"]
    await clock.advance(10)
    assert House.delivered == ["first", "second", "third"]
    assert await house.waiting() == []


async def test_what_is_overdue_runs_at_once(house: Any, clock: ManualClock) -> None:
    await house.push(-3600, "late")
    await clock.advance(0.001)
    assert House.delivered == ["late"]


async def test_one_job_runs_at_a_time(house: Any, clock: ManualClock) -> None:
    await house.push(1, "hold")
    await house.push(1, "next")
    await clock.advance(5)
    assert House.delivered == ["hold"]
    House.held.set()
    await settle()
    assert House.delivered == ["hold", "next"]


async def test_the_alarm_is_the_earliest_job(house: Any, clock: ManualClock) -> None:
    late = await house.push(60)
    assert await house.alarm_at() == 60
    early = await house.push(10)
    assert await house.alarm_at() == 10
    await house.drop(early)
    assert await house.alarm_at() == 60
    await house.drop(late)
    assert await house.alarm_at() is None


async def test_a_job_that_names_a_time_runs_again_then(house: Any, clock: ManualClock) -> None:
    await house.push(1, "again")
    await clock.advance(30)
    assert await house.alarm_at() == pytest.approx(61, abs=0.1)
    await clock.advance(120)
    assert House.delivered == ["again"] * 3
    assert await house.waiting() == []


async def test_a_job_is_pushed_from_a_thread_too(house: Any, clock: ManualClock) -> None:
    await house.push_from_thread(1, "by hand")
    await clock.advance(2)
    assert House.delivered == ["by hand"]


async def test_a_clock_that_is_set_forward_makes_jobs_due(house: Any, clock: ManualClock) -> None:
    await house.push(3600, "later")
    clock.set_now(START + timedelta(days=1))
    await clock.advance(60)
    assert House.delivered == ["later"]


async def test_jobs_run_as_the_agent_alone(house: Any, clock: ManualClock) -> None:
    await house.push(1, "whose")
    await clock.advance(2)
    assert House.delivered == ["whose", [True, None, None]]


# Ids


async def test_a_job_with_the_same_id_replaces_the_one_that_waits(house: Any, clock: ManualClock) -> None:
    await house.push(10, "old", id="letter")
    await house.push(20, "new", id="letter")
    await clock.advance(30)
    assert House.delivered == ["new"]


async def test_a_job_pushed_anew_by_its_own_run_stays(house: Any, clock: ManualClock) -> None:
    await house.push(1, "replace me", id="letter")
    await clock.advance(2)
    assert await house.waiting() == ["replaced"]
    await clock.advance(60)
    assert House.delivered == ["replace me", "replaced"]


async def test_an_id_belongs_to_its_capability(house: Any) -> None:
    await house.push(10, "mine", id="letter")
    with pytest.raises(AgentError, match="'letter' belongs to another capability than 'somebody else'"):
        await house.others("letter")
    assert await house.waiting() == ["mine"]


async def test_a_payload_must_be_json(house: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        await house.push(10, {1, 2})
    assert await house.waiting() == []


async def test_removing_what_is_not_there_tells_so(house: Any) -> None:
    assert await house.drop("nothing") is False
    assert await house.has_database() is False


# Failures


async def test_a_failed_job_is_tried_three_times(house: Any, clock: ManualClock) -> None:
    await house.push(1, "fail", fn="carefully")
    await clock.advance(10)
    assert House.delivered == ["fail", "fail", "fail", ["nobody home", 1]]
    assert await house.waiting() == []


async def test_a_job_says_how_often_it_is_tried(house: Any, clock: ManualClock) -> None:
    await house.push(1, "fail", fn="carefully", retry={"max_attempts": 1})
    await clock.advance(10)
    assert House.delivered == ["fail", ["nobody home", 1]]


async def test_what_succeeds_in_the_end_is_done(house: Any, clock: ManualClock) -> None:
    await house.push(1, "fail once", fn="carefully")
    await clock.advance(10)
    assert House.delivered == ["fail once", "fail once"]


async def test_a_failure_that_nobody_hears_of_is_logged(
    house: Any, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    id = await house.push(1, "fail")
    await clock.advance(10)
    assert f"The job postman/deliver {id} failed and was dropped." in caplog.text
    assert "nobody home" in caplog.text


async def test_a_failure_does_not_hold_up_the_next(house: Any, clock: ManualClock) -> None:
    await house.push(1, "fail")
    await house.push(2, "fine")
    await clock.advance(20)
    assert House.delivered[-1] == "fine"


async def test_another_agents_reset_puts_off_the_job_and_not_those_behind_it(house: Any, clock: ManualClock) -> None:
    await house.push(1, "reset elsewhere", retry={"max_attempts": 1})
    await house.push(2, "behind")
    await clock.advance(20)
    assert House.delivered == ["reset elsewhere", "behind"]
    await clock.advance(20)
    assert House.delivered == ["reset elsewhere", "behind", "reset elsewhere"]


async def test_a_job_is_put_off_ever_longer_and_not_for_ever(
    house: Any, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(House, "resets", 1000)
    await house.push(1, "reset elsewhere", retry={"max_attempts": 1})
    runs: list[int] = []
    for _ in range(12):
        await clock.advance(1)
        runs.append(House.delivered.count("reset elsewhere"))
        await clock.advance(29)
    # After 30 s, 60 s, 120 s.
    assert runs == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]
    for _ in range(10):
        await clock.advance(15 * 60)
    assert House.delivered.count("reset elsewhere") == 11
    assert await house.waiting() == []


async def test_how_often_a_job_was_put_off_is_known_after_a_restart(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(House, "resets", 1000)
    async with on_disk(tmp_path, clock) as runtime:
        await (await house_of(runtime)).push(1, "reset elsewhere", retry={"max_attempts": 1})
        await clock.advance(2)
        assert "is tried again in 30 s" in caplog.text
    async with on_disk(tmp_path, clock) as runtime:
        await (await house_of(runtime)).waiting()
        await clock.advance(31)
        while len(House.delivered) < 2:
            await settle()
        await settle()
        assert "is tried again in 60 s" in caplog.text


async def test_a_job_that_is_put_anew_is_not_put_off(house: Any, clock: ManualClock) -> None:
    id = await house.push(1, "reset elsewhere", retry={"max_attempts": 1})
    await clock.advance(2)
    await house.push(1, "anew", id=id)
    await clock.advance(2)
    assert House.delivered == ["reset elsewhere", "anew"]


async def test_a_job_without_a_handler_is_dropped(
    house: Any, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await house.push(1, "to whom", fn="unknown")
    await clock.advance(2)
    assert "Nothing here does the job postman/unknown" in caplog.text
    assert await house.waiting() == []


async def test_a_job_that_hangs_is_stopped_after_a_quarter_of_an_hour(
    house: Any, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await house.push(1, "hold")
    await house.push(2, "behind")
    await clock.advance(14 * 60)
    assert House.delivered == ["hold"]
    await clock.advance(2 * 60)
    assert House.delivered == ["hold", "behind"]
    assert "It ran for 15 minutes and was stopped." in caplog.text


# Telling


async def test_slow_jobs_and_backlogs_are_told(clock: ManualClock) -> None:
    async with agent_runtime(House, clock=clock) as runtime:
        told: list[Any] = []
        runtime.events.subscribe("agents:schedule", lambda event: told.append((event.type, dict(event.payload))))
        house = await house_of(runtime)
        id = await house.push(1, "hold", hung_timeout_seconds=5)
        await clock.advance(5)
        assert told == []
        await clock.advance(2)
        slow = {"capability": "postman", "fn": "deliver", "id": id, "threshold_ms": 5000}
        assert told == [("job:slow_dispatch", slow)]
        for _ in range(10):
            await house.push(0, "one of ten")
        House.held.set()
        await clock.advance(1)
        assert told[1:] == [("job:backlog_warning", {"capability": "postman", "count": 10})]


# Restarts


async def test_jobs_survive_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    async with on_disk(tmp_path, clock) as runtime:
        await (await house_of(runtime)).push(60, {"for": ["you", 1.5, None]})
    async with on_disk(tmp_path, clock) as runtime:
        await clock.advance(61)
        while not House.delivered:
            await settle()
    assert House.delivered == [{"for": ["you", 1.5, None]}]


async def test_a_job_cut_by_a_stop_runs_again_at_once(tmp_path: Path, clock: ManualClock) -> None:
    async with on_disk(tmp_path, clock) as runtime:
        await (await house_of(runtime)).push(1, "hold")
        await clock.advance(2)
        assert House.delivered == ["hold"]
    House.held.set()
    async with on_disk(tmp_path, clock) as runtime:
        await clock.advance(1)
        while len(House.delivered) < 2:
            await settle()
        assert await (await house_of(runtime)).waiting() == []
    assert House.delivered == ["hold", "hold"]


async def test_a_job_that_resets_its_agent_runs_again_in_half_a_minute(house: Any, clock: ManualClock) -> None:
    await house.push(1, "abort")
    await clock.advance(29)
    assert House.delivered == ["abort"]
    await clock.advance(4)
    assert House.delivered == ["abort", "abort"]


@pytest.mark.cloudflare(
    "Background work",
    "memory-limit strikes of recovery loops",
    "different: a strike is a process that ended while the job ran; there is no limit of 128 MB",
)
async def test_a_recovery_loop_that_ends_its_agent_is_delayed_and_then_sealed(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_runtime(House, clock=clock) as runtime:
        told: list[Any] = []
        runtime.events.subscribe("agents:schedule", lambda event: told.append(dict(event.payload)))
        house = await house_of(runtime)
        await house.push(1, "abort", recovery_loop=True)
        await house.push(500, "of the same loop", recovery_loop=True)
        await house.push(600, "something else")
        await clock.advance(400)
        assert House.delivered == ["abort"] * 3
        assert [(event["strikes"], event["limit"], event["sealed"]) for event in told] == [
            (1, 3, False),
            (2, 3, False),
            (3, 3, True),
        ]
        await clock.advance(300)
        assert House.delivered == ["abort"] * 3 + ["something else"]


async def test_an_agent_without_jobs_has_no_database(house: Any) -> None:
    assert await house.waiting() == []
    assert await house.has_database() is False


async def test_delete_all_takes_the_jobs_and_more_can_be_pushed(house: Any, clock: ManualClock) -> None:
    await house.push(10, "gone")
    await house.forget_all()
    assert await house.waiting() == []
    await house.push(20, "there")
    await clock.advance(30)
    assert House.delivered == ["there"]


async def test_the_table_is_the_typescript_sdks(house: Any, clock: ManualClock) -> None:
    await clock.advance(5)
    await house.push(10, {"n": 1}, id="a", retry={"max_attempts": 5, "base_delay_ms": 50}, singleflight=True)
    assert await house.rows() == [
        {
            "id": "a",
            "capability": "postman",
            "fn": "deliver",
            "time": (int(START.timestamp()) + 15) * 1000,
            "payload": '{"n":1}',
            "retry_options": json.dumps({"maxAttempts": 5, "baseDelayMs": 50}),
            "singleflight": 1,
            "hung_timeout_seconds": None,
            "exclusive": 0,
            "recovery_loop": 0,
            "running": 0,
            "execution_started_at": None,
            "created_at": int(START.timestamp()) + 5,
        }
    ]


async def test_a_table_without_an_index_gets_one(tmp_path: Path, clock: ManualClock) -> None:
    async with agent_runtime(House, clock=clock, storage=tmp_path, durability="normal") as runtime:
        house: Any = await get_agent_by_name(runtime.namespaces["House"], "x")
        await house.push(10, "old", id="a")
        await house.run_sql("drop index cf_agents_jobs_next")
    async with agent_runtime(House, clock=clock, storage=tmp_path, durability="normal") as runtime:
        house = await get_agent_by_name(runtime.namespaces["House"], "x")
        await house.push(20, "new", id="b")
        assert await house.run_sql("select name from sqlite_master where name like 'cf_agents_jobs_n%'")
        assert await house.waiting() == ["old", "new"]


async def test_while_an_exclusive_job_waits_no_other_runs(house: Any, clock: ManualClock) -> None:
    await house.push(1, "ordinary")
    await house.push(10, "exclusive", exclusive=True)
    await clock.advance(5)
    assert House.delivered == []
    await clock.advance(6)
    assert House.delivered == ["exclusive", "ordinary"]


# The agent's own alarm


class Sleeper(House):
    rung: list[float] = []

    async def on_alarm(self) -> None:
        self.rung.append((self.ctx.clock.now() - START).total_seconds())
        if self.rung.count(-1.0):
            raise ValueError("I will not wake")

    async def set_own(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(self.ctx.clock.now() + timedelta(seconds=seconds))

    async def delete_own(self) -> None:
        await self.ctx.storage.delete_alarm()


@pytest.fixture
async def sleeper(clock: ManualClock) -> AsyncIterator[Any]:
    Sleeper.rung = []
    async with agent_runtime(Sleeper, clock=clock) as runtime:
        yield await get_agent_by_name(runtime.namespaces["Sleeper"], "x")


async def test_on_alarm_runs_with_each_alarm(sleeper: Any, clock: ManualClock) -> None:
    await sleeper.push(10, "a job")
    await clock.advance(20)
    assert (House.delivered, Sleeper.rung) == (["a job"], [pytest.approx(10, abs=0.1)])


@pytest.mark.cloudflare(
    "Background work",
    "`ctx.storage.setAlarm` in an agent with schedules",
    "different: both are kept, where the SDK's jobs replace an alarm of the agent's own",
)
async def test_an_own_alarm_outlives_jobs_that_are_due_before(sleeper: Any, clock: ManualClock) -> None:
    await sleeper.set_own(60)
    await sleeper.push(10, "a job")
    await clock.advance(70)
    assert (House.delivered, Sleeper.rung) == (["a job"], [pytest.approx(10, abs=0.1), pytest.approx(60, abs=0.1)])


async def test_jobs_outlive_an_own_alarm_that_is_set_after_them(sleeper: Any, clock: ManualClock) -> None:
    await sleeper.push(10, "a job")
    await sleeper.set_own(60)
    await clock.advance(11)
    assert House.delivered == ["a job"]
    await sleeper.delete_own()
    await sleeper.push(90, "another")
    await clock.advance(100)
    assert House.delivered == ["a job", "another"]
    assert Sleeper.rung == [pytest.approx(10, abs=0.1), pytest.approx(101, abs=0.1)]


async def test_jobs_go_on_while_on_alarm_fails(sleeper: Any, clock: ManualClock) -> None:
    Sleeper.rung = [-1.0]
    await sleeper.push(10, "a job")
    await sleeper.push(1000, "another")
    await clock.advance(1100)
    assert House.delivered == ["a job", "another"]
