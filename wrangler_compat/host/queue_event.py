"""Batches of messages that no queue has sent: what ``queue()`` of a service hands to the handler of its entrypoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrangler_compat.host.clone import structured_clone
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import JsDate
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, properties

__all__ = ["QueueController"]


class QueueMessage(JsProxy):
    """One message."""

    def __init__(self, batch: QueueController, given: Mapping[str, Any]) -> None:
        if not isinstance(given.get("timestamp"), JsDate):
            raise JsTypeError(
                "Incorrect type for the 'timestamp' field on 'ServiceBindingQueueMessage': "
                "the provided value is not of type 'date'."
            )
        if ("body" in given) == ("serializedBody" in given):
            raise JsTypeError("Expected one of body or serializedBody for each message")
        if "body" not in given:
            raise JsTypeError("serializedBody is what V8 has serialised, which is only read there: give the body.")
        self._batch = batch
        self.id, self.timestamp = to_text(given.get("id")), given["timestamp"]
        self.attempts, self.body = given.get("attempts", 1), structured_clone(given["body"])

    def ack(self) -> None:
        """It is done, whatever becomes of the rest of the batch."""
        self._batch._decisions.setdefault(self.id, None)

    def retry(self, options: Any = None) -> None:
        """It is to come again, after ``{delaySeconds}`` if given."""
        self._batch._decisions.setdefault(self.id, _retry(options))


class QueueController(JsProxy):
    """Some messages of one queue, and what was decided of them."""

    def __init__(self, queue: Any, messages: Any, metadata: Any = None) -> None:
        if not isinstance(messages, JsArray | list):
            raise JsTypeError("Failed to execute 'queue' on 'Fetcher': parameter 2 is not of type 'Array'.")
        self._decisions: dict[str, dict[str, Any] | None] = {}
        self._rest: dict[str, Any] | None = None
        self._is_acknowledged = False
        self.queue = to_text(queue)
        self.messages = JsArray(QueueMessage(self, properties(message)) for message in messages)
        none = JsObject({"metrics": JsObject({"backlogCount": 0, "backlogBytes": 0})})
        self.metadata = none if is_nullish(metadata) else structured_clone(metadata)

    def ackAll(self) -> None:
        """Every message that was not marked is done."""
        self._is_acknowledged = self._rest is None

    def retryAll(self, options: Any = None) -> None:
        """Every message that was not marked is to come again."""
        if not self._is_acknowledged and self._rest is None:
            self._rest = _retry(options)

    def _result(self, outcome: str) -> JsObject:
        """Return what the caller is told."""
        retried = [(key, how) for key, how in self._decisions.items() if how is not None]
        return JsObject(
            {
                "outcome": outcome,
                "ackAll": self._is_acknowledged,
                "retryBatch": JsObject({"retry": self._rest is not None, **(self._rest or {})}),
                "explicitAcks": JsArray(key for key, how in self._decisions.items() if how is None),
                "retryMessages": JsArray(JsObject({"msgId": key, **how}) for key, how in retried),
            }
        )


def _retry(options: Any) -> dict[str, Any]:
    delay = properties(options).get("delaySeconds")
    return {} if is_nullish(delay) else {"delaySeconds": delay}
