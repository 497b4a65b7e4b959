"""A workflow written for Cloudflare's SDK runs on the workflow engine: steps, dependencies, errors, events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgeagents.testing import ManualClock

pytestmark = pytest.mark.cloudflare("Workers", "workflows of Python Workers", "same")

WORKER = """
    from workers import Response, WorkerEntrypoint, WorkflowEntrypoint
    from workers.workflows import NonRetryableError

    class Work(WorkflowEntrypoint):
        async def run(self, event, step):
            kind = event["payload"].get("kind", "plain")

            @step.do("first")
            async def first():
                print("ran first")
                return {"n": 1, "kind": kind}

            if kind == "plain":
                @step.do("second")
                async def second(first, ctx):
                    return [first["n"] + 1, int(ctx["attempt"]), ctx["step"]["name"]]

                await step.sleep("rest", "1 hour")
                return {"result": await second(), "id": event.instanceId, "name": event.workflowName}

            if kind == "event":
                got = await step.wait_for_event("wait", "go")
                return got["payload"]

            @step.do("bad", config={"retries": {"limit": 1, "delay": "1 second"}})
            async def bad(ctx):
                print("ran bad", int(ctx["attempt"]))
                raise (NonRetryableError("stop") if kind == "final" else ValueError("no"))

            try:
                await bad()
            except (ValueError, NonRetryableError) as error:
                return f"{type(error).__name__}: {error}"

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            command, _, rest = request.url.removeprefix("http://localhost/").partition("/")
            if command == "start":
                instance = await self.env.FLOW.create({"id": rest, "params": {"kind": rest}})
                return Response.json({"id": instance.id})
            instance = await self.env.FLOW.get(rest)
            if command == "go":
                await instance.send_event({"type": "go", "payload": {"x": [1]}})
            status = await instance.status()
            return Response.json({"status": status["status"], "output": status.output, "error": status["error"]})
"""


@pytest.fixture
async def worker(run: Any) -> Any:
    clock = ManualClock()
    worker = await run(
        WORKER,
        workflows=[{"binding": "FLOW", "name": "flow", "class_name": "Work"}],
        runtime={"clock": clock},
    )
    worker.clock = clock
    return worker


async def status(worker: Any, name: str) -> dict[str, Any]:
    return json.loads(await worker.text(f"/status/{name}"))


async def test_steps_have_results_dependencies_and_a_context(worker, capsys):
    assert json.loads(await worker.text("/start/plain")) == {"id": "plain"}
    await worker.clock.advance(1)
    assert (await status(worker, "plain"))["status"] in ("waiting", "running")
    await worker.clock.advance(3600)
    assert await status(worker, "plain") == {
        "status": "complete",
        "output": {"result": [2, 1, "second"], "id": "plain", "name": "flow"},
        "error": None,
    }
    assert capsys.readouterr().out.count("ran first") == 1


async def test_an_event_reaches_the_instance_that_waits(worker):
    await worker.text("/start/event")
    await worker.clock.advance(1)
    await worker.text("/go/event")
    await worker.clock.advance(1)
    assert (await status(worker, "event"))["output"] == {"x": [1]}


@pytest.mark.parametrize(
    ("kind", "output", "attempts"), [("fails", "ValueError: ", 2), ("final", "NonRetryableError: stop", 1)]
)
async def test_errors_are_tried_again_and_then_keep_their_kind(worker, capsys, kind, output, attempts):
    await worker.text(f"/start/{kind}")
    for _ in range(5):
        await worker.clock.advance(1)
    assert (await status(worker, kind))["output"].startswith(output)
    assert capsys.readouterr().out.count("ran bad") == attempts


async def test_an_instance_that_is_not_there_says_so(worker):
    with pytest.raises(Exception, match="not_found"):
        await worker.fetch("/status/nobody")
