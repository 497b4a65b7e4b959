"""Agents and the workflows that they start."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from edgeagents_workflows import (
    AgentWorkflow,
    InstanceExists,
    InstanceNotFound,
    WorkflowEntrypoint,
    WorkflowError,
    WorkflowRejectedError,
    WorkflowTimeoutError,
)
from edgeagents_workflows.testing import reached, workflow_runtime

from edgeagents import Agent, call_part, get_current_agent
from edgeagents.errors import AgentError
from edgeagents.testing import ManualClock, connect, settle

pytestmark = [
    pytest.mark.cloudflare(
        "Workflows",
        "`AgentWorkflow`, `runWorkflow`, approvals, tracking, callbacks",
        "same; in snake_case, payloads of callbacks too",
    ),
]


class Desk(Agent):
    initial_state = {"n": 0, "word": "first"}

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.heard = []

    async def begin(self, binding="Report", params=None, **options):
        return await self.run_workflow(binding, params or {}, **options)

    async def do(self, method, *args, **kwargs):
        result = getattr(self, method)(*args, **kwargs)
        result = await result if asyncio.iscoroutine(result) else result
        return None if result is None else repr(result)

    async def look(self):
        return self.heard, self.state

    async def tracked(self, id):
        info = self.get_workflow(id)
        return None if info is None else [info.workflow_name, info.status, info.metadata, info.error]

    async def page(self, **criteria):
        page = self.get_workflows(**criteria)
        return [info.workflow_id for info in page.workflows], page.total, page.next_cursor

    async def note(self, word):
        return f"{word} noted by {self.name}"

    async def on_workflow_progress(self, name, id, progress):
        self.heard.append(["progress", name, id, progress, get_current_agent().agent is self])

    async def on_workflow_complete(self, name, id, result):
        self.heard.append(["complete", result])

    def on_workflow_error(self, name, id, error):
        self.heard.append(["error", error])

    async def on_workflow_event(self, name, id, event):
        self.heard.append(["event", event])


class Report(AgentWorkflow):
    async def run(self, event, step):
        noted = await self.agent.note("hello")
        await self.report_progress({"step": "note", "percent": 0.5})
        await self.broadcast_to_clients({"type": "mine"})
        await step.send_event({"n": 1})
        await step.report_complete(noted)
        return [event.payload, noted, self.workflow_id, self.workflow_name]


class Approval(AgentWorkflow):
    async def run(self, event, step):
        try:
            return await self.wait_for_approval(step, timeout=event.payload.get("timeout"))
        except WorkflowTimeoutError as error:
            return str(error)


class States(AgentWorkflow):
    async def run(self, event, step):
        for act, args in event.payload["acts"]:
            await getattr(step, f"{act}_agent_state")(*args)


class Failing(AgentWorkflow):
    async def run(self, event, step):
        if event.payload.get("says_so"):
            await step.report_error(ValueError("said"))
        raise ValueError("broken")


class Waiting(WorkflowEntrypoint):
    async def run(self, event, step):
        return (await step.wait_for_event("go", "go")).payload


FLOWS = (Report, Approval, States, Failing, Waiting)


def office(**options):
    options.setdefault("clock", ManualClock())
    return workflow_runtime(*FLOWS, agents=[Desk], **options)


def desk(runtime, name="d"):
    return runtime.namespaces["Desk"].get_by_name(name)


async def ended(runtime, binding, id, *statuses):
    return await reached(await runtime.env[binding].get(id), *(statuses or ("complete", "errored", "terminated")))


# Started


async def test_a_workflow_knows_its_agent_and_the_agent_hears_of_it():
    async with office() as runtime:
        socket = await connect(runtime, "/agents/desk/d")
        id = await desk(runtime).begin(params={"a": 1}, metadata={"for": "ann"})
        status = await ended(runtime, "Report", id)
        assert status["output"] == [{"a": 1}, "hello noted by d", id, "Report"]
        heard, _ = await desk(runtime).look()
        assert heard == [
            ["progress", "Report", id, {"step": "note", "percent": 0.5}, True],
            ["event", {"n": 1}],
            ["complete", "hello noted by d"],
        ]
        assert await desk(runtime).tracked(id) == ["Report", "complete", {"for": "ann"}, None]
        await settle()
        assert '{"type":"mine"}' in socket.pending()
    assert id.startswith("wf_")
    assert len(id) == 24


async def test_where_a_workflow_comes_from_is_in_its_params():
    class Plain(WorkflowEntrypoint):
        async def run(self, event, step):
            return event.payload

    async with workflow_runtime(Plain, agents=[Desk]) as runtime:
        id = await desk(runtime).begin("Plain", {"a": 1}, id="mine")
        assert (await ended(runtime, "Plain", id))["output"] == {
            "a": 1,
            "__agentName": "d",
            "__agentBinding": "Desk",
            "__workflowName": "Plain",
            "__agentOrigin": {"kind": "agent", "version": 1, "binding": "Desk", "name": "d"},
        }


async def test_an_id_can_be_chosen_once():
    async with office() as runtime:
        await desk(runtime).begin(id="mine")
        with pytest.raises(AgentError, match='Workflow with ID "mine" is already being tracked'):
            await desk(runtime).begin(id="mine")
        # Another agent does not know of it, the workflow does.
        with pytest.raises(InstanceExists):
            await desk(runtime, "other").begin(id="mine")
        assert await desk(runtime, "other").tracked("mine") is None


@pytest.mark.parametrize("binding", ["Nothing", "Desk"])
async def test_what_is_no_workflow_cannot_be_started(binding):
    async with office() as runtime:
        with pytest.raises(AgentError, match=f"Workflow binding '{binding}' not found in environment"):
            await desk(runtime).begin(binding)


async def test_a_workflow_for_agents_needs_one():
    async with office() as runtime:
        instance = await runtime.env.Report.create()
        error = (await reached(instance, "errored"))["error"]
        assert error["name"] == "WorkflowError"
        assert error["message"].startswith("AgentWorkflow requires __agentName, __agentBinding, and __workflowName")


async def test_the_agent_is_there_only_while_the_workflow_runs():
    with pytest.raises(WorkflowError, match="Agent not initialized"):
        _ = Report(None, {}).agent  # type: ignore[arg-type]


async def test_a_sub_agent_s_workflow_reports_to_the_sub_agent():
    class Boss(Agent):
        sub_agents = (Desk,)

        async def begin(self):
            child = await self.dynamic_agents.get(Desk, "child")
            return await child.begin()

        async def look(self):
            child = await self.dynamic_agents.get(Desk, "child")
            return await child.look()

    async with workflow_runtime(Report, agents=[Boss]) as runtime:
        boss = runtime.namespaces["Boss"].get_by_name("b")
        id = await boss.begin()
        status = await ended(runtime, "Report", id)
        assert status["output"] == [{}, "hello noted by child", id, "Report"]
        heard, _ = await boss.look()
        assert [kind for kind, *_ in heard] == ["progress", "event", "complete"]


# What workflows do to agents


async def test_a_workflow_can_change_the_agent_s_state():
    acts = [["update", [{"n": 1, "word": "set"}]], ["merge", [{"n": 2}]]]
    async with office() as runtime:
        id = await desk(runtime).begin("States", {"acts": acts})
        await ended(runtime, "States", id)
        assert (await desk(runtime).look())[1] == {"n": 2, "word": "set"}
        await ended(runtime, "States", await desk(runtime).begin("States", {"acts": [["reset", []]]}))
        assert (await desk(runtime).look())[1] == {"n": 0, "word": "first"}


@pytest.mark.parametrize(("says_so", "text"), [(False, "broken"), (True, "said")])
async def test_an_error_is_reported_once(says_so, text):
    async with office() as runtime:
        id = await desk(runtime).begin("Failing", {"says_so": says_so})
        assert (await ended(runtime, "Failing", id))["error"] == {"name": "ValueError", "message": "broken"}
        assert (await desk(runtime).look())[0] == [["error", text]]
        assert await desk(runtime).tracked(id) == [
            "Failing",
            "errored",
            None,
            {"name": "WorkflowError", "message": text},
        ]


async def test_an_agent_may_take_all_reports_in_one_place():
    class One(Desk):
        async def on_workflow_callback(self, callback):
            self.heard.append(callback["type"])
            if callback["type"] == "complete":
                await self.workflows.on_workflow_callback(callback)

    async with workflow_runtime(Report, agents=[One]) as runtime:
        one = runtime.namespaces["One"].get_by_name("o")
        await ended(runtime, "Report", await one.begin())
        assert (await one.look())[0] == ["progress", "event", "complete", ["complete", "hello noted by o"]]


async def test_what_a_workflow_reports_as_a_step_is_reported_once(tmp_path):
    clock = ManualClock()

    class Long(AgentWorkflow):
        async def run(self, event, step):
            await step.send_event("once")
            await step.sleep("long", "1 hour")

    async with workflow_runtime(Long, agents=[Desk], storage=tmp_path, clock=clock) as runtime:
        id = await desk(runtime).begin("Long")
        await settle()
        assert (await desk(runtime).look())[0] == [["event", "once"]]
    await clock.advance(3600)
    async with workflow_runtime(Long, agents=[Desk], storage=tmp_path, clock=clock) as runtime:
        await ended(runtime, "Long", id)
        assert (await desk(runtime).look())[0] == []


@pytest.mark.parametrize("method", ["run_workflow", "get_workflows", "start"])
async def test_no_more_than_reports_can_be_called_from_outside(method):
    async with office() as runtime:
        with pytest.raises(AttributeError, match="no method"):
            await call_part(desk(runtime), "workflows", method)


# Approval


async def test_an_approval_lets_the_workflow_go_on_with_what_it_says():
    async with office() as runtime:
        id = await desk(runtime).begin("Approval")
        await ended(runtime, "Approval", id, "waiting")
        await desk(runtime).do("approve_workflow", id, reason="fine", metadata={"by": "ann"})
        assert (await ended(runtime, "Approval", id))["output"] == {"by": "ann"}


@pytest.mark.parametrize(
    ("reason", "reported", "message"),
    [("too dear", "too dear", "Workflow rejected: too dear"), (None, "Workflow rejected", "Workflow rejected")],
)
async def test_a_rejection_ends_it_and_is_reported_once(reason, reported, message):
    async with office() as runtime:
        id = await desk(runtime).begin("Approval")
        await desk(runtime).do("reject_workflow", id, reason=reason)
        assert (await ended(runtime, "Approval", id))["error"] == {"name": "WorkflowRejectedError", "message": message}
        assert (await desk(runtime).look())[0] == [["error", reported]]


async def test_a_workflow_can_catch_the_rejection():
    class Kind(AgentWorkflow):
        async def run(self, event, step):
            try:
                await self.wait_for_approval(step, event_type="approval", step_name="ask")
            except WorkflowRejectedError as error:
                return [error.reason, error.workflow_id]

    async with workflow_runtime(Kind, agents=[Desk]) as runtime:
        id = await desk(runtime).begin("Kind")
        await desk(runtime).do("reject_workflow", id, reason="no")
        assert (await ended(runtime, "Kind", id))["output"] == ["no", id]


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 86_400), ("7 days", 604_800)])
async def test_an_approval_that_does_not_come_is_an_error_in_time(timeout, seconds):
    clock = ManualClock()
    async with office(clock=clock) as runtime:
        id = await desk(runtime).begin("Approval", {"timeout": timeout})
        await clock.advance(seconds - 1)
        await ended(runtime, "Approval", id, "waiting")
        await clock.advance(1)
        assert (await ended(runtime, "Approval", id))["output"] == f"Execution timed out after {seconds * 1000}ms"


async def test_an_approval_comes_after_a_restart_of_the_runtime(tmp_path):
    clock = ManualClock()
    async with office(storage=tmp_path, clock=clock) as runtime:
        id = await desk(runtime).begin("Approval")
        await clock.advance(60)
    async with office(storage=tmp_path, clock=clock) as runtime:
        await desk(runtime).do("approve_workflow", id, metadata="after")
        assert (await ended(runtime, "Approval", id))["output"] == "after"


# Steering


async def test_a_workflow_is_paused_resumed_terminated_and_begun_anew():
    async with office() as runtime:
        d = desk(runtime)
        id = await d.begin("Waiting")
        await ended(runtime, "Waiting", id, "waiting")
        seen = []
        for act in ("pause", "resume", "terminate", "restart"):
            await d.do(f"{act}_workflow", id)
            seen.append((await d.tracked(id))[1])
        assert seen[0] == "paused"
        assert seen[1] in ("running", "waiting")
        assert seen[2:] == ["terminated", "queued"]
        await d.do("send_workflow_event", "Waiting", id, {"type": "go", "payload": "went"})
        assert (await ended(runtime, "Waiting", id))["output"] == "went"
        assert "'output': 'went'" in await d.do("get_workflow_status", "Waiting", id)
        assert (await d.tracked(id))[1] == "complete"
        with pytest.raises(WorkflowError, match=r"instance\.cannot_terminate"):
            await d.do("terminate_workflow", id)


async def test_a_restart_may_keep_the_time_of_the_first_start():
    clock = ManualClock()
    async with office(clock=clock) as runtime:
        d = desk(runtime)
        id = await d.begin("Waiting")
        before = await d.do("get_workflow", id)
        await clock.advance(100)
        await d.do("restart_workflow", id, reset_tracking=False)
        kept = await d.do("get_workflow", id)
        await d.do("restart_workflow", id)
        reset = await d.do("get_workflow", id)
    started = "created_at=datetime.datetime(2026, 1, 1, 0, 0,"
    assert [started in text for text in (before, kept, reset)] == [True, True, False]


@pytest.mark.parametrize("method", ["approve", "reject", "terminate", "pause", "resume", "restart"])
async def test_a_workflow_that_is_not_tracked_cannot_be_steered(method):
    async with office() as runtime:
        with pytest.raises(AgentError, match="Workflow x not found in tracking table"):
            await desk(runtime).do(f"{method}_workflow", "x")


async def test_the_status_of_an_unknown_workflow_is_not_found():
    async with office() as runtime:
        with pytest.raises(InstanceNotFound):
            await desk(runtime).do("get_workflow_status", "Waiting", "x")


async def test_agents_tell_what_they_do_with_workflows():
    async with office() as runtime:
        told = []
        runtime.events.subscribe("agents:workflow", lambda event: told.append((event.type, dict(event.payload))))
        d = desk(runtime)
        id = await d.begin("Approval", id="a")
        await d.do("pause_workflow", id)
        await d.do("resume_workflow", id)
        await d.do("approve_workflow", id, reason="ok")
        await d.do("restart_workflow", id)
        await d.do("reject_workflow", id)
        await d.begin("Waiting", id="w")
        await d.do("terminate_workflow", "w")
    named = {"workflow_id": "a", "workflow_name": "Approval"}
    sent = ("workflow:event", {"workflow_id": "a", "event_type": "approval"})
    assert told == [
        ("workflow:start", named),
        ("workflow:paused", named),
        ("workflow:resumed", named),
        sent,
        ("workflow:approved", {"workflow_id": "a", "reason": "ok"}),
        ("workflow:restarted", named),
        sent,
        ("workflow:rejected", {"workflow_id": "a", "reason": None}),
        ("workflow:start", {"workflow_id": "w", "workflow_name": "Waiting"}),
        ("workflow:terminated", {"workflow_id": "w", "workflow_name": "Waiting"}),
    ]


# Remembered


async def test_workflows_are_found_by_what_is_known_of_them():
    async with office() as runtime:
        d = desk(runtime)
        await d.begin("Waiting", id="a", metadata={"for": "ann", "urgent": True})
        await d.begin("Approval", id="b", metadata={"for": "bob"})
        await d.begin("Waiting", id="c")
        await d.do("terminate_workflow", "c")
        assert await d.page(order_by="asc") == (["a", "b", "c"], 3, None)
        assert await d.page() == (["c", "b", "a"], 3, None)
        assert (await d.page(status="terminated"))[0] == ["c"]
        assert (await d.page(status=["queued", "terminated"]))[1] == 3
        assert (await d.page(workflow_name="Approval"))[0] == ["b"]
        assert (await d.page(metadata={"for": "ann", "urgent": True}))[0] == ["a"]
        assert (await d.page(metadata={"for": "ann", "urgent": False}))[0] == []


@pytest.mark.parametrize("order_by", ["asc", "desc"])
async def test_pages_of_workflows_follow_each_other(order_by):
    clock = ManualClock()
    async with office(clock=clock) as runtime:
        d, found, cursor = desk(runtime), [], None
        for number in range(5):
            await d.begin("Waiting", id=f"w{number}")
            await clock.advance(number % 2)
        for _ in range(3):
            ids, total, cursor = await d.page(limit=2, order_by=order_by, cursor=cursor)
            found += ids
            assert total == 5
        assert cursor is None
    wanted = [f"w{number}" for number in range(5)]
    assert found == (wanted if order_by == "asc" else wanted[::-1])


@pytest.mark.parametrize("cursor", ["nonsense", "e30=", "ä"])
async def test_a_cursor_that_was_not_given_out_is_an_error(cursor):
    async with office() as runtime:
        with pytest.raises(AgentError, match="Invalid pagination cursor"):
            await desk(runtime).page(cursor=cursor)


async def test_workflows_can_be_forgotten():
    clock = ManualClock()
    async with office(clock=clock) as runtime:
        d = desk(runtime)
        await d.begin("Waiting", id="a")
        await clock.advance(10)
        await d.begin("Waiting", id="b")
        assert [await d.do("delete_workflow", id) for id in ("b", "b", "nobody")] == ["True", "False", "False"]
        assert await d.do("delete_workflows", created_before=clock.now() - timedelta(seconds=5)) == "1"
        assert (await d.page())[1] == 0
        # It goes on all the same.
        assert (await ended(runtime, "Waiting", "a", "waiting"))["status"] == "waiting"


async def test_workflows_of_a_binding_that_was_renamed_can_be_taken_along(tmp_path, caplog):
    clock = ManualClock()
    async with office(storage=tmp_path, clock=clock) as runtime:
        await desk(runtime).begin("Waiting", id="a")

    class Renamed(WorkflowEntrypoint):
        async def run(self, event, step):
            return None

    async with workflow_runtime(Renamed, agents=[Desk], storage=tmp_path, clock=clock) as runtime:
        d = desk(runtime)
        assert await d.do("migrate_workflow_binding", "Waiting", "Renamed") == "1"
        assert (await d.tracked("a"))[0] == "Renamed"
        with pytest.raises(AgentError, match="Workflow binding 'Gone' not found"):
            await d.do("migrate_workflow_binding", "Renamed", "Gone")
    assert "1 workflow(s) of Desk 'd' (1 active, 0 ended) belong to the binding 'Waiting'" in caplog.text
    assert "self.migrate_workflow_binding('Waiting', 'Renamed')" in caplog.text


async def test_an_agent_that_only_looks_has_no_database(tmp_path):
    async with office(storage=tmp_path) as runtime:
        looked = await desk(runtime).page()
        assert looked == ([], 0, None)
        assert await desk(runtime).tracked("x") is None
        assert await desk(runtime).do("delete_workflows") == "0"
    assert list(tmp_path.rglob("objects/**/*.sqlite")) == []


async def test_a_control_call_is_tried_again_when_the_instance_was_reset():
    from edgeagents_workflows import WorkflowInstance

    from edgeagents.errors import ObjectReset

    clock, calls = ManualClock(), []
    original = WorkflowInstance.send_event

    async def flaky(self, *args, **kwargs):
        calls.append(args)
        if len(calls) < 3:
            raise ObjectReset("gone")
        await original(self, *args, **kwargs)

    async with office(clock=clock) as runtime:
        id = await desk(runtime).begin("Waiting")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WorkflowInstance, "send_event", flaky)
            sending = asyncio.ensure_future(
                desk(runtime).do("send_workflow_event", "Waiting", id, {"type": "go", "payload": json.loads("1")})
            )
            await clock.advance(10)
            await sending
        assert (await ended(runtime, "Waiting", id))["output"] == 1
    assert len(calls) == 3
