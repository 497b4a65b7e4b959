"""Fibers: work that stashes how far it is, and of which the agent hears again after the process ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgeagents.agents import Agent, FiberContext, FiberRecovery, get_agent_by_name
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare("Background work", "fibers: `runFiber`, `startFiber`, the ledger, recovery", "same")

START = datetime(2026, 1, 1, tzinfo=UTC)


class Researcher(Agent):
    """Its fibers do what their name says; the test tells it how to recover them."""

    done: list[Any] = []
    recovered: list[FiberRecovery] = []
    answer: Any = None
    fails: int = 0
    held: asyncio.Event

    async def work(self, fiber: FiberContext) -> Any:
        self.done.append(f"began {fiber.name}")
        match fiber.name:
            case "count":
                for step in range(3):
                    self.stash({"step": step})
                    await asyncio.sleep(0)
                return "counted"
            case "fail":
                fiber.stash("almost")
                raise ValueError("no result")
            case "listen":
                fiber.signal.add_listener(lambda: self.done.append(f"heard {fiber.signal.reason}"))
            case _:
                pass
        fiber.stash({"at": fiber.name})
        await type(self).held.wait()
        self.done.append(f"ended {fiber.name}")
        return fiber.id

    def in_thread(self) -> str:
        self.stash("from a thread")
        return "thread"

    async def run(self, name: str) -> Any:
        return await self.run_fiber(name, self.work)

    async def run_in_thread(self) -> Any:
        return await self.run_fiber("thread", self.in_thread)

    async def run_detached(self, name: str) -> None:
        self.ctx.spawn(self.run_fiber(name, self.work), name=name)

    async def run_for(self, name: str, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                await self.run_fiber(name, self.work)
        except TimeoutError:
            return "timed out"
        return "ended"

    async def begin(self, name: str, **options: Any) -> dict[str, Any]:
        return asdict(await self.start_fiber(name, self.work, **options))

    async def cancel(self, id: str, reason: str | None = None) -> bool:
        return await self.cancel_fiber(id, reason)

    async def cancel_key(self, key: str) -> bool:
        return await self.cancel_fiber_by_key(key)

    async def resolve(self, id: str, outcome: Any) -> bool:
        return await self.resolve_fiber(id, outcome)

    async def inspect(self, id: str) -> Any:
        fiber = await self.inspect_fiber(id)
        return None if fiber is None else asdict(fiber)

    async def status(self, id: str) -> Any:
        fiber = await self.inspect_fiber(id)
        return None if fiber is None else [fiber.status, fiber.error, fiber.snapshot, fiber.metadata]

    async def by_key(self, key: str) -> Any:
        fiber = await self.inspect_fiber_by_key(key)
        return None if fiber is None else fiber.fiber_id

    async def listed(self, **criteria: Any) -> list[str]:
        return [fiber.name for fiber in await self.list_fibers(**criteria)]

    async def forget(self, **criteria: Any) -> int:
        return await self.delete_fibers(**criteria)

    async def stash_outside(self) -> None:
        self.stash(1)

    async def runs(self) -> list[Any]:
        known = self.sql("select 1 from sqlite_master where name = 'cf_agents_runs'")
        return self.sql("select name, snapshot from cf_agents_runs order by name") if known else []

    async def jobs_of(self) -> list[str]:
        return [row["id"] for row in self.sql("select id from cf_agents_jobs order by id")]

    async def has_database(self) -> bool:
        return self.ctx.storage.database.exists

    async def on_fiber_recovered(self, fiber: FiberRecovery) -> Any:
        cls = type(self)
        cls.recovered.append(fiber)
        if cls.fails:
            cls.fails -= 1
            raise ValueError("cannot go on")
        return cls.answer


class Careless(Agent):
    async def go(self) -> None:
        self.ctx.spawn(self.run_fiber("careless", asyncio.Event().wait), name="careless")


@pytest.fixture
async def clock() -> ManualClock:
    Researcher.done, Researcher.recovered, Researcher.answer, Researcher.fails = [], [], None, 0
    Researcher.held = asyncio.Event()
    return ManualClock(START)


@pytest.fixture
async def agent(clock: ManualClock) -> AsyncIterator[Any]:
    async with agent_runtime(Researcher, clock=clock) as runtime:
        yield await get_agent_by_name(runtime.namespaces["Researcher"], "x")


class Disk:
    """A folder in which one runtime after another lives."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self._path, self._clock, self._seed = path, clock, 0

    def runtime(self, kind: type = Researcher) -> Any:
        self._seed += 1
        return agent_runtime(kind, clock=self._clock, storage=self._path, durability="normal", rng=Random(self._seed))


@pytest.fixture
def disk(tmp_path: Path, clock: ManualClock) -> Disk:
    return Disk(tmp_path, clock)


async def agent_of(runtime: Any) -> Any:
    return await get_agent_by_name(runtime.namespaces["Researcher"], "x")


# Running


async def test_a_fiber_returns_what_its_function_returns_and_leaves_nothing(agent: Any) -> None:
    assert await agent.run("count") == "counted"
    assert await agent.runs() == []
    assert await agent.jobs_of() == []


async def test_an_error_comes_out_and_leaves_nothing(agent: Any) -> None:
    with pytest.raises(ValueError, match="no result"):
        await agent.run("fail")
    assert await agent.runs() == []


async def test_a_fiber_keeps_the_agent_awake_and_what_it_stashed_last(agent: Any, clock: ManualClock) -> None:
    await agent.run_detached("long")
    await clock.advance(3600)
    assert await agent.runs() == [{"name": "long", "snapshot": '{"at":"long"}'}]
    Researcher.held.set()
    await settle()
    assert await agent.runs() == []
    assert Researcher.done == ["began long", "ended long"]


async def test_a_fiber_may_be_sync_and_take_nothing(agent: Any) -> None:
    assert await agent.run_in_thread() == "thread"


async def test_stashing_needs_a_fiber(agent: Any) -> None:
    with pytest.raises(Exception, match=r"stash\(\) called outside a fiber"):
        await agent.stash_outside()


async def test_a_fiber_that_its_caller_cancels_has_ended(agent: Any) -> None:
    assert await agent.run_for("long", 0.01) == "timed out"
    assert await agent.runs() == []


async def test_fibers_are_told_of(clock: ManualClock) -> None:
    told: list[Any] = []
    async with agent_runtime(Researcher, clock=clock) as runtime:
        runtime.events.subscribe("agents:fiber", lambda event: told.append((event.type, event.payload["fiber_name"])))
        agent = await agent_of(runtime)
        await agent.run("count")
        with pytest.raises(ValueError, match="no result"):
            await agent.run("fail")
    assert told == [
        ("fiber:run:started", "count"),
        ("fiber:run:completed", "count"),
        ("fiber:run:started", "fail"),
        ("fiber:run:failed", "fail"),
    ]


async def test_an_agent_without_fibers_has_no_database(agent: Any) -> None:
    assert await agent.listed() == []
    assert await agent.cancel("unknown") is False
    assert await agent.has_database() is False


# The ledger


async def test_a_started_fiber_is_in_the_ledger(agent: Any, clock: ManualClock) -> None:
    started = await agent.begin("long", idempotency_key="k", metadata={"for": "ada"})
    id = started["fiber_id"]
    assert started == {
        "fiber_id": id,
        "name": "long",
        "status": "pending",
        "idempotency_key": "k",
        "snapshot": None,
        "error": None,
        "metadata": {"for": "ada"},
        "created_at": START,
        "started_at": None,
        "settled_at": None,
        "accepted": True,
    }
    await clock.advance(10)
    assert await agent.inspect(id) == {
        **started,
        "status": "running",
        "started_at": START,
        "snapshot": {"at": "long"},
        "accepted": None,
    }
    Researcher.held.set()
    await settle()
    ended = await agent.inspect(id)
    assert (ended["status"], ended["settled_at"]) == ("completed", START + timedelta(seconds=10))
    assert await agent.jobs_of() == []


async def test_one_can_wait_for_its_end(agent: Any) -> None:
    ended = await agent.begin("count", wait_for_completion=True)
    assert (ended["status"], ended["snapshot"], ended["accepted"]) == ("completed", {"step": 2}, True)


async def test_a_key_or_an_id_starts_one_fiber(agent: Any) -> None:
    first = await agent.begin("long", fiber_id="f", idempotency_key="k")
    assert first["fiber_id"] == "f"
    for options in ({"fiber_id": "f"}, {"idempotency_key": "k"}, {"fiber_id": "f", "idempotency_key": "k"}):
        again = await agent.begin("long", **options)
        assert (again["fiber_id"], again["accepted"]) == ("f", False)
    waiting = asyncio.ensure_future(agent.begin("long", idempotency_key="k", wait_for_completion=True))
    await settle()
    Researcher.held.set()
    assert (await waiting)["status"] == "completed"
    assert Researcher.done == ["began long", "ended long"]
    assert await agent.by_key("k") == "f"
    assert await agent.by_key("unknown") is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"fiber_id": " "}, "fiberId must not be blank"),
        ({"idempotency_key": ""}, "idempotencyKey must not be blank"),
        ({"fiber_id": "other", "idempotency_key": "k"}, "fiberId and idempotencyKey refer to different fibers"),
    ],
)
async def test_ids_that_make_no_sense_are_told(agent: Any, options: Any, error: str) -> None:
    await agent.begin("count", idempotency_key="k")
    with pytest.raises(Exception, match=error):
        await agent.begin("count", **options)


async def test_a_failure_stands_in_the_ledger(agent: Any) -> None:
    failed = await agent.begin("fail", wait_for_completion=True)
    assert (failed["status"], failed["error"], failed["snapshot"]) == ("error", "no result", "almost")


@pytest.mark.cloudflare(
    "Background work",
    "`cancelFiber`",
    "different: beside setting the signal it cancels the function where it waits",
)
async def test_a_cancelled_fiber_is_aborted_and_hears_of_it(agent: Any) -> None:
    id = (await agent.begin("listen", idempotency_key="k"))["fiber_id"]
    await settle()
    assert await agent.cancel(id, "not needed") is True
    await settle()
    assert (await agent.status(id))[:2] == ["aborted", "not needed"]
    assert Researcher.done == ["began listen", "heard not needed"]
    assert await agent.cancel(id) is False
    assert await agent.cancel_key("k") is False
    assert await agent.runs() == []
    assert await agent.jobs_of() == []


async def test_fibers_are_listed_the_latest_first_and_deleted(agent: Any, clock: ManualClock) -> None:
    for name in ("count", "fail", "long"):
        await agent.begin(name)
        await clock.advance(10)
    assert await agent.listed() == ["long", "fail", "count"]
    assert await agent.listed(limit=2) == ["long", "fail"]
    assert await agent.listed(name="fail") == ["fail"]
    assert await agent.listed(status="running") == ["long"]
    assert await agent.listed(status=["completed", "error"]) == ["fail", "count"]
    assert await agent.forget(settled_before=START + timedelta(seconds=5)) == 1
    assert await agent.forget(status="completed") == 0
    assert await agent.forget() == 1
    assert await agent.forget(status="running") == 0
    assert await agent.listed() == ["long"]


# Recovery


async def test_a_fiber_that_was_cut_is_recovered_when_the_agent_wakes_by_itself(disk: Disk, clock: ManualClock) -> None:
    async with disk.runtime() as first:
        await (await agent_of(first)).run_detached("long")
        await settle()
    await clock.advance(5)
    async with disk.runtime() as second:
        await clock.advance(30)
        while not Researcher.recovered:
            await settle()
        agent = await agent_of(second)
        assert await agent.runs() == []
        assert await agent.jobs_of() == []
    (fiber,) = Researcher.recovered
    assert (fiber.name, fiber.snapshot, fiber.created_at) == ("long", {"at": "long"}, START)
    assert (fiber.recovery_reason, fiber.status, fiber.metadata) == ("interrupted", None, None)
    assert Researcher.done == ["began long"]


async def test_a_started_fiber_that_was_cut_gets_what_recovery_says(disk: Disk) -> None:
    async with disk.runtime() as first:
        id = (await (await agent_of(first)).begin("long", idempotency_key="k", metadata={"a": 1}))["fiber_id"]
        await settle()
    Researcher.answer = {"status": "completed", "snapshot": "all", "metadata": {"b": 2}}
    async with disk.runtime() as second:
        agent = await agent_of(second)
        assert await agent.status(id) == ["completed", None, "all", {"b": 2}]
        assert await agent.runs() == []
    (fiber,) = Researcher.recovered
    assert (fiber.status, fiber.idempotency_key, fiber.metadata) == ("interrupted", "k", {"a": 1})


async def test_without_an_answer_a_started_fiber_stays_interrupted_and_can_be_resolved(disk: Disk) -> None:
    async with disk.runtime() as first:
        id = (await (await agent_of(first)).begin("long"))["fiber_id"]
        await settle()
    async with disk.runtime() as second:
        agent = await agent_of(second)
        assert (await agent.status(id))[0] == "interrupted"
        assert await agent.forget() == 0
        assert await agent.resolve(id, {"status": "aborted", "reason": "too old"}) is True
        assert (await agent.status(id))[:2] == ["aborted", "too old"]
        assert await agent.resolve(id, {"status": "completed"}) is False
        assert await agent.resolve("unknown", {"status": "completed"}) is False


async def test_a_recovery_that_fails_is_tried_again_ever_later(disk: Disk, clock: ManualClock) -> None:
    async with disk.runtime() as first:
        await (await agent_of(first)).run_detached("long")
        await settle()
    Researcher.fails = 4
    async with disk.runtime() as second:
        agent = await agent_of(second)
        await agent.runs()
        seen: list[int] = []
        for _ in range(5):
            seen.append(len(Researcher.recovered))
            await clock.advance(130)
            await settle()
        assert await agent.runs() == []
    assert len(Researcher.recovered) == 5
    assert seen[0] == 1


async def test_a_recovery_that_fails_for_a_day_is_given_up(disk: Disk, clock: ManualClock) -> None:
    told: list[str] = []
    async with disk.runtime() as first:
        await (await agent_of(first)).run_detached("long")
        await settle()
    Researcher.fails = 1000
    async with disk.runtime() as second:
        second.events.subscribe("agents:fiber", lambda event: told.append(str(event.payload.get("reason"))))
        await (await agent_of(second)).runs()
        await clock.advance(24 * 3600 + 600)
        assert await (await agent_of(second)).runs() == []
    assert told[-1] == "max_age_exceeded"
    assert 280 < len(Researcher.recovered) < 310


async def test_a_started_fiber_whose_recovery_fails_has_failed(disk: Disk) -> None:
    async with disk.runtime() as first:
        id = (await (await agent_of(first)).begin("long"))["fiber_id"]
        await settle()
    Researcher.fails = 1
    async with disk.runtime() as second:
        assert (await (await agent_of(second)).status(id))[:2] == ["error", "cannot go on"]


async def test_recovery_is_told_of(disk: Disk) -> None:
    told: list[str] = []
    async with disk.runtime() as first:
        await (await agent_of(first)).run_detached("long")
        await settle()
    async with disk.runtime() as second:
        second.events.subscribe("agents:fiber", lambda event: told.append(event.type))
        await (await agent_of(second)).runs()
    assert told == [
        "fiber:recovery:detected",
        "fiber:run:interrupted",
        "fiber:recovery:attempt",
        "fiber:recovery:handled",
    ]


async def test_who_does_not_recover_is_advised(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    async with disk.runtime(Careless) as first:
        await (await get_agent_by_name(first.namespaces["Careless"], "x")).go()
        await settle()
    async with disk.runtime(Careless) as second:
        with pytest.raises(Exception, match="no method"):
            await (await get_agent_by_name(second.namespaces["Careless"], "x")).unknown()
    assert "Override on_fiber_recovered(self, fiber) to go on with it." in caplog.text
