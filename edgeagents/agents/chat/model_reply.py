"""A reply that is a model's turn of this agent: it can be shown again from its own log.

Such a turn goes on by itself after the end of the server. A chat that notes which one it shows, and how, shows the
rest of it under the same request, chunk for chunk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from edgeagents.agents.chat.reply import read_reply
from edgeagents.agents.chat.ui import Chunk
from edgeagents.agents.generation import DurableTextStream, TurnResponse
from edgeagents.models.encoding import MASKED_ERROR, UIOptions
from edgeagents.models.parts import ErrorPart, TextDelta

__all__ = ["ModelReply"]

_KEPT_OPTIONS = ("message_id", "send_reasoning", "send_sources", "send_start", "send_finish")


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A turn of a model, shown with ``options``; as text and nothing else when they are None."""

    turn: DurableTextStream
    options: UIOptions | None

    @classmethod
    def of(cls, reply: object) -> ModelReply | None:
        """Return what ``reply`` shows, or None when it is something else."""
        if isinstance(reply, DurableTextStream):
            return cls(reply, UIOptions())
        if isinstance(reply, TurnResponse) and not reply.is_mapped:
            return cls(reply.turn, reply.options)
        return None

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], find: Callable[[str], DurableTextStream | None]) -> ModelReply | None:
        """Return the reply that ``to_json`` described, or None when its turn is gone."""
        turn = find(kept["stream"])
        if turn is None:
            return None
        return cls(turn, None if kept["options"] is None else UIOptions(**kept["options"]))

    def to_json(self) -> dict[str, Any]:
        """Return what must be kept to show it again. Functions among the options are not: errors are masked then."""
        options = None
        if self.options is not None:
            options = {name: getattr(self.options, name) for name in _KEPT_OPTIONS}
        return {"stream": self.turn.stream_id, "options": options}

    def chunks(self, request_id: str) -> AsyncGenerator[Chunk, None]:
        """Yield the chunks of the whole turn, and then those that come."""
        if self.options is None:
            chunks = read_reply(self._text(), request_id)
        else:
            chunks = read_reply(self.turn, request_id, options=self.options)
        assert chunks is not None
        return chunks

    async def _text(self) -> AsyncGenerator[str | Chunk, None]:
        yield ""  # A text of no words is a text.
        async with aclosing(self.turn.numbered_parts()) as parts:
            async for _, part in parts:
                if isinstance(part, TextDelta):
                    yield part.text
                elif isinstance(part, ErrorPart):
                    yield {"type": "error", "errorText": MASKED_ERROR}
