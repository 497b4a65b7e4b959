"""Instances over HTTP, in the shapes of wrangler's local API: they are created, told of events, stopped and forgotten.

    POST   <path>/workflows/<name>/instances                      {"id": "order-1", "params": {...}}
    POST   <path>/workflows/<name>/instances/<id>/events/<type>   the event's payload
    PATCH  <path>/workflows/<name>/instances/<id>/status          {"action": "pause"}
    DELETE <path>/workflows/<name>/instances/<id>

Where they stand is read from the state folder, also while nothing runs (``commands.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from edgeagents.errors import HttpError
from edgeagents.http import Request, Response
from edgeagents_workflows.binding import Workflow, WorkflowInstance
from edgeagents_workflows.errors import InstanceNotFound, WorkflowError

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["ACTIONS", "CONTROL_PATHS", "ControlRoute"]

CONTROL_PATHS: Final = ("/cdn-cgi/local/explorer/api", "/cdn-cgi/explorer/api")
ACTIONS: Final = ("pause", "resume", "restart", "terminate")

_PLACE: Final = re.compile(r"/workflows/([^/]+)/instances(?:/([^/]+)(?:/(status)|/events/([^/]+))?)?")


class _Refused(Exception):
    """What is asked for cannot be. The message is for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


class ControlRoute:
    """What is below ``path`` and names instances of the workers of a session."""

    def __init__(self, path: str, runtime: Runtime) -> None:
        self.path, self._runtime = path, runtime

    async def serve(self, request: Request) -> Response:
        """Answer as Cloudflare's API does: ``success``, ``errors``, ``messages``, ``result``."""
        try:
            result = await self._do(request)
        except (_Refused, HttpError) as fault:
            return _failed(fault.status, str(fault))
        except InstanceNotFound as fault:
            return _failed(404, str(fault))
        except (WorkflowError, TypeError, ValueError) as fault:
            return _failed(400, str(fault))
        return Response.from_json({"success": True, "errors": [], "messages": [], "result": result})

    async def _do(self, request: Request) -> dict[str, Any]:
        place = _PLACE.fullmatch(request.path.removeprefix(self.path))
        if place is None:
            raise _Refused("There is nothing here. Try POST .../workflows/<name>/instances", 404)
        name, instance_id, status, event = (part and unquote(part) for part in place.groups())
        workflow = self._find(name or "")
        match request.method, bool(instance_id), bool(status), event:
            case "POST", False, _, _:
                wanted = await _table(request)
                made = await workflow.create(id=wanted.get("id") or None, params=wanted.get("params"))
                return {"id": made.id}
            case "POST", True, False, str(event):
                payload = await request.json() if await request.bytes() else None
                await (await workflow.get(instance_id or "")).send_event(type=event, payload=payload)
            case "PATCH", True, True, _:
                await _act(await workflow.get(instance_id or ""), (await _table(request)).get("action"))
            case "DELETE", True, False, None:
                await (await workflow.get(instance_id or "")).delete()
            case _:
                raise _Refused(f"{request.method} does nothing here.", 405)
        return {"id": instance_id}

    def _find(self, name: str) -> Workflow:
        known = {one.definition.name: one for one in self._workflows()}
        if name not in known:
            raise _Refused(f"No worker of this session has the workflow {name!r}.", 404)
        return known[name]

    def _workflows(self) -> Iterator[Workflow]:
        for runtime in self._runtime.neighbours:
            yield from (value for value in runtime.env.values() if isinstance(value, Workflow))


async def _act(instance: WorkflowInstance, action: object) -> None:
    if action not in ACTIONS:
        raise _Refused(f"The action is one of {', '.join(ACTIONS)}, not {action!r}.")
    await getattr(instance, str(action))()


async def _table(request: Request) -> dict[str, Any]:
    given = await request.json() if await request.bytes() else {}
    if not isinstance(given, dict):
        raise _Refused("The body is an object in JSON.")
    return given


def _failed(status: int, message: str) -> Response:
    error = {"code": status, "message": message}
    return Response.from_json({"success": False, "errors": [error], "messages": [], "result": None}, status=status)
