"""A reply on its way: each chunk becomes part of the message, is kept in the log, and goes out. In this order."""

from __future__ import annotations

from collections.abc import Callable

from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.chunk_log import ChunkLog
from edgeagents.agents.chat.message_builder import MessageBuilder
from edgeagents.agents.chat.protocol import chunk_frame
from edgeagents.agents.chat.reply import rewrite_finish, stamp_start
from edgeagents.agents.chat.ui import Chunk, UIMessage
from edgeagents.agents.protocol import encode

__all__ = ["LiveReply"]


class LiveReply:
    """The reply of the turn that runs.

    ``keep`` writes the message down before its end, when it waits for a person. ``settle`` gives an earlier message
    the output of a call that it made.
    """

    def __init__(
        self,
        log: ChunkLog,
        builder: MessageBuilder,
        audience: Audience,
        *,
        keep: Callable[[UIMessage], object],
        settle: Callable[[Chunk], object],
    ) -> None:
        self.log, self.builder = log, builder
        self._audience, self._keep, self._settle = audience, keep, settle
        self.finish_reason: str | None = None

    @property
    def message(self) -> UIMessage:
        """The message as it stands."""
        return self.builder.message

    def take(self, chunk: Chunk) -> str | None:
        """Take one chunk. Returns the text of an error that ends the reply, if the chunk is one."""
        kind = chunk["type"]
        if kind == "error":
            text = chunk.get("errorText")
            return text if isinstance(text, str) else encode(chunk)
        builder = self.builder
        forwarded = builder.apply(chunk)
        if kind == "start":
            forwarded = [stamp_start(chunk, self.message["id"], continuation=self.log.continuation)]
        elif kind == "finish":
            reason = chunk.get("finishReason")
            self.finish_reason = reason if isinstance(reason, str) else None
            forwarded = [rewrite_finish(chunk)]
        elif kind == "tool-approval-request" and forwarded:
            # Whoever loads the page now must see the question.
            self._keep(self.message)
        elif builder.is_foreign(chunk):
            self._settle(chunk)
        for each in forwarded:
            self.send(each)
        return None

    def send(self, chunk: Chunk) -> None:
        """Keep a chunk and send it to everybody who is up to date."""
        log = self.log
        text = encode(chunk)
        seq = log.append(text)
        self._audience.tell(chunk_frame(log.request_id, text, seq, continuation=log.continuation))

    def change(self, change: Callable[[UIMessage], UIMessage | None]) -> bool:
        """Change the message from outside, as a client's answer to a tool does. Returns whether anything changed."""
        return self.builder.change(change)

    def has_call(self, tool_call_id: str) -> bool:
        """Whether the message makes this call."""
        return self.builder.has_call(tool_call_id)
