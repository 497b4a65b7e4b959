"""Agents: Durable Objects with synced state, callables and connections.

The public names are those of ``__all__``. ``agent`` puts an agent together, ``lifecycle`` says what happens in which
order, ``protocol`` knows the frames, ``routing`` finds the agent for a path, ``client`` is the other end in Python.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgeagents.agents.agent import Agent
from edgeagents.agents.callables import CallableMetadata, StreamingResponse, callable
from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.connections import Connection, ConnectionContext
from edgeagents.agents.context import CurrentAgent, get_current_agent
from edgeagents.agents.fiber_ledger import Fiber, FiberOutcome
from edgeagents.agents.fibers import FiberContext, FiberRecovery
from edgeagents.agents.generation import DurableTextStream
from edgeagents.agents.jobs import Job, Jobs
from edgeagents.agents.kebab import kebab_case
from edgeagents.agents.observability import AgentEvent, EventBus, log_events
from edgeagents.agents.options import AgentOptions
from edgeagents.agents.retries import RetryOptions
from edgeagents.agents.routing import (
    AgentRouter,
    RouteInfo,
    RoutingRetry,
    admit,
    get_agent_by_name,
    route_agent_request,
)
from edgeagents.agents.schedules import Schedule, ScheduleCriteria, Scheduler
from edgeagents.agents.streams import DurableStreams
from edgeagents.agents.sub_agent_registry import SubAgentInfo
from edgeagents.agents.sub_agents import DynamicAgents, get_sub_agent_by_name, route_sub_agent_request
from edgeagents.agents.sub_routing import (
    AgentPathStep,
    SubAgentPathMatch,
    build_agent_path,
    build_agent_url,
    parse_sub_agent_path,
)
from edgeagents.agents.task_queue import QueueItem
from edgeagents.agents.tickets import Tickets
from edgeagents.agents.turn_tools import of_part
from edgeagents.objects.namespace import Namespace as AgentNamespace

if TYPE_CHECKING:
    from edgeagents.agents.chat import (
        AIChatAgent,
        ChatOptions,
        ChatRecovery,
        ChatResponse,
        Debounce,
        RecoveryLimits,
    )
    from edgeagents.agents.client import AgentClient, Reconnect
    from edgeagents.agents.parsed_schedule import ParsedSchedule, get_schedule_prompt, when_of

__all__ = [
    "AIChatAgent",
    "Agent",
    "AgentClient",
    "AgentEvent",
    "AgentNamespace",
    "AgentOptions",
    "AgentPathStep",
    "AgentRouter",
    "CallableMetadata",
    "Capability",
    "CapabilityHost",
    "ChatOptions",
    "ChatRecovery",
    "ChatResponse",
    "Connection",
    "ConnectionContext",
    "CurrentAgent",
    "Debounce",
    "DurableStreams",
    "DurableTextStream",
    "DynamicAgents",
    "EventBus",
    "Fiber",
    "FiberContext",
    "FiberOutcome",
    "FiberRecovery",
    "Job",
    "Jobs",
    "ParsedSchedule",
    "QueueItem",
    "Reconnect",
    "RecoveryLimits",
    "RetryOptions",
    "RouteInfo",
    "RoutingRetry",
    "Schedule",
    "ScheduleCriteria",
    "Scheduler",
    "StreamingResponse",
    "SubAgentInfo",
    "SubAgentPathMatch",
    "Tickets",
    "admit",
    "build_agent_path",
    "build_agent_url",
    "callable",
    "get_agent_by_name",
    "get_current_agent",
    "get_schedule_prompt",
    "get_sub_agent_by_name",
    "kebab_case",
    "log_events",
    "of_part",
    "parse_sub_agent_path",
    "route_agent_request",
    "route_sub_agent_request",
    "when_of",
]

# Many programs use none of these, which take a fifth of the time that importing all takes.
_WHEN_ASKED_FOR = {
    **dict.fromkeys(
        ("AIChatAgent", "ChatOptions", "ChatRecovery", "ChatResponse", "Debounce", "RecoveryLimits"),
        "edgeagents.agents.chat",
    ),
    **dict.fromkeys(("AgentClient", "Reconnect"), "edgeagents.agents.client"),
    **dict.fromkeys(("ParsedSchedule", "get_schedule_prompt", "when_of"), "edgeagents.agents.parsed_schedule"),
}


def __getattr__(name: str) -> Any:
    module = _WHEN_ASKED_FOR.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(module), name)
    return value
