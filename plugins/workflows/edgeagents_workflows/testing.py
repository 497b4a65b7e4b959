"""What tests of workflows need: a runtime in memory, and a way to wait for an instance.

async with workflow_runtime(Orders, clock=clock) as runtime:
    instance = await runtime.env.Orders.create(params={"order": 1})
    await reached(instance, "waiting")
    await clock.advance(3600)
    assert (await reached(instance, "complete"))["output"] == "shipped"
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from edgeagents.runtime import Runtime
from edgeagents.testing import agent_runtime
from edgeagents_workflows import plugin
from edgeagents_workflows.binding import (
    InstanceStatus,
    WorkflowInstance,
    WorkflowStatus,
)

__all__ = ["reached", "workflow_runtime"]


def workflow_runtime(
    *workflows: type,
    agents: Sequence[type] = (),
    plugins: Sequence[object] = (),
    **options: Any,
) -> Runtime:
    """Return a runtime in memory with these workflows in ``env``, by their classes' names.

    Installed plugins are left out; ``options`` are those of ``Runtime``.
    """
    given = [plugin, plugin.workflows_plugin(*workflows), *plugins]
    return agent_runtime(*agents, plugins=given, **options)


async def reached(instance: WorkflowInstance, *statuses: WorkflowStatus, seconds: float = 10) -> InstanceStatus:
    """Wait until the instance has one of ``statuses``; return what ``status()`` does. Raises TimeoutError.

    The clock is not moved: what waits for it waits on.
    """
    async with asyncio.timeout(seconds):
        while (status := await instance.status())["status"] not in statuses:
            await asyncio.sleep(0.001)
    return status
