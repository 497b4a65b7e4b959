"""Answers to tools that come from clients: results of their own tools, and decisions on calls that need one.

An answer may come before the call is known, while the reply that makes it is still on its way: then it is tried again
for a moment. Answers to one call take effect in the order in which they came; the first one counts.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.live_reply import LiveReply
from edgeagents.agents.chat.transcript import Transcript
from edgeagents.agents.chat.turns import Spawn
from edgeagents.agents.chat.ui import UIMessage, message_of_call
from edgeagents.objects.clock import Clock

__all__ = ["Change", "ToolAnswers"]

SECONDS_BETWEEN = 0.1
PATIENCE_SECONDS = 1.0
MOST_EARLY = 256

Change: TypeAlias = Callable[[UIMessage], UIMessage | None]
"""Gives a message its new form, or None when the answer changes nothing."""


class _Early(NamedTuple):
    """An answer that waits for its call, and until when."""

    tool_call_id: str
    change: Change
    until: float


class ToolAnswers:
    """The answers that came to one agent.

    ``live`` returns the reply that is on its way. ``settled`` is told when answers that had to wait are done with.
    """

    def __init__(
        self,
        clock: Clock,
        spawn: Spawn,
        transcript: Transcript,
        audience: Audience,
        *,
        live: Callable[[], LiveReply | None],
        settled: Callable[[], None],
    ) -> None:
        self._clock, self._spawn = clock, spawn
        self._transcript, self._audience = transcript, audience
        self._live, self._settled = live, settled
        self._early: deque[_Early] = deque()
        self._round = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer came whose call is not known yet."""
        return bool(self._early)

    def take(self, tool_call_id: str, change: Change) -> None:
        """Take an answer to a call."""
        # One that waits for another call holds up nobody: who makes calls up would stop the conversation.
        if not any(early.tool_call_id == tool_call_id for early in self._early) and self._apply(tool_call_id, change):
            return
        if len(self._early) >= MOST_EARLY:
            return
        self._early.append(_Early(tool_call_id, change, self._clock.monotonic() + PATIENCE_SECONDS))
        if len(self._early) == 1:
            self._spawn(self._try_again(self._round), name="chat tool answers")

    def reset(self) -> None:
        """Forget answers that wait."""
        self._round += 1
        self._early.clear()

    async def _try_again(self, round: int) -> None:
        while self._early:
            await self._clock.sleep(SECONDS_BETWEEN)
            if self._round != round:
                return
            now = self._clock.monotonic()
            # Read anew each time: an answer may bring others, which are put at the end.
            for early in list(self._early):
                if self._apply(early.tool_call_id, early.change) or now >= early.until:
                    self._early.remove(early)
        self._settled()

    def _apply(self, tool_call_id: str, change: Change) -> bool:
        """Apply an answer; return whether its call was found."""
        live = self._live()
        if live is not None and live.has_call(tool_call_id):
            if live.change(change):
                # The reply's own log does not know of it, so it is written down here and now.
                self._transcript.put(copy.deepcopy(live.message))
                self._audience.tell(protocol.updated_frame(live.message))
            return True
        message = message_of_call(self._transcript.messages, tool_call_id)
        if message is None:
            return False
        changed = change(message)
        if changed is not None:
            self._audience.tell(protocol.updated_frame(self._transcript.put(changed)))
        return True
