"""What survives: the end of the runtime, and a process that is killed in the middle of a step."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from edgeagents_workflows import WorkflowEntrypoint
from edgeagents_workflows.testing import reached, workflow_runtime

from edgeagents.testing import ManualClock, settle
from tests.servers import ROOT, until

pytestmark = pytest.mark.cloudflare(
    "Workflows", "instances outlast the process; a step that has ended is not run again", "same"
)

# Run by a process of its own too, which then stands in the step "two".
KILLED = """
import asyncio, sys
from edgeagents_workflows import WorkflowEntrypoint
from edgeagents_workflows.testing import workflow_runtime

LOG = sys.argv[1]

class Journey(WorkflowEntrypoint):
    async def run(self, event, step):
        await step.do("one", self.one)
        await step.do("two", {"retries": {"limit": 0}}, self.two)

    async def one(self):
        with open(LOG, "a") as log: log.write("one\\n")

    async def two(self):
        with open(LOG, "a") as log: log.write("two\\n")
        await asyncio.Event().wait()

async def main():
    async with workflow_runtime(Journey, storage=sys.argv[2], durability="normal") as runtime:
        await runtime.env.Journey.create(id="j")
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_process_that_is_killed_in_a_step_is_followed_by_one_that_goes_on(tmp_path):
    log, state = tmp_path / "log", tmp_path / "state"

    class Journey(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.do("one", lambda: log.open("a").close())
            attempt = await step.do("two", {"retries": {"limit": 0}}, self.two)
            return [attempt, log.read_text().split()]

        async def two(self, ctx):
            return ctx.attempt

    path = os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", KILLED, str(log), str(state)]
    process = await asyncio.to_thread(subprocess.Popen, command, env={**os.environ, "PYTHONPATH": path})
    try:
        await asyncio.to_thread(until, lambda: log.exists() and log.read_text() == "one\ntwo\n", "the second step")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with workflow_runtime(Journey, storage=state, durability="normal") as runtime:
        # The machine's clock: it goes on at once, not with its alarm half a minute later.
        status = await reached(await runtime.env.Journey.get("j"), "complete", "errored")
    assert status["output"] == [2, ["one", "two"]]


async def test_a_step_that_runs_when_the_runtime_stops_is_made_again(tmp_path):
    seen: list[str] = []
    gate = asyncio.Event()

    class Two(WorkflowEntrypoint):
        async def run(self, event, step):
            try:
                await step.do("one", self.one)
                await step.do("two", self.two)
            finally:
                await step.do("three", self.three)

        async def one(self):
            seen.append("one")

        async def two(self):
            seen.append("two")
            await gate.wait()

        async def three(self):
            seen.append("three")

    clock = ManualClock()
    async with workflow_runtime(Two, storage=tmp_path, clock=clock) as runtime:
        await runtime.env.Two.create(id="t")
        await settle()
    # The code was cancelled, and what it did to clean up is no step.
    assert seen == ["one", "two"]
    gate.set()
    async with workflow_runtime(Two, storage=tmp_path, clock=clock) as runtime:
        await reached(await runtime.env.Two.get("t"), "complete")
    assert seen == ["one", "two", "two", "three"]


async def test_a_sleep_goes_on_while_nothing_runs(tmp_path):
    class Nap(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.sleep("nap", "1 hour")
            return "awake"

    clock = ManualClock()
    async with workflow_runtime(Nap, storage=tmp_path, clock=clock) as runtime:
        await runtime.env.Nap.create(id="n")
        await clock.advance(60)
    await clock.advance(3000)
    async with workflow_runtime(Nap, storage=tmp_path, clock=clock) as runtime:
        instance = await runtime.env.Nap.get("n")
        await clock.advance(530)
        assert (await instance.status())["status"] == "waiting"
        await clock.advance(20)
        assert (await instance.status())["output"] == "awake"


async def test_a_pause_before_the_next_attempt_outlasts_the_runtime(tmp_path):
    attempts: list[tuple[int, float]] = []
    clock = ManualClock()

    class Flaky(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.do("x", {"retries": {"limit": 2, "delay": "100 seconds", "backoff": "constant"}}, self.fail)

        async def fail(self, ctx):
            attempts.append((ctx.attempt, clock.monotonic()))
            raise ValueError("always")

    async with workflow_runtime(Flaky, storage=tmp_path, clock=clock) as runtime:
        await runtime.env.Flaky.create(id="f")
        await clock.advance(10)
    async with workflow_runtime(Flaky, storage=tmp_path, clock=clock) as runtime:
        await clock.advance(300)
        assert (await (await runtime.env.Flaky.get("f")).status())["status"] == "errored"
    assert attempts == [(1, 0), (2, 100), (3, 200)]


async def test_an_error_that_a_step_ended_with_is_raised_in_every_replay(tmp_path):
    class Declined(Exception):
        pass

    seen: list[str] = []

    class Charge(WorkflowEntrypoint):
        async def run(self, event, step):
            try:
                await step.do("charge", {"retries": {"limit": 0}}, self.charge)
            except Exception as error:
                seen.append(f"{type(error).__name__} {error.type_name} {error}")
            await step.sleep("a while", "1 hour")

        async def charge(self):
            raise Declined("no money")

    clock = ManualClock()
    async with workflow_runtime(Charge, storage=tmp_path, clock=clock) as runtime:
        await runtime.env.Charge.create(id="c")
        await settle()
    await clock.advance(3600)
    async with workflow_runtime(Charge, storage=tmp_path, clock=clock) as runtime:
        await reached(await runtime.env.Charge.get("c"), "complete")
    assert seen == ["RemoteError Declined no money"] * 2


async def test_a_pause_survives_the_end_of_the_step_s_process(tmp_path):
    class Hanging(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.do("hang", asyncio.Event().wait)

    clock = ManualClock()
    async with workflow_runtime(Hanging, storage=tmp_path, clock=clock) as runtime:
        instance = await runtime.env.Hanging.create(id="h")
        await settle()
        await instance.pause()
        assert (await instance.status())["status"] == "waitingForPause"
    async with workflow_runtime(Hanging, storage=tmp_path, clock=clock) as runtime:
        instance = await runtime.env.Hanging.get("h")
        assert (await instance.status())["status"] == "paused"
