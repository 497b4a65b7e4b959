"""The classes that users write subclasses of: what such a subclass calls its own things breaks nothing of the house."""

from __future__ import annotations

from typing import Any

import pytest
from edgeagents_mcp import McpAgent
from edgeagents_workflows import AgentWorkflow, WorkflowEntrypoint

from edgeagents import Agent, AIChatAgent, DurableObject, ExecutionContext, WorkerEntrypoint
from edgeagents.testing import agent_runtime

OBJECTS: list[Any] = [Agent, AIChatAgent, DurableObject, McpAgent]
OTHERS: list[Any] = [WorkerEntrypoint, WorkflowEntrypoint, AgentWorkflow]
# Mangled names are taken care of by Python, and nobody begins one of his own with ours.
OURS = ("_edgeagents_", "_agent_", *(f"_{cls.__name__}__" for cls in (*OBJECTS, *OTHERS)))
OF_PYTHON = {"_is_protocol"}


def takes(name: str) -> bool:
    is_special = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not (is_special or name.startswith(OURS) or name in OF_PYTHON)


@pytest.mark.parametrize("cls", [*OBJECTS, *OTHERS])
def test_a_subclass_may_give_its_methods_any_private_name(cls: Any) -> None:
    assert [name for name in dir(cls) if takes(name)] == []


@pytest.mark.parametrize("cls", OBJECTS)
async def test_an_object_may_give_its_attributes_any_private_name(cls: Any) -> None:
    class Mine(cls):
        async def names(self) -> list[str]:
            return list(vars(self))

        async def init(self) -> None:
            """What an `McpAgent` must have."""

    async with agent_runtime(Mine) as runtime:
        names = await runtime.namespaces["Mine"].get_by_name("a").names()
    assert "ctx" in names
    assert [name for name in names if takes(name)] == []


@pytest.mark.parametrize("cls", OTHERS)
def test_an_entrypoint_may_give_its_attributes_any_private_name(cls: Any) -> None:
    made = cls(ExecutionContext(lambda awaitable: None), {})
    assert "env" in vars(made)
    assert [name for name in vars(made) if takes(name)] == []
