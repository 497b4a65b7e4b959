"""Instances: made, found, looked at, paused, ended, begun anew and forgotten."""

from __future__ import annotations

import asyncio
import re

import pytest
from edgeagents_workflows import (
    InstanceExists,
    InstanceNotFound,
    WorkflowEntrypoint,
    WorkflowError,
    WorkflowFatalError,
    plugin,
    workflows_plugin,
)
from edgeagents_workflows.testing import reached, workflow_runtime

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, settle
from edgeagents.worker import Worker

pytestmark = [
    pytest.mark.cloudflare(
        "Workflows",
        "`create`, `createBatch`, `get`, `status`, `pause`, `resume`, "
        "`terminate`, `restart`, `sendEvent`, `delete`, retention",
        "same; in snake_case",
    ),
]


class Echo(WorkflowEntrypoint):
    async def run(self, event, step):
        return [
            event["payload"],
            event.instance_id,
            event.workflow_name,
            event.timestamp.isoformat(),
            "Echo" in self.env,
        ]


class Stages(WorkflowEntrypoint):
    """Runs a step for as long as ``gate`` is shut, then waits, then runs another."""

    async def run(self, event, step):
        await step.do("one", self.one)
        await step.sleep("between", "1 hour")
        await step.do("two", self.two)
        return "done"

    async def one(self):
        ran.append("one begins")
        await gate.wait()
        ran.append("one ends")

    async def two(self):
        ran.append("two")


ran: list[str] = []
gate = asyncio.Event()


@pytest.fixture(autouse=True)
def shut():
    global gate
    gate = asyncio.Event()
    ran.clear()


# Made and found


async def test_the_code_is_told_what_the_instance_was_created_with():
    clock = ManualClock()
    async with workflow_runtime(Echo, clock=clock) as runtime:
        instance = await runtime.env.Echo.create(id="e-1", params={"n": 1})
        assert (await reached(instance, "complete"))["output"] == [
            *({"n": 1}, "e-1", "Echo", clock.now().isoformat(), True)
        ]


async def test_without_id_and_params_there_are_a_random_id_and_no_params():
    async with workflow_runtime(Echo) as runtime:
        instance = await runtime.env.Echo.create()
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", instance.id)
        assert (await reached(instance, "complete"))["output"][0] == {}


async def test_what_to_create_may_be_said_in_a_dict():
    async with workflow_runtime(Echo) as runtime:
        instance = await runtime.env.Echo.create({"id": "e", "params": [1]})
        assert (await reached(instance, "complete"))["output"][:2] == [[1], "e"]


async def test_an_id_is_used_once():
    async with workflow_runtime(Echo) as runtime:
        await runtime.env.Echo.create(id="e")
        with pytest.raises(InstanceExists, match=r"instance\.already_exists"):
            await runtime.env.Echo.create(id="e")


@pytest.mark.parametrize("id", ["", "-a", "a b", "a.b", "x" * 101, "ä", 5])
async def test_an_id_that_cannot_be_is_refused(id):
    async with workflow_runtime(Echo) as runtime:
        with pytest.raises(WorkflowError, match="Workflow instance has invalid id"):
            await runtime.env.Echo.create(id=id)


@pytest.mark.parametrize("id", ["_", "a-b_C9", "x" * 100])
async def test_an_id_that_can_be_is_taken(id):
    async with workflow_runtime(Echo) as runtime:
        assert (await runtime.env.Echo.create(id=id)).id == id


async def test_an_instance_is_found_by_its_id():
    async with workflow_runtime(Echo) as runtime:
        await runtime.env.Echo.create(id="e")
        instance = await runtime.env.Echo.get("e")
        assert (await reached(instance, "complete"))["output"][1] == "e"


@pytest.mark.parametrize("id", ["nobody", "-a", ""])
async def test_an_id_that_nobody_has_is_not_found_and_leaves_nothing_behind(id, tmp_path):
    async with workflow_runtime(Echo, storage=tmp_path) as runtime:
        with pytest.raises(InstanceNotFound, match=r"instance\.not_found"):
            await runtime.env.Echo.get(id)
    assert list(tmp_path.rglob("objects/**/*.sqlite")) == []


async def test_params_are_data_of_at_most_a_mebibyte():
    async with workflow_runtime(Echo) as runtime:
        with pytest.raises(WorkflowFatalError, match="too large"):
            await runtime.env.Echo.create(id="e", params="x" * (1024 * 1024))
        with pytest.raises(TypeError):
            await runtime.env.Echo.create(id="e", params=object())
        with pytest.raises(InstanceNotFound):
            await runtime.env.Echo.get("e")


async def test_a_batch_passes_over_ids_that_are_in_use():
    async with workflow_runtime(Echo) as runtime:
        await runtime.env.Echo.create(id="b")
        created = await runtime.env.Echo.create_batch([{"id": "a"}, {"id": "b"}, {"id": "c"}])
        assert [instance.id for instance in created] == ["a", "c"]
        with pytest.raises(WorkflowError, match="at least 1 instance"):
            await runtime.env.Echo.create_batch([])


# Paused


async def test_a_pause_waits_for_the_step_that_runs():
    clock = ManualClock()
    async with workflow_runtime(Stages, clock=clock) as runtime:
        instance = await runtime.env.Stages.create()
        await settle()
        await instance.pause()
        assert (await instance.status())["status"] == "waitingForPause"
        gate.set()
        await settle()
        assert (await instance.status())["status"] == "paused"
        await clock.advance(100_000)
        assert ran == ["one begins", "one ends"]


async def test_after_a_pause_a_sleep_lasts_for_as_long_as_was_left():
    clock = ManualClock()
    gate.set()
    async with workflow_runtime(Stages, clock=clock) as runtime:
        instance = await runtime.env.Stages.create()
        await clock.advance(3000)
        await instance.pause()
        assert (await instance.status())["status"] == "paused"
        await clock.advance(100_000)
        await instance.resume()
        await clock.advance(599)
        assert (await instance.status())["status"] == "waiting"
        await clock.advance(1)
        assert (await instance.status())["output"] == "done"
    assert ran == ["one begins", "one ends", "two"]


async def test_a_pause_that_is_taken_back_changes_nothing():
    clock = ManualClock()
    async with workflow_runtime(Stages, clock=clock) as runtime:
        instance = await runtime.env.Stages.create()
        await settle()
        await instance.pause()
        await instance.resume()
        assert (await instance.status())["status"] == "running"
        gate.set()
        await clock.advance(3601)
        assert (await instance.status())["output"] == "done"


async def test_an_instance_that_has_ended_is_neither_paused_nor_resumed():
    async with workflow_runtime(Echo) as runtime:
        instance = await runtime.env.Echo.create()
        await reached(instance, "complete")
        await instance.pause()
        await instance.resume()
        assert (await instance.status())["status"] == "complete"


# Ended


async def test_an_instance_that_is_terminated_does_nothing_more():
    clock = ManualClock()
    async with workflow_runtime(Stages, clock=clock) as runtime:
        instance = await runtime.env.Stages.create()
        await settle()
        await instance.terminate()
        gate.set()
        await clock.advance(100_000)
        assert (await instance.status()) == {"status": "terminated", "output": None, "error": None}
        assert ran == ["one begins"]
        with pytest.raises(WorkflowError, match=r"instance\.cannot_terminate"):
            await instance.terminate()


async def test_the_code_that_is_put_aside_can_do_no_step_while_it_cleans_up():
    class Tidy(WorkflowEntrypoint):
        async def run(self, event, step):
            try:
                await step.sleep("long", "1 hour")
            finally:
                await step.do("clean up", self.clean)

        async def clean(self):
            ran.append("cleaned")

    clock = ManualClock()
    async with workflow_runtime(Tidy, clock=clock) as runtime:
        instance = await runtime.env.Tidy.create()
        await clock.advance(60)  # It left memory.
        assert ran == []
        await clock.advance(3600)
        assert ran == ["cleaned"]
        assert (await instance.status())["status"] == "complete"


async def test_an_event_for_an_instance_that_has_ended_is_dropped():
    async with workflow_runtime(Echo) as runtime:
        instance = await runtime.env.Echo.create()
        await reached(instance, "complete")
        await instance.send_event(type="go")
        assert (await instance.status())["status"] == "complete"


async def test_a_restart_forgets_what_steps_have_done():
    clock = ManualClock()
    gate.set()
    async with workflow_runtime(Stages, clock=clock) as runtime:
        instance = await runtime.env.Stages.create()
        await clock.advance(3601)
        assert (await instance.status())["status"] == "complete"
        await instance.restart()
        assert (await instance.status())["output"] is None
        await clock.advance(3601)
        assert (await instance.status())["output"] == "done"
    assert ran == ["one begins", "one ends", "two"] * 2


async def test_a_deleted_instance_is_not_there_and_its_id_is_free():
    async with workflow_runtime(Stages) as runtime:
        instance = await runtime.env.Stages.create(id="s")
        await settle()
        await instance.delete()
        with pytest.raises(InstanceNotFound):
            await instance.status()
        await runtime.env.Stages.create(id="s")
        await settle()
    assert ran == ["one begins", "one begins"]


@pytest.mark.parametrize(
    ("workflow", "retention"),
    [
        (Echo, {"success_retention": "1 day"}),
        (type("Bad", (Echo,), {"run": Stages.run}), {"error_retention": 86_400_000}),
    ],
)
async def test_an_instance_is_kept_for_as_long_as_its_retention_says(workflow, retention):
    clock = ManualClock()
    async with workflow_runtime(workflow, clock=clock) as runtime:
        binding = runtime.env[workflow.__name__]
        instance = await binding.create(id="e", retention=retention)
        await clock.advance(86_399)
        assert (await instance.status())["status"] in ("complete", "errored")
        await clock.advance(2)
        with pytest.raises(InstanceNotFound):
            await binding.get("e")


# Declared


async def test_a_workflow_of_a_worker_is_found_by_its_class_name():
    options = {"name": "echo", "class_name": "Echo", "default_retention": {"success_retention": "1 day"}}
    worker = Worker("w", classes={"Echo": Echo}, bindings=[BindingDeclaration("Echo", "workflow", options)])
    async with Runtime(worker, storage=None, plugins=[plugin], discover_plugins=False) as runtime:
        instance = await runtime.env.Echo.create(id="e")
        assert (await reached(instance, "complete"))["output"][2] == "echo"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_name": "Ecko"}, "needs a class 'Ecko', which the worker does not have. Did you mean 'Echo'"),
        ({"class_name": "NoRun"}, "NoRun is no workflow: it needs a method `async def run"),
        ({"class_name": "Echo", "default_retention": {"success_retention": "soon"}}, "'soon' is no duration"),
    ],
)
async def test_a_workflow_that_cannot_be_is_a_config_error(options, words):
    worker = Worker(
        "w",
        classes={"Echo": Echo, "NoRun": type("NoRun", (), {})},
        bindings=[BindingDeclaration("W", "workflow", {"name": "w", **options})],
    )
    with pytest.raises(ConfigError, match=re.escape(words)):
        await Runtime(worker, storage=None, plugins=[plugin], discover_plugins=False).start()


async def test_two_workflows_of_one_name_are_an_error():
    with pytest.raises(ConfigError, match="Two workflows are called 'Echo'"):
        await Runtime(
            storage=None, plugins=[plugin, workflows_plugin(Echo, OTHER=Echo)], discover_plugins=False
        ).start()


async def test_a_workflow_can_be_given_a_name_in_env():
    async with Runtime(storage=None, plugins=[plugin, workflows_plugin(ECHO=Echo)], discover_plugins=False) as runtime:
        assert repr(runtime.env.ECHO) == "<Workflow Echo>"


async def test_what_has_no_effect_yet_is_told(caplog):
    options = {"name": "echo", "class_name": "Echo", "schedules": "0 0 * * *"}
    worker = Worker("w", classes={"Echo": Echo}, bindings=[BindingDeclaration("W", "workflow", options)])
    async with Runtime(worker, storage=None, plugins=[plugin], discover_plugins=False):
        assert "The workflow echo has 'schedules', which has no effect yet" in caplog.text
