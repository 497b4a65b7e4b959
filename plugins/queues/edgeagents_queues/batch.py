"""Batches: what a ``queue`` handler is given, and what it decided."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from edgeagents_queues.store import StoredMessage

__all__ = ["Decision", "Message", "MessageBatch"]

_log = logging.getLogger("edgeagents.queues")


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a message: it is forgotten, or comes again after ``delay_seconds``, if given."""

    is_acknowledged: bool
    delay_seconds: float | None = None


class Message:
    """One message. The first call of ``ack`` or ``retry`` counts."""

    js_name: ClassVar[str] = "QueueMessage"

    def __init__(self, stored: StoredMessage) -> None:
        self._stored = stored
        self._decision: Decision | None = None

    @property
    def id(self) -> str:
        """What the message is told from others by; the same at every attempt."""
        return self._stored.id

    @property
    def timestamp(self) -> datetime:
        """When it was sent."""
        return datetime.fromtimestamp(self._stored.sent / 1000, UTC)

    @property
    def body(self) -> Any:
        """What was sent."""
        return self._stored.body

    @property
    def attempts(self) -> int:
        """How often it came, this time counted."""
        return self._stored.attempts

    def ack(self) -> None:
        """It is done, whatever becomes of the rest of the batch."""
        self._decide(Decision(True), "ack")

    def retry(self, *, delay_seconds: float | None = None) -> None:
        """It is to come again, after ``delay_seconds`` if given."""
        self._decide(Decision(False, delay_seconds), "retry")

    @property
    def decision(self) -> Decision | None:
        """What was decided."""
        return self._decision

    def _decide(self, decision: Decision, word: str) -> None:
        if self._decision is None:
            self._decision = decision
        elif self._decision.is_acknowledged != decision.is_acknowledged:
            _log.warning("%s() of the message %s comes too late: it was marked already.", word, self.id)


class MessageBatch:
    """Some messages of one queue."""

    js_name: ClassVar[str] = "QueueController"

    def __init__(self, queue: str, stored: Sequence[StoredMessage], metrics: dict[str, Any]) -> None:
        self._queue, self._messages, self._metrics = queue, [Message(one) for one in stored], metrics
        self._decision: Decision | None = None

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return self._queue

    @property
    def messages(self) -> list[Message]:
        """The messages."""
        return self._messages

    @property
    def metadata(self) -> dict[str, Any]:
        """What waits in the queue, under ``metrics``."""
        return {"metrics": self._metrics}

    def ack_all(self) -> None:
        """Every message that was not marked is done."""
        self._decision = self._decision or Decision(True)

    def retry_all(self, *, delay_seconds: float | None = None) -> None:
        """Every message that was not marked is to come again."""
        self._decision = self._decision or Decision(False, delay_seconds)

    @property
    def decision(self) -> Decision | None:
        """What was decided for those that were not marked."""
        return self._decision

    def decisions(self, *, failed: bool) -> list[tuple[StoredMessage, Decision]]:
        """Return what becomes of each message, after the handler has ended well or has ``failed``."""
        rest = Decision(False) if failed else self._decision or Decision(True)
        return [(message._stored, message.decision or rest) for message in self._messages]
