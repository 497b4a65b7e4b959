"""``AgentWorkflow``: a workflow that an agent has started, and that reports to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from typing_extensions import TypeVar

from edgeagents.objects import Namespace, call_part
from edgeagents_workflows.agent_capability import Workflows
from edgeagents_workflows.durations import Duration
from edgeagents_workflows.entrypoint import EnvT, ParamsT, WorkflowEntrypoint, WorkflowEvent
from edgeagents_workflows.errors import WorkflowError, WorkflowRejectedError, describe
from edgeagents_workflows.execution import Execution
from edgeagents_workflows.step import WorkflowStep

if TYPE_CHECKING:
    from edgeagents.worker import ExecutionContext

__all__ = ["AgentWorkflow", "AgentWorkflowStep"]

ResultT = TypeVar("ResultT", default=Any)

_INJECTED: Final = ("__agentName", "__agentBinding", "__workflowName", "__agentOrigin")
_ORIGIN_VERSION: Final = 1


class AgentWorkflowStep(WorkflowStep):
    """Steps that reach the agent as well: each is done once, whatever happens to the process."""

    def __init__(self, execution: Execution, workflow: AgentWorkflow[Any, Any]) -> None:
        super().__init__(execution)
        self._workflow = workflow
        self._reports = 0

    async def report_complete(self, result: Any = None) -> None:
        """Tell the agent that the work is done: its ``on_workflow_complete``."""
        await self._once("reportComplete", lambda: self._workflow.notify_agent("complete", result=result))

    async def report_error(self, error: BaseException | str) -> None:
        """Tell the agent that the work has failed: its ``on_workflow_error``."""
        text = error if isinstance(error, str) else describe(error)[1]
        self._workflow.has_reported_error = True
        await self._once("reportError", lambda: self._workflow.notify_agent("error", error=text))

    async def send_event(self, event: Any) -> None:
        """Tell the agent something else: its ``on_workflow_event``."""
        await self._once("sendEvent", lambda: self._workflow.notify_agent("event", event=event))

    async def update_agent_state(self, state: Any) -> None:
        """Replace the agent's state, which all its clients see."""
        await self._once("updateState", lambda: self._workflow.call_agent_part("update_state", "set", state))

    async def merge_agent_state(self, part: Mapping[str, Any]) -> None:
        """Change these parts of the agent's state."""
        await self._once("mergeState", lambda: self._workflow.call_agent_part("update_state", "merge", part))

    async def reset_agent_state(self) -> None:
        """Make the agent's state what it was at first."""
        await self._once("resetState", lambda: self._workflow.call_agent_part("update_state", "reset"))

    async def _once(self, what: str, tell: Callable[[], Awaitable[None]]) -> None:
        name = f"__agent_{what}_{self._reports}"
        self._reports += 1

        async def told() -> None:
            await tell()

        await self.run(name, None, told)


class AgentWorkflow(WorkflowEntrypoint[EnvT, ParamsT]):
    """A workflow that ``agent.run_workflow(...)`` starts. Its ``run`` gets an ``AgentWorkflowStep``.

    An error that ``run`` does not catch is reported to the agent. What is not a step may be reported more than once.
    """

    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, ctx: ExecutionContext, env: EnvT) -> None:
        super().__init__(ctx, env)
        self.__workflow_id = self.__workflow_name = ""
        self.__root: tuple[Namespace[Any], str] | None = None
        self.__now: Callable[[], int] = int
        self.__path: Sequence[Mapping[str, str]] = ()
        self.has_reported_error = False

    @property
    def agent(self) -> Any:
        """A stub of the agent that has started this workflow: ``await self.agent.update_status("done")``."""
        if self.__root is None:
            raise WorkflowError("Agent not initialized. Ensure you're accessing self.agent inside run().")
        namespace, name = self.__root
        # A new one each time: a stub does not outlive a reset of its object, and workflows live long.
        root = namespace.get_by_name(name)
        return _SubAgent(root, self.__path) if self.__path else root

    @property
    def workflow_id(self) -> str:
        """The id of this instance."""
        return self.__workflow_id

    @property
    def workflow_name(self) -> str:
        """The name of the binding that this was started by."""
        return self.__workflow_name

    async def report_progress(self, progress: Mapping[str, Any]) -> None:
        """Tell the agent how far it is: ``{"step", "status", "message", "percent"}``, or whatever it understands."""
        await self.notify_agent("progress", progress=progress)

    async def broadcast_to_clients(self, message: Any) -> None:
        """Send a JSON value to all clients that are connected to the agent."""
        await self.call_agent_part("broadcast", message)

    async def wait_for_approval(
        self,
        step: AgentWorkflowStep,
        *,
        timeout: Duration | None = None,
        event_type: str = "approval",
        step_name: str = "wait-for-approval",
    ) -> Any:
        """Wait until the agent approves, and return the ``metadata`` that it approves with.

        Raises ``WorkflowRejectedError`` when it rejects, after telling it so, and ``WorkflowTimeoutError`` when nobody
        decides in time (24 hours).
        """
        event = await step.wait_for_event(step_name, event_type, timeout)
        decision: Mapping[str, Any] = event.payload
        if not decision.get("approved"):
            reason = decision.get("reason")
            await step.report_error("Workflow rejected" if reason is None else reason)
            raise WorkflowRejectedError(reason, self.__workflow_id)
        return decision.get("metadata")

    async def notify_agent(self, kind: str, **what: Any) -> None:
        """Report to the agent: ``kind`` is ``progress``, ``complete``, ``error`` or ``event``."""
        callback = {
            "workflow_name": self.__workflow_name,
            "workflow_id": self.__workflow_id,
            "type": kind,
            "timestamp": self.__now(),
            **what,
        }
        await self.call_agent_part("handle_callback", callback)

    async def call_agent_part(self, method: str, *args: Any) -> None:
        """Call a method of the agent's ``workflows``."""
        await call_part(self.agent, Workflows.name, method, *args)

    async def _edgeagents_execute(self, event: WorkflowEvent[Any], step: WorkflowStep) -> Any:
        payload: dict[str, Any] = dict(event.payload)
        origin = {name: payload.pop(name, None) for name in _INJECTED}
        self.__now = step.execution.now
        self.__reach_agent(origin, event.instance_id)
        own_step = AgentWorkflowStep(step.execution, self)
        try:
            return await self.run(replace(event, payload=payload), own_step)
        except Exception as error:
            await self.__report(error)
            raise

    def __reach_agent(self, injected: Mapping[str, Any], instance_id: str) -> None:
        workflow_name, origin = injected["__workflowName"], injected["__agentOrigin"]
        binding, name = injected["__agentBinding"], injected["__agentName"]
        if not workflow_name or not (origin or (binding and name)):
            raise WorkflowError(
                "AgentWorkflow requires __agentName, __agentBinding, and __workflowName in params. "
                "Use agent.run_workflow() to start workflows with proper agent context."
            )
        if origin:
            if origin["version"] != _ORIGIN_VERSION:
                raise WorkflowError(
                    f"AgentWorkflow received an unsupported origin version ({origin['version']}). A newer version of "
                    "edgeagents-workflows has started it: install that."
                )
            if origin["kind"] == "facet":
                binding, name, self.__path = origin["rootBinding"], origin["path"][0]["name"], origin["path"][1:]
            else:
                binding, name = origin["binding"], origin["name"]
        env: Any = self.env
        namespace = env.get(binding) if isinstance(env, Mapping) else getattr(env, binding, None)
        if not isinstance(namespace, Namespace):
            raise WorkflowError(f"Agent binding '{binding}' not found in environment")
        self.__workflow_id, self.__workflow_name = instance_id, workflow_name
        self.__root = (namespace, name)

    async def __report(self, error: Exception) -> None:
        if self.has_reported_error:
            return
        self.has_reported_error = True
        try:
            await self.notify_agent("error", error=describe(error)[1])
        except Exception:
            # What happened is told by the instance, and must not be hidden by a report that fails.
            return


class _SubAgent:
    """The methods of an agent within agents: each call goes through its root."""

    def __init__(self, root: Any, path: Sequence[Mapping[str, str]]) -> None:
        self._root, self._path = root, path

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("_"):
            raise AttributeError(method)
        if method == "fetch":
            raise WorkflowError("A workflow of a sub-agent reaches it by calls only, not by fetch().")

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._invoke(method, args, kwargs)

        return call

    async def _edgeagents_call_part(self, part: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self._invoke(f"{part}:{method}", args, kwargs)

    async def _invoke(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        (first, *between) = self._path
        for step in reversed(between):
            args, kwargs, method = (step["className"], step["name"], method, args, kwargs), {}, "dynamic_agents:invoke"
        return await call_part(
            self._root, "dynamic_agents", "invoke", first["className"], first["name"], method, args, kwargs
        )
