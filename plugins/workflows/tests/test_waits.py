"""Sleeping and waiting for events, in memory and out of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from edgeagents_workflows import WorkflowEntrypoint, WorkflowTimeoutError
from edgeagents_workflows.testing import reached, workflow_runtime

from edgeagents import hookimpl
from edgeagents.testing import ManualClock, settle

pytestmark = [
    pytest.mark.cloudflare("Workflows", "`step.sleep`, `step.sleepUntil`, `step.waitForEvent`", "same; in snake_case"),
]


class Departures:
    """A plugin that notes which objects leave memory."""

    def __init__(self):
        self.left = []

    @hookimpl
    def object_left(self, object_id, reason):
        self.left.append((object_id.name, reason))


class Nap(WorkflowEntrypoint):
    runs = 0

    async def run(self, event, step):
        Nap.runs += 1
        first = await step.do("first", self.first)
        await step.sleep("nap", event.payload.get("for", "1 hour"))
        return first

    async def first(self):
        return Nap.runs


@pytest.fixture(autouse=True)
def fresh():
    Nap.runs = 0


@pytest.mark.parametrize("duration", ["1 hour", 3_600_000, timedelta(hours=1)])
async def test_a_sleep_ends_when_it_is_over_and_not_before(duration):
    clock = ManualClock()

    class Sleeper(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.sleep("nap", duration)
            return "awake"

    async with workflow_runtime(Sleeper, clock=clock) as runtime:
        instance = await runtime.env.Sleeper.create()
        await clock.advance(3599)
        assert (await instance.status())["status"] == "waiting"
        await clock.advance(1)
        assert (await instance.status())["output"] == "awake"


async def test_a_sleep_of_nothing_is_none():
    async with workflow_runtime(Nap, clock=ManualClock()) as runtime:
        instance = await runtime.env.Nap.create(params={"for": 0})
        assert (await reached(instance, "complete"))["output"] == 1


async def test_an_instance_that_sleeps_leaves_memory_and_comes_back():
    clock, departures = ManualClock(), Departures()
    async with workflow_runtime(Nap, clock=clock, plugins=[departures]) as runtime:
        instance = await runtime.env.Nap.create(id="n")
        await clock.advance(60)
        assert departures.left == [("n", "evicted")]
        await clock.advance(3600)
        # The code ran twice, its step once.
        assert (await instance.status(), Nap.runs) == ({"status": "complete", "output": 1, "error": None}, 2)


async def test_looking_at_an_instance_that_sleeps_does_not_run_it():
    clock = ManualClock()
    async with workflow_runtime(Nap, clock=clock) as runtime:
        instance = await runtime.env.Nap.create()
        await clock.advance(60)
        assert (await instance.status())["status"] == "waiting"
        await settle()
    assert Nap.runs == 1


async def test_an_instance_that_does_something_else_meanwhile_stays_in_memory():
    clock, departures = ManualClock(), Departures()

    class Busy(WorkflowEntrypoint):
        async def run(self, event, step):
            await asyncio.gather(step.sleep("nap", "1 hour"), step.sleep("longer", "2 hours"))
            return "done"

    async with workflow_runtime(Busy, clock=clock, plugins=[departures]) as runtime:
        instance = await runtime.env.Busy.create()
        await clock.advance(7199)
        assert departures.left == []
        await clock.advance(1)
        assert (await instance.status())["output"] == "done"


async def test_sleeping_until_a_time():
    clock = ManualClock()

    class Until(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.sleep_until("noon", clock_start + timedelta(hours=12))
            await step.sleep_until("one", (clock_start + timedelta(hours=13)).timestamp() * 1000)
            return "done"

    clock_start = clock.now()
    async with workflow_runtime(Until, clock=clock) as runtime:
        instance = await runtime.env.Until.create()
        await clock.advance(13 * 3600 - 1)
        assert (await instance.status())["status"] == "waiting"
        await clock.advance(1)
        assert (await instance.status())["output"] == "done"


async def test_sleeping_until_the_past_is_an_error():
    clock = ManualClock()

    class Until(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.sleep_until("past", clock.now() - timedelta(seconds=1))

    async with workflow_runtime(Until, clock=clock) as runtime:
        status = await reached(await runtime.env.Until.create(), "errored")
    assert status["error"]["message"] == "You can't sleep until a time in the past, time-traveler"


# Events


class Waiter(WorkflowEntrypoint):
    async def run(self, event, step):
        try:
            got = await step.wait_for_event("go", type="go", timeout="1 day")
        except WorkflowTimeoutError as error:
            return str(error)
        return [got.type, got.payload, got.timestamp.isoformat()]


async def test_an_event_reaches_the_step_that_waits_for_it():
    clock = ManualClock()
    async with workflow_runtime(Waiter, clock=clock) as runtime:
        instance = await runtime.env.Waiter.create()
        await reached(instance, "waiting")
        await instance.send_event(type="other")
        await settle()
        assert (await instance.status())["status"] == "waiting"
        await instance.send_event({"type": "go", "payload": {"n": 1}})
        assert (await reached(instance, "complete"))["output"] == ["go", {"n": 1}, clock.now().isoformat()]


async def test_an_event_that_came_before_is_kept():
    class Late(Waiter):
        async def run(self, event, step):
            await step.sleep("first", "1 minute")
            return await super().run(event, step)

    clock = ManualClock()
    async with workflow_runtime(Late, clock=clock) as runtime:
        instance = await runtime.env.Late.create()
        await instance.send_event(type="go", payload="early")
        await clock.advance(61)
        assert (await reached(instance, "complete"))["output"][1] == "early"


async def test_an_event_wakes_an_instance_that_left_memory():
    clock, departures = ManualClock(), Departures()
    async with workflow_runtime(Waiter, clock=clock, plugins=[departures]) as runtime:
        instance = await runtime.env.Waiter.create(id="w")
        await clock.advance(60)
        assert departures.left == [("w", "evicted")]
        await instance.send_event(type="go", payload=1)
        assert (await reached(instance, "complete"))["output"][1] == 1


async def test_an_event_that_does_not_come_is_an_error_in_time():
    clock = ManualClock()
    async with workflow_runtime(Waiter, clock=clock) as runtime:
        instance = await runtime.env.Waiter.create()
        await clock.advance(86_399)
        assert (await instance.status())["status"] == "waiting"
        await clock.advance(1)
        assert (await instance.status())["output"] == "Execution timed out after 86400000ms"


async def test_each_event_goes_to_one_step_in_the_order_of_waiting():
    class Both(WorkflowEntrypoint):
        async def run(self, event, step):
            waits = [step.wait_for_event(name, "go") for name in ("a", "b")]
            return [got.payload for got in await asyncio.gather(*waits)]

    async with workflow_runtime(Both) as runtime:
        instance = await runtime.env.Both.create()
        await reached(instance, "waiting")
        await instance.send_event(type="go", payload=1)
        await instance.send_event(type="go", payload=2)
        assert (await reached(instance, "complete"))["output"] == [1, 2]


async def test_an_event_that_came_while_nobody_was_in_memory_to_notice_the_timeout_counts():
    clock = ManualClock()
    async with workflow_runtime(Waiter, clock=clock) as runtime:
        instance = await runtime.env.Waiter.create()
        await clock.advance(86_000)
        await instance.pause()
        await instance.send_event(type="go", payload="in time")
        await clock.advance(10_000)
        await instance.resume()
        assert (await reached(instance, "complete"))["output"][1] == "in time"


async def test_nobody_waits_for_longer_than_a_year():
    class Patient(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.wait_for_event("x", "go", timeout="366 days")

    async with workflow_runtime(Patient) as runtime:
        status = await reached(await runtime.env.Patient.create(), "errored")
    assert "longer than 365 days" in status["error"]["message"]
