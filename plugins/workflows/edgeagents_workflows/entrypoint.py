"""``WorkflowEntrypoint``: the class that users write, and what its ``run`` is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic

from typing_extensions import TypeVar

from edgeagents.worker import ExecutionContext
from edgeagents_workflows.step import WorkflowStep

__all__ = ["WorkflowEntrypoint", "WorkflowEvent"]

EnvT = TypeVar("EnvT", default=Any)
ParamsT = TypeVar("ParamsT", default=Any)


@dataclass(frozen=True, slots=True)
class WorkflowEvent(Generic[ParamsT]):
    """What an instance was created with: the same in every run of it. ``event["payload"]`` is ``event.payload``."""

    payload: ParamsT
    timestamp: datetime
    instance_id: str
    workflow_name: str

    def __getitem__(self, name: str) -> Any:
        if name not in self.__slots__:
            raise KeyError(name)
        return getattr(self, name)


class WorkflowEntrypoint(Generic[EnvT, ParamsT]):
    """A workflow: ``run`` is its code, made of steps that are each done once, whatever happens to the process.

    A fresh instance of the class is made for each run, so what is to be remembered is what steps return.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    """What the configuration may say too: ``limits``, such as ``{"steps": 5000}``, and ``default_retention``."""

    env: EnvT
    ctx: ExecutionContext

    def __init__(self, ctx: ExecutionContext, env: EnvT) -> None:
        self.ctx, self.env = ctx, env

    async def run(self, event: WorkflowEvent[ParamsT], step: WorkflowStep) -> Any:
        """Do the work; what it returns is the output of the instance, data of at most 1 MiB."""
        raise NotImplementedError(f"{type(self).__name__} has no run() method.")

    async def _edgeagents_execute(self, event: WorkflowEvent[Any], step: WorkflowStep) -> Any:
        return await self.run(event, step)
