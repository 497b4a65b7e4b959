"""The log of a turn: each chunk that clients were sent, in the order and under the numbers that they know.

A log is one of the agent's durable streams. A chunk is kept first and sent then, so what a client has seen can be sent
to it again, whoever reads it by whatever transport. Its stream tells whose request it answers (the tag) and how it
ended (the metadata). The last few logs outlive their turns, for readers that are not done.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeagents.agents.chat.protocol import Outcome
from edgeagents.agents.chat.ui import UIMessage
from edgeagents.agents.generation import TURN_TAG
from edgeagents.agents.streams import DurableStreams, StreamStatus, StreamWriter
from edgeagents.errors import StorageLimitError
from edgeagents.objects.ids import nanoid

__all__ = ["ChunkLog", "ChunkLogs", "EndedLog"]

PREFIX = "chat:"
KEPT_LOGS = 4
REMEMBERED_ENDS = 100


@dataclass(frozen=True, slots=True)
class EndedLog:
    """A log that nobody writes any more.

    ``was_kept`` says that the message in it stands in the transcript, so there is no need to send the chunks.
    """

    stream_id: str
    request_id: str
    continuation: bool
    message_ids: tuple[str, ...]
    outcome: Outcome
    was_kept: bool


class ChunkLog:
    """The log of a turn that runs. ``base`` is the message that it goes on with, as it was before."""

    def __init__(
        self,
        streams: DurableStreams,
        writer: StreamWriter,
        request_id: str,
        message_id: str,
        *,
        continuation: bool,
        message_ids: Sequence[str],
        base: UIMessage | None = None,
    ) -> None:
        self._streams, self._writer = streams, writer
        self.base = base
        self.stream_id = writer.id
        self.request_id, self.message_id = request_id, message_id
        self.continuation, self.message_ids = continuation, tuple(message_ids)

    @property
    def cursor(self) -> int:
        """The number that the next chunk gets."""
        return self._writer.cursor

    def append(self, text: str) -> int | None:
        """Keep a chunk, given as JSON text, and return its number. None for one that is too large to be kept."""
        try:
            return self._writer.append_text(text)
        except StorageLimitError:
            return None

    def texts(self) -> list[str]:
        """Return all chunks so far, as JSON text."""
        return self._streams.kept_texts(self.stream_id)

    def end(self, outcome: Outcome, *, was_kept: bool, error: str | None) -> EndedLog:
        """Say how the turn ended. Nothing can be appended any more."""
        ended = EndedLog(
            self.stream_id, self.request_id, self.continuation, self.message_ids, outcome, was_kept=was_kept
        )
        self._streams.set_metadata(self.stream_id, _metadata(self, outcome, was_kept=was_kept))
        if outcome == "error":
            self._writer.error(error or "The turn failed.")
        else:
            self._writer.close()
        return ended


class ChunkLogs:
    """The logs of one agent. At most one of them is being written."""

    def __init__(self, streams: DurableStreams, rng: random.Random) -> None:
        self._streams, self._rng = streams, rng
        self._ended: OrderedDict[str, EndedLog] = OrderedDict()
        self._kept: list[str] | None = None
        self.active: ChunkLog | None = None

    def start(
        self,
        request_id: str,
        message_id: str,
        *,
        continuation: bool,
        message_ids: Sequence[str] = (),
        base: UIMessage | None = None,
    ) -> ChunkLog:
        """Begin the log of a turn, and forget those of turns long ago."""
        self._forget_old()
        stream_id = PREFIX + nanoid(self._rng)
        metadata: dict[str, Any] = {"messageId": message_id, "continuation": continuation}
        metadata.update(requestId=request_id, messageIds=list(message_ids), base=base)
        # The one tag that is not ours to use.
        tag = request_id if request_id != TURN_TAG else PREFIX + request_id
        writer = self._streams.open(stream_id, tag=tag, metadata=metadata)
        self.active = ChunkLog(
            self._streams,
            writer,
            request_id,
            message_id,
            continuation=continuation,
            message_ids=message_ids,
            base=base,
        )
        return self.active

    def reopen(self, stream_id: str) -> ChunkLog | None:
        """Go on with a log that the end of the server has cut; None when it is not there."""
        status = self._streams.status(stream_id)
        if status is None or status.state not in ("interrupted", "streaming"):
            return None
        metadata: Mapping[str, Any] = status.metadata
        writer = self._streams.open(stream_id)
        self.active = ChunkLog(
            self._streams,
            writer,
            metadata["requestId"],
            metadata["messageId"],
            continuation=metadata["continuation"],
            message_ids=metadata["messageIds"],
            base=metadata["base"],
        )
        return self.active

    def end(self, outcome: Outcome, *, was_kept: bool, error: str | None = None) -> None:
        """End the log that is being written. Harmless when none is."""
        log, self.active = self.active, None
        if log is None:
            return
        ended = log.end(outcome, was_kept=was_kept, error=error)
        self._ended[log.request_id] = ended
        self._ended.move_to_end(log.request_id)
        if len(self._ended) > REMEMBERED_ENDS:
            self._ended.popitem(last=False)
        if self._kept is not None:
            self._kept.append(log.stream_id)

    def ended(self, request_id: str) -> EndedLog | None:
        """Return how the latest turn of this request ended, if that is known."""
        found = self._ended.get(request_id)
        if found is None:
            statuses = self._streams.list(tag=request_id, prefix=PREFIX, limit=1)
            found = _ended(statuses[0]) if statuses else None
        return found

    def texts(self, stream_id: str) -> list[str]:
        """Return the chunks of a log, as JSON text; none when they were forgotten."""
        return self._streams.kept_texts(stream_id)

    def stream_of(self, request_id: str | None) -> str | None:
        """Return the id of the stream that holds the log of a request, by default of the latest one."""
        if self.active is not None and request_id in (None, self.active.request_id):
            return self.active.stream_id
        found = self._streams.list(tag=request_id, prefix=PREFIX, limit=1)
        return found[0].id if found else None

    def clear(self) -> None:
        """Forget all logs, the one that is being written too."""
        for status in self._streams.list(prefix=PREFIX, limit=1_000_000):
            self._streams.delete(status.id)
        self.active, self._kept = None, []
        self._ended.clear()

    def _forget_old(self) -> None:
        if self._kept is None:
            statuses = self._streams.list(prefix=PREFIX, limit=1_000_000)
            self._kept = [each.id for each in reversed(statuses) if each.state in ("completed", "errored")]
        while len(self._kept) >= KEPT_LOGS:
            self._streams.delete(self._kept.pop(0))


def _metadata(log: ChunkLog, outcome: Outcome, *, was_kept: bool) -> dict[str, Any]:
    return {
        "requestId": log.request_id,
        "messageId": log.message_id,
        "continuation": log.continuation,
        "messageIds": list(log.message_ids),
        "outcome": outcome,
        "wasKept": was_kept,
    }


def _ended(status: StreamStatus) -> EndedLog | None:
    metadata: Mapping[str, Any] = status.metadata
    if "outcome" not in metadata:
        return None
    return EndedLog(
        status.id,
        metadata["requestId"],
        metadata["continuation"],
        tuple(metadata["messageIds"]),
        metadata["outcome"],
        was_kept=metadata["wasKept"],
    )
