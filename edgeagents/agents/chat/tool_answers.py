"""Answers to tools that come from clients: results of their own tools, and decisions on calls that need one.

An answer may come before the call is known, while the reply that makes it is still on its way: then it is tried again
for a moment. Answers take effect in the order in which they came; the first one to a call counts.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.chat.live_reply import LiveReply
from edgeagents.agents.chat.transcript import Transcript
from edgeagents.agents.chat.turns import Spawn
from edgeagents.agents.chat.ui import UIMessage, message_of_call
from edgeagents.objects.clock import Clock

__all__ = ["Change", "ToolAnswers"]

TRIES = 10
SECONDS_BETWEEN = 0.1
MOST_EARLY = 256

Change: TypeAlias = Callable[[UIMessage], UIMessage | None]
"""Gives a message its new form, or None when the answer changes nothing."""


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
        self._early: deque[tuple[str, Change]] = deque()
        self._round = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer came whose call is not known yet."""
        return bool(self._early)

    def take(self, tool_call_id: str, change: Change) -> None:
        """Take an answer to a call."""
        if not self._early and self._apply(tool_call_id, change):
            return
        if len(self._early) >= MOST_EARLY:
            return
        self._early.append((tool_call_id, change))
        if len(self._early) == 1:
            self._spawn(self._try_again(self._round), name="chat tool answers")

    def reset(self) -> None:
        """Forget answers that wait."""
        self._round += 1
        self._early.clear()

    async def _try_again(self, round: int) -> None:
        while self._early:
            tool_call_id, change = self._early[0]
            for _ in range(TRIES):
                if self._apply(tool_call_id, change):
                    break
                await self._clock.sleep(SECONDS_BETWEEN)
                if self._round != round:
                    return
            # Given up or done, the next one's turn comes either way.
            self._early.popleft()
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
