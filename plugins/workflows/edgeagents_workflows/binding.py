"""``env.MY_WORKFLOW``: instances of a workflow, made and found by their ids."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypedDict

from edgeagents.objects import Namespace, uuid4, wake
from edgeagents_workflows.durations import Duration, milliseconds
from edgeagents_workflows.errors import InstanceExists, InstanceNotFound, WorkflowError
from edgeagents_workflows.instance import Definition, InstanceObject

__all__ = [
    "InstanceOptions",
    "InstanceStatus",
    "Workflow",
    "WorkflowInstance",
    "WorkflowRetention",
    "WorkflowStatus",
]

WorkflowStatus: TypeAlias = Literal[
    "queued",
    "running",
    "paused",
    "errored",
    "terminated",
    "complete",
    "waiting",
    "waitingForPause",
    "unknown",
]
"""Where an instance stands. ``waiting``: it sleeps, or waits for an event."""

_ID: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9\-_]{0,99}")


class WorkflowRetention(TypedDict, total=False):
    """How long an instance is kept after its end; without it, for ever."""

    success_retention: Duration
    error_retention: Duration


class InstanceOptions(TypedDict, total=False):
    """What an instance is created with."""

    id: str
    params: Any
    retention: WorkflowRetention


class InstanceStatus(TypedDict):
    """What ``status()`` returns. ``error`` is ``{"name", "message"}`` when the instance is ``errored``, else None."""

    status: WorkflowStatus
    output: Any
    error: dict[str, str] | None


class Workflow:
    """All instances of one workflow."""

    js_name: ClassVar[str] = "WorkflowImpl"

    def __init__(
        self,
        namespace: Namespace[InstanceObject],
        definition: Definition,
        rng: random.Random,
    ) -> None:
        self._namespace, self._rng = namespace, rng
        self.definition = definition

    @property
    def key(self) -> str:
        """What its instances are kept under."""
        return self._namespace.key

    async def create(
        self,
        options: InstanceOptions | Mapping[str, Any] | None = None,
        /,
        *,
        id: str | None = None,
        params: Any = None,
        retention: WorkflowRetention | Mapping[str, Any] | None = None,
    ) -> WorkflowInstance:
        """Create an instance and start it: ``create(id="order-1", params={"order": 1})``, or with the same in a dict.

        Without an id it gets a random one; without params they are ``{}``. ``params`` are data of at most 1 MiB. When
        this returns the instance is kept. Raises ``InstanceExists`` for an id that is in use, and ``WorkflowError`` for
        one that cannot be: an id is at most 100 letters, digits, ``_`` and ``-``, and does not begin with ``-``.
        """
        given = options or {}
        id = given.get("id") if id is None else id
        params = given.get("params") if params is None else params
        retention = given.get("retention") if retention is None else retention
        if id is None:
            id = uuid4(self._rng)
        elif not _is_id(id):
            raise WorkflowError("Workflow instance has invalid id")
        await self._namespace.get_by_name(id).create({} if params is None else params, retention_ms(retention or {}))
        return WorkflowInstance(id, self._namespace)

    async def create_batch(self, batch: Iterable[InstanceOptions | Mapping[str, Any]]) -> list[WorkflowInstance]:
        """Create several instances; return those that are new: an id that is in use is passed over."""
        given = list(batch)
        if not given:
            raise WorkflowError("WorkflowError: batchCreate should have at least 1 instance")
        created: list[WorkflowInstance] = []
        for options in given:
            try:
                created.append(await self.create(options))
            except InstanceExists:
                continue
        return created

    async def get(self, id: str) -> WorkflowInstance:
        """Return the instance with this id. Raises ``InstanceNotFound`` when there is none."""
        if not _is_id(id) or not await self._namespace.get_by_name(id).exists():
            raise InstanceNotFound
        return WorkflowInstance(id, self._namespace)

    async def wake(self, id: str) -> None:
        """Make the instance go on, if it does not."""
        await wake(self._namespace.get_by_name(id))

    def __repr__(self) -> str:
        return f"<Workflow {self.definition.name}>"


class WorkflowInstance:
    """A handle of one instance. All of its methods raise ``InstanceNotFound`` once it is not kept any more."""

    js_name: ClassVar[str] = "WorkflowInstance"

    def __init__(self, id: str, namespace: Namespace[InstanceObject]) -> None:
        self.id = id
        self._namespace = namespace

    async def status(self) -> InstanceStatus:
        """Return where the instance stands, what it returned or what it failed with."""
        return await self._stub().status()

    async def pause(self) -> None:
        """Stop the instance when the steps that run now have ended. One that does not run is left as it is."""
        await self._stub().pause()

    async def resume(self) -> None:
        """Let a paused instance go on. Its sleeps and timeouts stood still meanwhile."""
        await self._stub().resume()

    async def terminate(self) -> None:
        """End the instance now. Raises ``WorkflowError`` when it has ended already."""
        await self._stub().terminate()

    async def restart(self) -> None:
        """Run the instance from its beginning, with the params that it was created with."""
        await self._stub().restart()

    async def delete(self) -> None:
        """End the instance if it runs, and forget it: its id can be used again."""
        await self._stub().delete()

    async def send_event(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        type: str | None = None,
        payload: Any = None,
    ) -> None:
        """Send an event: ``send_event(type="approval", payload={...})``, or with the same in a dict.

        It waits for the step that waits for it. The payload is data of at most 1 MiB.
        """
        given = event or {}
        type = given.get("type") if type is None else type
        if not isinstance(type, str):
            raise TypeError(f"The type of an event is a text, not {type!r}.")
        await self._stub().send_event(type, given.get("payload") if payload is None else payload)

    def _stub(self) -> Any:
        # A new one each time: a stub does not outlive a reset of its object.
        return self._namespace.get_by_name(self.id)

    def __repr__(self) -> str:
        return f"<WorkflowInstance {self.id}>"


def retention_ms(retention: Mapping[str, Any]) -> dict[str, int]:
    """Return a retention in milliseconds, without what it does not say. Raises TypeError for what there is not."""
    if unknown := retention.keys() - WorkflowRetention.__annotations__.keys():
        raise TypeError(f"A retention has success_retention and error_retention, not {', '.join(sorted(unknown))}.")
    return {name: milliseconds(value) for name, value in retention.items() if value is not None}


def _is_id(id: object) -> bool:
    return isinstance(id, str) and _ID.fullmatch(id) is not None
