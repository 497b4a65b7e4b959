"""The emulator's batch: a POST of messages runs the worker's ``queue`` handler with them. Nothing is stored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from edgeagents.errors import ConfigError
from edgeagents.http import Request, Response
from edgeagents_queues.batch import Decision, MessageBatch
from edgeagents_queues.producer import now_ms
from edgeagents_queues.store import StoredMessage

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["BATCH_PATHS", "BatchRoute"]

BATCH_PATHS: Final = ("/cdn-cgi/local/queue", "/cdn-cgi/handler/queue")

_log = logging.getLogger("edgeagents.queues")


class BatchRoute:
    """``POST <path>`` with ``{"queue": "jobs", "messages": [{"body": ...}]}``.

    A message may have ``id``, ``timestamp`` (milliseconds since 1970) and ``attempts``. The answer has what became of
    each: ``outcome``, ``ackAll``, ``retryBatch``, ``explicitAcks``, ``retryMessages``.
    """

    def __init__(self, path: str, runtime: Runtime) -> None:
        self.path, self._runtime = path, runtime

    async def serve(self, request: Request) -> Response:
        """Run the handler: 200, or 500 when it raises; 400 for what is no batch."""
        if request.method != "POST":
            return Response("Send the batch with POST.", status=405)
        given = await request.json()
        queue = given.get("queue") if isinstance(given, dict) else None
        queue = queue or request.query.get("queue")
        messages = given.get("messages") if isinstance(given, dict) else given
        if not queue or not isinstance(messages, list) or not messages:
            return Response('A batch is {"queue": "<name>", "messages": [{"body": ...}]}.', status=400)
        now = now_ms(self._runtime.clock)
        try:
            stored = [self._stored(message, now) for message in messages]
        except (TypeError, KeyError, AttributeError):
            return Response("Each message is an object with a body.", status=400)
        batch = MessageBatch(queue, stored, {"backlogCount": 0, "backlogBytes": 0, "oldestMessageTimestamp": None})
        outcome = "ok"
        try:
            await self._runtime.run_handler("queue", batch)
        except ConfigError as fault:
            return Response(str(fault), status=400)
        except Exception:
            _log.exception("The queue() handler failed for %d messages of %s", len(stored), queue)
            outcome = "exception"
        answer = {"outcome": outcome, **_told(batch, failed=outcome != "ok")}
        return Response.from_json(answer, status=200 if outcome == "ok" else 500)

    def _stored(self, message: Any, now: int) -> StoredMessage:
        return StoredMessage(
            message.get("id") or self._runtime.rng.randbytes(16).hex(),
            message["body"],
            int(message.get("timestamp") or now),
            int(message.get("attempts") or 1),
        )


def _told(batch: MessageBatch, *, failed: bool) -> dict[str, Any]:
    own: Sequence[tuple[str, Decision]] = [(m.id, m.decision) for m in batch.messages if m.decision is not None]
    rest = batch.decision
    return {
        "ackAll": rest is not None and rest.is_acknowledged,
        "retryBatch": {"retry": failed or (rest is not None and not rest.is_acknowledged), **_delay(rest)},
        "explicitAcks": [one for one, decision in own if decision.is_acknowledged],
        "retryMessages": [{"msgId": one, **_delay(decision)} for one, decision in own if not decision.is_acknowledged],
    }


def _delay(decision: Decision | None) -> dict[str, float]:
    return {} if decision is None or decision.delay_seconds is None else {"delaySeconds": decision.delay_seconds}
