"""Producers: what is found in ``env``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgeagents.errors import EdgeAgentsError
from edgeagents.objects import writes_kept
from edgeagents_queues.store import QueueStore, pack_body

if TYPE_CHECKING:
    from edgeagents.objects import Clock

__all__ = ["Queue", "QueueError", "now_ms"]

MESSAGE_BYTES: Final = 128_000
BATCH_MESSAGES: Final = 100
BATCH_BYTES: Final = 288_000
LONGEST_DELAY: Final = 86_400


class QueueError(EdgeAgentsError):
    """A queue refused what was sent."""


class Queue:
    """One queue, to send to."""

    js_name: ClassVar[str] = "WorkerQueue"

    def __init__(
        self,
        store: QueueStore,
        name: str,
        clock: Clock,
        rng: random.Random,
        delay_seconds: float = 0,
        on_send: Callable[[], object] | None = None,
    ) -> None:
        self._store, self._name, self._clock, self._rng = store, name, clock, rng
        self._delay, self._on_send = delay_seconds, on_send

    async def send(
        self, body: Any, *, content_type: str = "json", delay_seconds: float | None = None
    ) -> dict[str, Any]:
        """Send a message. It is kept when this returns.

        ``content_type`` is ``json``, ``text``, ``bytes`` or ``v8`` (any data that can be stored). It is delivered after
        ``delay_seconds``, at most a day. Returns ``{"metadata": {"metrics": ...}}``: what waits in the queue.
        """
        return await self._send([{"body": body, "contentType": content_type, "delaySeconds": delay_seconds}], None)

    async def send_batch(
        self, messages: Sequence[Mapping[str, Any]], *, delay_seconds: float | None = None
    ) -> dict[str, Any]:
        """Send up to 100 messages, all or none: ``{"body", "contentType"?, "delaySeconds"?}`` each."""
        if not isinstance(messages, list | tuple):
            raise TypeError(
                "Failed to execute 'sendBatch' on 'WorkerQueue': parameter 1 is not of type 'Sequence'. Give a list."
            )
        given: Sequence[Any] = messages
        if not given:
            raise TypeError("sendBatch() requires at least one message")
        if len(given) > BATCH_MESSAGES:
            raise QueueError(
                f"Queue sendBatch failed: batch message count of {len(given)} exceeds limit of {BATCH_MESSAGES}"
            )
        return await self._send(given, delay_seconds)

    async def metrics(self) -> dict[str, Any]:
        """Return ``backlogCount``, ``backlogBytes`` and ``oldestMessageTimestamp`` (milliseconds since 1970)."""
        count, size, oldest = self._store.backlog(self._name)
        return {"backlogCount": count, "backlogBytes": size, "oldestMessageTimestamp": oldest}

    async def _send(self, messages: Sequence[Mapping[str, Any]], delay: float | None) -> dict[str, Any]:
        await writes_kept()
        now = now_ms(self._clock)
        kept: list[tuple[str, bytes, str, int, int]] = []
        for message in messages:
            if not isinstance(message, Mapping):
                raise TypeError("Incorrect type: the provided value is not of type 'MessageSendRequest'.")
            if "body" not in message:
                raise TypeError("Message body cannot be undefined")
            kind = message.get("contentType") or "json"
            body = pack_body(message.get("body"), kind)
            if len(body) > MESSAGE_BYTES:
                raise QueueError(
                    f"Queue send failed: message length of {len(body)} bytes exceeds limit of {MESSAGE_BYTES}"
                )
            own = message.get("delaySeconds")
            seconds = next(value for value in (own, delay, self._delay) if value is not None)
            kept.append((self._rng.randbytes(16).hex(), body, kind, now, now + _milliseconds(seconds)))
        size = sum(len(body) for _, body, *_ in kept)
        if size > BATCH_BYTES:
            raise QueueError(f"Queue sendBatch failed: batch size of {size} bytes exceeds limit of {BATCH_BYTES}")
        self._store.add(self._name, kept)
        await self._store.kept()
        if self._on_send is not None:
            self._on_send()
        count, waiting, oldest = self._store.backlog(self._name)
        metrics = {"backlogCount": count, "backlogBytes": waiting, "oldestMessageTimestamp": oldest}
        return {"metadata": {"metrics": metrics}}


def _milliseconds(given: float) -> int:
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        raise QueueError(f"Queue send failed: delaySeconds is a number of seconds, not {given!r}") from None
    if not 0 <= seconds <= LONGEST_DELAY:
        raise QueueError(f"Queue send failed: delaySeconds must be between 0 and {LONGEST_DELAY}, not {seconds:g}")
    return int(seconds * 1000)


def now_ms(clock: Clock) -> int:
    """Return the milliseconds since 1970."""
    return int(clock.now().timestamp() * 1000)
