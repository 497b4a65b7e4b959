"""Workflows: code of many steps that goes on where it stopped, after hours or after a crash.

| to | look in |
|---|---|
| write a workflow | `entrypoint.py`, `step.py` |
| start and steer one | `binding.py` |
| see how steps are tried, kept and replayed | `execution.py`, `journal.py`, `step_config.py` |
| see what wakes an instance | `instance.py`, `binding_type.py` |
| start one from an agent, and hear of it | `agent_workflow.py`, `agent_capability.py`, `tracking.py` |
"""

from edgeagents_workflows.agent_capability import Workflows
from edgeagents_workflows.agent_workflow import AgentWorkflow, AgentWorkflowStep
from edgeagents_workflows.binding import (
    InstanceOptions,
    InstanceStatus,
    Workflow,
    WorkflowInstance,
    WorkflowStatus,
)
from edgeagents_workflows.durations import Duration
from edgeagents_workflows.entrypoint import WorkflowEntrypoint, WorkflowEvent
from edgeagents_workflows.errors import (
    InstanceExists,
    InstanceNotFound,
    NonRetryableError,
    WorkflowError,
    WorkflowFatalError,
    WorkflowInternalError,
    WorkflowRejectedError,
    WorkflowTimeoutError,
)
from edgeagents_workflows.execution import StepContext, StepEvent
from edgeagents_workflows.plugin import workflows_plugin
from edgeagents_workflows.step import WorkflowStep
from edgeagents_workflows.step_config import StepConfig
from edgeagents_workflows.tracking import WorkflowInfo, WorkflowPage

__all__ = [
    "AgentWorkflow",
    "AgentWorkflowStep",
    "Duration",
    "InstanceExists",
    "InstanceNotFound",
    "InstanceOptions",
    "InstanceStatus",
    "NonRetryableError",
    "StepConfig",
    "StepContext",
    "StepEvent",
    "Workflow",
    "WorkflowEntrypoint",
    "WorkflowError",
    "WorkflowEvent",
    "WorkflowFatalError",
    "WorkflowInfo",
    "WorkflowInstance",
    "WorkflowInternalError",
    "WorkflowPage",
    "WorkflowRejectedError",
    "WorkflowStatus",
    "WorkflowStep",
    "WorkflowTimeoutError",
    "Workflows",
    "workflows_plugin",
]
