"""Consumers: batches go out when they are full, or when the first message has waited long enough."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgeagents.errors import StorageError
from edgeagents_queues.batch import Decision, MessageBatch
from edgeagents_queues.producer import now_ms
from edgeagents_queues.store import HOLD_MS, QueueStore, StoredMessage

if TYPE_CHECKING:
    from edgeagents.objects.clock import TimerHandle
    from edgeagents.runtime import Runtime

__all__ = ["Consumer", "Settings", "settle"]

_STOP_SECONDS: Final = 5.0
_HANDLER_SECONDS: Final = 900.0
"""How long a handler may take, as on Cloudflare: one that never returns must not keep the rest of the queue waiting."""
_POLL_MS: Final = 1_000
"""How often to look for what another process has sent."""

_log = logging.getLogger("edgeagents.queues")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a queue is consumed. The defaults are those of Cloudflare's local development."""

    queue: str
    max_batch_size: int = 5
    max_batch_timeout: float = 1
    max_retries: int = 2
    dead_letter_queue: str | None = None
    retry_delay: float = 0
    max_concurrency: int = 1
    visibility_timeout_ms: int = HOLD_MS

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Return the settings that a consumer's section asks for."""
        known = {name: options[name] for name in cls.__dataclass_fields__ if options.get(name) is not None}
        return cls(**known)


class Consumer:
    """Gives the messages of a queue to the worker's ``queue`` handler. See ``Trigger``."""

    def __init__(self, runtime: Runtime, store: QueueStore, settings: Settings) -> None:
        self.name = f"consumer of the queue {settings.queue}"
        self._runtime, self._store, self._settings = runtime, store, settings
        self.queue = settings.queue
        self._timer: TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._is_open = False

    async def start(self) -> None:
        """Begin to take messages."""
        self._is_open = True
        self.look()

    async def stop(self) -> None:
        """Take no more, and wait a while for the batches that are out. Those of handlers that go on come again."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()

    def look(self) -> None:
        """Send out what is ready, and come back when more may be. Called when something was sent, too.

        What the disk does not allow now is tried again: it is no fault of who sent something.
        """
        if not self._is_open:
            return
        if self._timer is not None:
            self._timer.cancel()
        wait = _POLL_MS
        try:
            wait = self._send_out_ready()
        except StorageError as error:
            _log.warning("The queue %s could not be looked at: %s", self._settings.queue, error)
        self._timer = self._runtime.clock.call_later(wait / 1000, self.look)

    def _send_out_ready(self) -> int:
        """Return in how many milliseconds more may be ready."""
        settings = self._settings
        while len(self._running) < settings.max_concurrency:
            now = now_ms(self._runtime.clock)
            count, first, following = self._store.outlook(settings.queue, now, settings.max_batch_size)
            if first is None or (count < settings.max_batch_size and now < self._goes_out(first)):
                times = [self._goes_out(first)] if first is not None else []
                times += [following] if following is not None else []
                return min([_POLL_MS, *(max(time - now, 1) for time in times)])
            self._send_out(now)
        return _POLL_MS

    def _goes_out(self, first: int) -> int:
        return first + int(self._settings.max_batch_timeout * 1000)

    def _send_out(self, now: int) -> None:
        holder = self._runtime.rng.randbytes(16).hex()
        taken = self._store.take(self._settings.queue, holder, self._settings.max_batch_size, now)
        if taken:
            task = asyncio.get_running_loop().create_task(self._handle(holder, taken), name=self.name)
            self._running.add(task)
            task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A batch of the queue %s could not be handled", self._settings.queue, exc_info=error)
        self.look()

    async def _handle(self, holder: str, taken: list[StoredMessage]) -> None:
        queue = self._settings.queue
        count, size, oldest = self._store.backlog(queue)
        metrics = {"backlogCount": count, "backlogBytes": size, "oldestMessageTimestamp": oldest}
        batch = MessageBatch(queue, taken, metrics)
        holding = self._hold_on(holder)
        failed = False
        try:
            await self._within_time(self._runtime.run_handler("queue", batch))
        except Exception:
            failed = True
            _log.exception("The queue() handler failed for %d messages of %s", len(taken), queue)
        finally:
            holding.cancel()
        for message, decision in batch.decisions(failed=failed):
            try:
                self._settle(holder, message, decision)
            except Exception:
                # It comes again when its hold ends. The others are none the worse.
                _log.exception("What becomes of the message %s of %s could not be kept", message.id, queue)

    async def _within_time(self, handling: Coroutine[Any, Any, object]) -> None:
        task, is_late = asyncio.current_task(), False
        assert task is not None

        def end() -> None:
            nonlocal is_late
            is_late = True
            task.cancel()

        timer = self._runtime.clock.call_later(_HANDLER_SECONDS, end)
        try:
            await handling
        except asyncio.CancelledError:
            # Somebody else's, such as the end of the runtime, when it is not the only one.
            if not is_late or task.uncancel():
                raise
            raise TimeoutError(f"The handler took longer than {_HANDLER_SECONDS / 60:.0f} minutes.") from None
        finally:
            timer.cancel()

    def _hold_on(self, holder: str) -> asyncio.Task[None]:
        async def hold() -> None:
            while True:
                await self._runtime.clock.sleep(HOLD_MS / 3000)
                try:
                    self._store.hold_on(holder, now_ms(self._runtime.clock))
                except StorageError as error:
                    _log.warning("A batch of the queue %s could not be held: %s", self._settings.queue, error)

        return asyncio.get_running_loop().create_task(hold(), name=f"{self.name}: holding on")

    def _settle(self, holder: str, message: StoredMessage, decision: Decision) -> None:
        settle(self._store, self._settings, holder, message.id, message.attempts, decision, now_ms(self._runtime.clock))


def settle(
    store: QueueStore, settings: Settings, holder: str, message_id: str, attempts: int, decision: Decision, now: int
) -> None:
    """Do what was decided of a message that ``holder`` has: forget it, let it come again, or give it up."""
    if decision.is_acknowledged:
        store.remove(holder, message_id)
    elif attempts <= settings.max_retries:
        delay = settings.retry_delay if decision.delay_seconds is None else decision.delay_seconds
        store.give_back(holder, message_id, now + int(delay * 1000))
    elif settings.dead_letter_queue is not None:
        store.move(holder, message_id, settings.dead_letter_queue, now)
    else:
        _log.error("The message %s of %s failed %d times: dropped.", message_id, settings.queue, attempts)
        store.remove(holder, message_id)
