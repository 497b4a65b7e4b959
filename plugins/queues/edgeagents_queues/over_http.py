"""Queues over HTTP, in the shapes of Cloudflare's REST API: messages are pulled, acknowledged and sent.

    POST <path>/queues/<name>/messages/pull    {"batch_size": 10, "visibility_timeout_ms": 30000}
    POST <path>/queues/<name>/messages/ack     {"acks": [{"lease_id"}], "retries": [{"lease_id", "delay_seconds"}]}
    POST <path>/queues/<name>/messages         {"body": ..., "content_type": "json", "delay_seconds": 5}
    POST <path>/queues/<name>/messages/batch   {"messages": [...], "delay_seconds": 5}

``<path>`` may have an account in it, as clients of that API have: ``/accounts/<id>``. A queue's id is its name.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from edgeagents.errors import HttpError
from edgeagents.http import Request, Response
from edgeagents_queues.batch import Decision
from edgeagents_queues.consumer import Settings, settle
from edgeagents_queues.producer import LONGEST_DELAY, Queue, QueueError, now_ms
from edgeagents_queues.store import QueueStore, StoredMessage, pack_body

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["MESSAGES_PATHS", "PULL_DEFAULTS", "MessagesRoute", "QueuesOverHttp"]

MESSAGES_PATHS: Final = ("/cdn-cgi/local/queues", "/cdn-cgi/handler/queues", "/cdn-cgi/local/client/v4")
PULL_DEFAULTS: Final[Mapping[str, Any]] = {"max_batch_size": 5, "max_retries": 3}
"""Where a queue that is pulled differs from one with a handler: nobody declares it for local development."""

_PLACE: Final = re.compile(r"/queues/([^/]+)/messages(?:/(pull|ack|batch))?")
_LARGEST_BATCH: Final = 100
_LONGEST_HOLD_MS: Final = 12 * 60 * 60 * 1000


class _Refused(Exception):
    """What is asked for cannot be. The message is for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


class QueuesOverHttp:
    """The queues of a state folder, for clients that are no workers.

    ``pushed`` returns the queues that a worker takes from; they cannot be pulled. ``settings_of`` says how a queue is
    consumed.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: QueueStore,
        pushed: Callable[[], Collection[str]],
        settings_of: Callable[[str], Settings],
    ) -> None:
        self._clock, self._rng, self._store = runtime.clock, runtime.rng, store
        self._pushed, self._settings_of = pushed, settings_of

    def pull(self, queue: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Lease messages. One that is neither acknowledged nor retried in time comes again."""
        if queue in self._pushed():
            raise _Refused(f"The queue {queue} has a worker as its consumer: it cannot be pulled.")
        settings = self._settings_of(queue)
        limit = _number(wanted, "batch_size", settings.max_batch_size, 1, _LARGEST_BATCH)
        hold_ms = _number(wanted, "visibility_timeout_ms", settings.visibility_timeout_ms, 1, _LONGEST_HOLD_MS)
        holder, now = self._rng.randbytes(16).hex(), now_ms(self._clock)
        leased: list[StoredMessage] = []
        while len(leased) < limit:
            taken = self._store.take(queue, holder, limit - len(leased), now, hold_ms)
            if not taken:
                break
            for message in taken:
                # Its last lease has ended without a word: that was a failure too.
                if message.attempts > settings.max_retries + 1:
                    settle(self._store, settings, holder, message.id, message.attempts - 1, Decision(False), now)
                else:
                    leased.append(message)
        count, _, _ = self._store.backlog(queue)
        return {"message_backlog_count": count, "messages": [_as_json(message, holder) for message in leased]}

    def ack(self, queue: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Forget what was done, and let come again what is to be retried."""
        settings, now = self._settings_of(queue), now_ms(self._clock)
        decisions = [(lease, Decision(True)) for lease in _leases(wanted, "acks")]
        decisions += [
            (lease, Decision(False, _number(lease, "delay_seconds", None, 0, LONGEST_DELAY)))
            for lease in _leases(wanted, "retries")
        ]
        counts, warnings = {True: 0, False: 0}, dict[str, str]()
        for lease, decision in decisions:
            holder, _, message_id = lease["lease_id"].partition(".")
            attempts = self._store.held(queue, holder, message_id)
            if attempts is None:
                warnings[lease["lease_id"]] = "The lease has ended, or never was: nothing was done."
                continue
            settle(self._store, settings, holder, message_id, attempts, decision, now)
            counts[decision.is_acknowledged] += 1
        return {"ackCount": counts[True], "retryCount": counts[False], "warnings": warnings}

    async def send(self, queue: str, messages: Sequence[Any], delay_seconds: float | None) -> None:
        """Send messages, all or none."""
        if not all(isinstance(message, dict) and "body" in message for message in messages):
            raise _Refused("Each message is an object with a body.")
        given = [
            {
                "body": message["body"],
                "contentType": message.get("content_type"),
                "delaySeconds": message.get("delay_seconds"),
            }
            for message in messages
        ]
        sender = Queue(self._store, queue, self._clock, self._rng)
        try:
            await sender.send_batch(given, delay_seconds=delay_seconds)
        except (QueueError, TypeError) as error:
            raise _Refused(str(error)) from error


class MessagesRoute:
    """What is below ``path`` and names the messages of a queue."""

    def __init__(self, path: str, queues: QueuesOverHttp) -> None:
        self.path, self._queues = path, queues

    async def serve(self, request: Request) -> Response:
        """Answer as Cloudflare's API does: ``success``, ``errors``, ``messages``, ``result``."""
        try:
            result = await self._do(request)
        except _Refused as fault:
            return _answer(fault.status, {"code": fault.status, "message": str(fault)})
        except HttpError as fault:
            return _answer(fault.status, {"code": fault.status, "message": str(fault)})
        return Response.from_json({"success": True, "errors": [], "messages": [], "result": result})

    async def _do(self, request: Request) -> object:
        place = _PLACE.search(request.path)
        if place is None or place.end() != len(request.path):
            raise _Refused("There is nothing here. Try POST .../queues/<name>/messages/pull", 404)
        if request.method != "POST":
            raise _Refused("Ask with POST.", 405)
        queue, what = unquote(place[1]), place[2]
        wanted = await request.json() if await request.bytes() else {}
        if not isinstance(wanted, dict):
            raise _Refused("The body is an object in JSON.")
        match what:
            case "pull":
                return self._queues.pull(queue, wanted)
            case "ack":
                return self._queues.ack(queue, wanted)
            case "batch":
                messages = wanted.get("messages")
                if not isinstance(messages, list):
                    raise _Refused("messages is a list.")
                await self._queues.send(queue, messages, wanted.get("delay_seconds"))
            case _:
                await self._queues.send(queue, [wanted], None)
        return None


def _as_json(message: StoredMessage, holder: str) -> dict[str, Any]:
    data = pack_body(message.body, message.content_type)
    text = data.decode("utf-8", "replace") if message.content_type == "text" else base64.b64encode(data).decode()
    return {
        "id": message.id,
        "body": text,
        "timestamp_ms": message.sent,
        "attempts": message.attempts,
        "lease_id": f"{holder}.{message.id}",
        "metadata": {"CF-sourceMessageSource": "worker", "CF-Content-Type": message.content_type},
    }


def _leases(wanted: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    leases = wanted.get(name) or []
    if not isinstance(leases, list) or not all(
        isinstance(each, dict) and isinstance(each.get("lease_id"), str) for each in leases
    ):
        raise _Refused(f"{name} is a list of objects with a lease_id.")
    return leases


def _number(wanted: Mapping[str, Any], name: str, default: Any, least: int, most: int) -> Any:
    value = wanted.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _Refused(f"{name} is a whole number from {least} to {most}, not {value!r}.")
    return value


def _answer(status: int, error: Mapping[str, Any]) -> Response:
    return Response.from_json({"success": False, "errors": [error], "messages": [], "result": None}, status=status)
