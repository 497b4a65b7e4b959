"""The agents' part: start workflows, steer them, know of them, and hear what they report."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeVar

from edgeagents.agents import Capability, CapabilityHost, kebab_case, protocol
from edgeagents.agents.retries import RetryOptions, try_up_to
from edgeagents.agents.state import UNSET
from edgeagents.errors import AgentError, ObjectError
from edgeagents.objects import Namespace, nanoid
from edgeagents_workflows.binding import InstanceStatus, Workflow, WorkflowInstance, WorkflowRetention, WorkflowStatus
from edgeagents_workflows.tracking import Criteria, Tracking, WorkflowInfo, WorkflowPage

__all__ = ["Workflows"]

T = TypeVar("T")

_CONTROL: Final = RetryOptions(3, 200, 3000)


class Workflows(Capability):
    """``agent.workflows``, whose methods the agent has too.

    What a workflow reports reaches the agent's ``on_workflow_progress``, ``on_workflow_complete``,
    ``on_workflow_error`` and ``on_workflow_event``, each called with the binding's name, the workflow's id and what was
    reported. An agent with an ``on_workflow_callback(callback)`` gets all of it there instead, and may pass it on:
    ``await self.workflows.on_workflow_callback(callback)``.
    """

    name: ClassVar[str] = "workflows"
    exports: ClassVar[tuple[str, ...]] = (
        "run_workflow",
        "send_workflow_event",
        "approve_workflow",
        "reject_workflow",
        "terminate_workflow",
        "pause_workflow",
        "resume_workflow",
        "restart_workflow",
        "get_workflow_status",
        "get_workflow",
        "get_workflows",
        "delete_workflow",
        "delete_workflows",
        "migrate_workflow_binding",
        "on_workflow_callback",
    )
    remote: ClassVar[tuple[str, ...]] = ("handle_callback", "broadcast", "update_state")

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self._tracking = Tracking(host.ctx.storage, host.ctx.clock)

    async def start(self, props: Mapping[str, Any] | None) -> None:
        """Warn of workflows whose binding is not there any more."""
        for name, active, ended in self._tracking.counts():
            if self._find(name) is None:
                known = [key for key, _ in self._bindings()]
                new = known[0] if len(known) == 1 else "<NEW_BINDING_NAME>"
                self.host.ctx.logger.warning(
                    "%d workflow(s) of %s %r (%d active, %d ended) belong to the binding %r, which there is not. "
                    "If it was renamed, call self.migrate_workflow_binding(%r, %r).",
                    *(active + ended, self.host.class_name, self.host.name, active, ended, name, name, new),
                )

    # What the agent's code calls

    async def run_workflow(
        self,
        workflow_name: str,
        params: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        agent_binding: str | None = None,
        retention: WorkflowRetention | None = None,
    ) -> str:
        """Start a workflow of the binding ``workflow_name``, and return its id.

        An ``AgentWorkflow`` reports to this agent. ``metadata`` is JSON to find it by with ``get_workflows``.
        ``agent_binding`` is the name in ``env`` that this agent is reached by, if its class does not tell.
        """
        workflow = self._binding(workflow_name)
        origin = self._origin(agent_binding)
        workflow_id = f"wf_{nanoid(self.host.ctx.rng)}" if id is None else id
        if self._tracking.get(workflow_id) is not None:
            raise AgentError(f'Workflow with ID "{workflow_id}" is already being tracked')
        # First, for the workflow may report before its start is known here.
        self._tracking.add(nanoid(self.host.ctx.rng), workflow_id, workflow_name, metadata)
        injected = {
            "__agentName": self.host.name,
            "__agentBinding": origin["binding" if origin["kind"] == "agent" else "rootBinding"],
            "__workflowName": workflow_name,
            "__agentOrigin": origin,
        }
        try:
            await workflow.create(id=workflow_id, params={**(params or {}), **injected}, retention=retention)
        except BaseException:
            self._tracking.delete(workflow_id)
            raise
        self.host.emit("workflow:start", workflow_id=workflow_id, workflow_name=workflow_name)
        return workflow_id

    async def send_workflow_event(self, workflow_name: str, workflow_id: str, event: Mapping[str, Any]) -> None:
        """Send ``{"type", "payload"}`` to a workflow, for the step that waits for such an event."""
        instance = await self._binding(workflow_name).get(workflow_id)
        await self._control(lambda: instance.send_event(event))
        self.host.emit("workflow:event", workflow_id=workflow_id, event_type=event.get("type"))

    async def approve_workflow(
        self, workflow_id: str, *, reason: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Let a workflow go on that stands at ``wait_for_approval``, which returns ``metadata``."""
        await self._decide(workflow_id, {"approved": True, "reason": reason, "metadata": metadata})
        self.host.emit("workflow:approved", workflow_id=workflow_id, reason=reason)

    async def reject_workflow(self, workflow_id: str, *, reason: str | None = None) -> None:
        """Make the ``wait_for_approval`` of a workflow raise ``WorkflowRejectedError``."""
        await self._decide(workflow_id, {"approved": False, "reason": reason})
        self.host.emit("workflow:rejected", workflow_id=workflow_id, reason=reason)

    async def terminate_workflow(self, workflow_id: str) -> None:
        """End a workflow now. Raises ``WorkflowError`` when it has ended already."""
        await self._change(workflow_id, "terminated", lambda instance: instance.terminate())

    async def pause_workflow(self, workflow_id: str) -> None:
        """Stop a workflow when the steps that run now have ended."""
        await self._change(workflow_id, "paused", lambda instance: instance.pause())

    async def resume_workflow(self, workflow_id: str) -> None:
        """Let a paused workflow go on."""
        await self._change(workflow_id, "resumed", lambda instance: instance.resume())

    async def restart_workflow(self, workflow_id: str, *, reset_tracking: bool = True) -> None:
        """Run a workflow from its beginning. Without ``reset_tracking`` it keeps the time of its first start."""
        if not reset_tracking:
            await self._change(workflow_id, "restarted", lambda instance: instance.restart())
            return
        info = self._tracked(workflow_id)
        instance = await self._binding(info.workflow_name).get(workflow_id)
        # First, for it may report before this goes on.
        self._tracking.restarted(workflow_id)
        await self._control(instance.restart)
        self.host.emit("workflow:restarted", workflow_id=workflow_id, workflow_name=info.workflow_name)

    async def get_workflow_status(self, workflow_name: str, workflow_id: str) -> InstanceStatus:
        """Ask a workflow where it stands, and remember it."""
        instance = await self._binding(workflow_name).get(workflow_id)
        status = await instance.status()
        self._tracking.update(workflow_id, status)
        return status

    def get_workflow(self, workflow_id: str) -> WorkflowInfo | None:
        """Return what is remembered of a workflow, or None."""
        return self._tracking.get(workflow_id)

    def get_workflows(
        self,
        *,
        status: WorkflowStatus | Sequence[WorkflowStatus] | None = None,
        workflow_name: str | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        limit: int = 50,
        order_by: Literal["asc", "desc"] = "desc",
        cursor: str | None = None,
    ) -> WorkflowPage:
        """Return the workflows that fit, at most ``limit`` (100), from ``cursor`` on: a page's ``next_cursor``."""
        criteria = Criteria(status, workflow_name, metadata)
        return self._tracking.page(criteria, limit=limit, order_by=order_by, cursor=cursor)

    def delete_workflow(self, workflow_id: str) -> bool:
        """Forget a workflow, which goes on if it does; return whether it was remembered."""
        return self._tracking.delete(workflow_id)

    def delete_workflows(
        self,
        *,
        status: WorkflowStatus | Sequence[WorkflowStatus] | None = None,
        workflow_name: str | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        created_before: datetime | None = None,
    ) -> int:
        """Forget the workflows that fit; return how many."""
        return self._tracking.delete_all(Criteria(status, workflow_name, metadata, created_before))

    def migrate_workflow_binding(self, old_name: str, new_name: str) -> int:
        """Give what is remembered of a binding to the one that it is called now; return how many they are."""
        self._binding(new_name)
        return self._tracking.rename(old_name, new_name)

    # What workflows call

    async def handle_callback(self, callback: Mapping[str, Any]) -> None:
        """Take what a workflow reports."""
        await self.host.call("on_workflow_callback", callback)

    async def on_workflow_callback(self, callback: Mapping[str, Any]) -> None:
        """Remember what a workflow reports, and tell the agent's hook for it."""
        kind, name, id = callback["type"], callback["workflow_name"], callback["workflow_id"]
        match kind:
            case "progress":
                self._tracking.progressed(id)
                await self.host.call("on_workflow_progress", name, id, callback["progress"])
            case "complete":
                self._tracking.ended(id)
                await self.host.call("on_workflow_complete", name, id, callback.get("result"))
            case "error":
                self._tracking.ended(id, callback["error"])
                if self.host.find("on_workflow_error") is None:
                    self.host.ctx.logger.error(
                        "The workflow %s %s failed: %s. Define on_workflow_error(self, name, id, error) to handle it.",
                        *(name, id, callback["error"]),
                    )
                await self.host.call("on_workflow_error", name, id, callback["error"])
            case "event":
                await self.host.call("on_workflow_event", name, id, callback["event"])
            case _:
                raise AgentError(f"{kind!r} is nothing that a workflow reports.")

    async def broadcast(self, message: Any) -> None:
        """Send a JSON value to all connected clients."""
        self.host.connections.broadcast(protocol.encode(message))

    async def update_state(self, action: Literal["set", "merge", "reset"], state: Any = None) -> None:
        """Replace the agent's state, change parts of it, or make it what it was at first."""
        match action:
            case "set":
                changed = state
            case "merge":
                changed = _merged(self.host.find("state"), state)
            case "reset":
                changed = self.host.find("initial_state")
                if changed is UNSET:
                    raise AgentError(f"{self.host.class_name} has no initial_state to go back to.")
        await self.host.call("set_state", changed)

    # How

    async def _decide(self, workflow_id: str, payload: Mapping[str, Any]) -> None:
        info = self._tracked(workflow_id)
        await self.send_workflow_event(info.workflow_name, workflow_id, {"type": "approval", "payload": payload})

    async def _change(self, workflow_id: str, done: str, change: Callable[[WorkflowInstance], Awaitable[None]]) -> None:
        info = self._tracked(workflow_id)
        instance = await self._binding(info.workflow_name).get(workflow_id)
        await self._control(lambda: change(instance))
        self._tracking.update(workflow_id, await instance.status())
        self.host.emit(f"workflow:{done}", workflow_id=workflow_id, workflow_name=info.workflow_name)

    async def _control(self, call: Callable[[], Awaitable[T]]) -> T:
        ctx = self.host.ctx
        return await try_up_to(
            lambda _: call(), _CONTROL, clock=ctx.clock, rng=ctx.rng, should_retry=lambda error, _: _is_passing(error)
        )

    def _tracked(self, workflow_id: str) -> WorkflowInfo:
        info = self._tracking.get(workflow_id)
        if info is None:
            raise AgentError(f"Workflow {workflow_id} not found in tracking table")
        return info

    def _binding(self, name: str) -> Workflow:
        workflow = self._find(name)
        if workflow is None:
            raise AgentError(f"Workflow binding '{name}' not found in environment")
        return workflow

    def _find(self, name: str) -> Workflow | None:
        return next((value for key, value in self._bindings() if key == name), None)

    def _bindings(self) -> Iterator[tuple[str, Workflow]]:
        return ((key, value) for key, value in _values(self.host.env).items() if isinstance(value, Workflow))

    def _origin(self, binding: str | None) -> dict[str, Any]:
        path: Sequence[tuple[str, str]] = self.host.find("self_path") or ((self.host.class_name, self.host.name),)
        binding = binding or self._binding_of(path[0][0])
        if binding is None:
            raise AgentError(
                "Could not detect Agent binding name from class name. "
                f"No binding in env is of the class {path[0][0]!r}: pass its name as agent_binding."
            )
        if len(path) == 1:
            return {"kind": "agent", "version": 1, "binding": binding, "name": self.host.name}
        steps = [{"className": class_name, "name": name} for class_name, name in path]
        return {"kind": "facet", "version": 1, "rootBinding": binding, "path": steps}

    def _binding_of(self, class_name: str) -> str | None:
        agents = {key: value for key, value in _values(self.host.env).items() if isinstance(value, Namespace)}
        of_class = [key for key, value in agents.items() if value.class_name == class_name]
        # The one that is named after the class, where there are several.
        return next((key for key in of_class if kebab_case(key) == kebab_case(class_name)), *of_class[:1] or [None])


def _values(env: Any) -> Mapping[str, Any]:
    return env if isinstance(env, Mapping) else getattr(env, "__dict__", {})


def _is_passing(error: Exception) -> bool:
    return isinstance(error, ObjectError) and error.retryable and not error.overloaded


def _merged(state: Any, part: Mapping[str, Any]) -> Any:
    if state is None:
        return dict(part)
    if isinstance(state, Mapping):
        return {**state, **part}
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        return dataclasses.replace(state, **part)
    copy = getattr(state, "model_copy", None)  # pydantic
    if copy is not None:
        return copy(update=dict(part))
    raise AgentError(f"A state of the type {type(state).__name__} has no parts to merge.")
