"""Tasks that wait for a person: an agent starts workflows, shows how they get on, and lets its clients decide.

A port of the example "workflows" of the Agents SDK: its callables, its messages and its steps. A workflow that waits
for an approval needs no memory and survives a restart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import uuid4

from edgeagents_workflows import AgentWorkflow, WorkflowEvent, WorkflowInfo

from edgeagents import Agent, Request, Response, WorkerEntrypoint, callable, route_agent_request

BINDING = "TASK_WORKFLOW"


class TaskAgent(Agent):
    """Starts tasks and tells every client what becomes of them.

    What a client sees of a task beyond its status (its latest progress, whether it waits for somebody) is kept beside
    it, so a page that is loaded anew shows the same.
    """

    initial_state: dict[str, Any] = {}

    async def on_start(self) -> None:
        self.sql("create table if not exists shown (workflow_id text primary key, what text not null)")

    @callable()
    async def submit_task(self, task_name: str) -> dict[str, Any]:
        """Start a task."""
        params = {"taskId": str(uuid4()), "taskName": task_name}
        workflow_id = await self.run_workflow(BINDING, params, metadata={"taskName": task_name})
        item = self._item(self.get_workflow(workflow_id))
        self._tell("workflow:added", workflow=item)
        return item

    @callable()
    async def approve(self, workflow_id: str, reason: str = "Approved by user") -> None:
        """Let a task that waits go on."""
        await self.approve_workflow(workflow_id, reason=reason, metadata={"approvedAt": self._now_ms()})
        self._show(workflow_id, status="running", waitingForApproval=False)

    @callable()
    async def reject(self, workflow_id: str, reason: str = "Rejected by user") -> None:
        """End a task that waits; its clients hear of it by ``on_workflow_error``."""
        await self.reject_workflow(workflow_id, reason=reason)

    @callable()
    async def pause(self, workflow_id: str) -> None:
        """Hold a task."""
        await self.pause_workflow(workflow_id)
        self._show(workflow_id, status="paused")

    @callable()
    async def resume(self, workflow_id: str) -> None:
        """Let a task that is held go on."""
        await self.resume_workflow(workflow_id)
        self._show(workflow_id, status="running")

    @callable()
    async def restart(self, workflow_id: str) -> None:
        """Begin a task anew."""
        self._forget(workflow_id)
        await self.restart_workflow(workflow_id)
        self._show(workflow_id, status="queued", waitingForApproval=False)

    @callable()
    async def terminate(self, workflow_id: str) -> None:
        """End a task for good."""
        await self.terminate_workflow(workflow_id)
        self._tell("workflow:removed", workflowId=workflow_id)

    @callable()
    async def list_workflows(self, cursor: str | None = None, limit: int = 5) -> dict[str, Any]:
        """Return the newest tasks, and where the next ones begin."""
        page = self.get_workflows(workflow_name=BINDING, order_by="desc", limit=limit, cursor=cursor)
        return {
            "workflows": [self._item(info) for info in page.workflows],
            "total": page.total,
            "nextCursor": page.next_cursor,
        }

    @callable()
    async def clear_completed(self) -> dict[str, int]:
        """Forget the tasks that are over."""
        count = self.delete_workflows(status=["complete", "errored"])
        self._tell("workflows:cleared", count=count)
        return {"clearedCount": count}

    @callable()
    async def dismiss_workflow(self, workflow_id: str) -> None:
        """Forget one task."""
        self.delete_workflow(workflow_id)
        self._forget(workflow_id)
        self._tell("workflow:removed", workflowId=workflow_id)

    # What workflows report

    async def on_workflow_progress(self, name: str, workflow_id: str, progress: Mapping[str, Any]) -> None:
        waits = bool(progress.get("waitingForApproval"))
        self._show(
            workflow_id, status="waiting" if waits else "running", progress=dict(progress), waitingForApproval=waits
        )

    async def on_workflow_complete(self, name: str, workflow_id: str, result: Any) -> None:
        self._show(workflow_id, status="complete", result=result, waitingForApproval=False)

    async def on_workflow_error(self, name: str, workflow_id: str, error: str) -> None:
        failure = {"name": "WorkflowError", "message": error}
        self._show(workflow_id, status="errored", error=failure, waitingForApproval=False)

    # What clients see

    def _show(self, workflow_id: str, **updates: Any) -> None:
        what = {**self._shown(workflow_id), **updates}
        self.sql("insert or replace into shown values (?, ?)", workflow_id, json.dumps(what))
        self._tell("workflow:updated", workflowId=workflow_id, updates=updates)

    def _shown(self, workflow_id: str) -> dict[str, Any]:
        rows = self.sql("select what from shown where workflow_id = ?", workflow_id)
        return json.loads(rows[0]["what"]) if rows else {}

    def _forget(self, workflow_id: str) -> None:
        self.sql("delete from shown where workflow_id = ?", workflow_id)

    def _item(self, info: WorkflowInfo) -> dict[str, Any]:
        metadata = info.metadata or {}
        item = {_camel(key): _plain(value) for key, value in asdict(info).items()}
        beside = {"taskName": metadata.get("taskName", "Unknown Task"), "progress": None, "waitingForApproval": False}
        return {**item, **beside, **self._shown(info.workflow_id)}

    def _tell(self, kind: str, **fields: Any) -> None:
        self.broadcast(json.dumps({"type": kind, **fields}))

    def _now_ms(self) -> int:
        return int(self.ctx.clock.now().timestamp() * 1000)


class TaskProcessingWorkflow(AgentWorkflow):
    """Validates a task, processes it, waits for an approval, and finishes it."""

    async def run(self, event: WorkflowEvent, step: Any) -> dict[str, Any]:
        task = event.payload
        await self._at("validate", "running", 0.1, "Validating task...")
        await step.do("validate", lambda: {"valid": bool(task["taskName"].strip())})
        await self._at("process", "running", 0.3, "Processing task...")
        done = await step.do(
            "process", lambda: {"processed": True, "taskId": task["taskId"], "data": f"Processed: {task['taskName']}"}
        )
        await self._at("approval", "pending", 0.5, "Waiting for approval...", waitingForApproval=True)
        approval = await self.wait_for_approval(step, timeout="1 hour")
        await self._at("finalize", "running", 0.8, "Finalizing task...")
        result = await step.do(
            "finalize", lambda: {**done, "finalized": True, "approvedAt": (approval or {}).get("approvedAt")}
        )
        await step.report_complete(result)
        return result

    async def _at(self, step: str, status: str, percent: float, message: str, **more: Any) -> None:
        await self.report_progress({"step": step, "status": status, "percent": percent, "message": message, **more})


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/task-agent/<name>``."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
