"""Going on after a tool's answer: when a turn is to follow that nobody typed a message for.

A client that answers a call may ask for the conversation to go on. It does when all calls of that message are settled
and the reply that made them has ended, and not for each answer on its own: answers that come within a moment of each
other set off one turn. Whoever answered is told when it begins, and is sent its chunks when it is ready; the turn is
its own as long as it is connected. An answer that comes while such a turn runs sets off the next one.

Nothing here knows what a turn does: ``fire`` starts it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeagents.agents.chat import protocol
from edgeagents.agents.chat.audience import Audience
from edgeagents.agents.connections import Connection
from edgeagents.objects.clock import Clock
from edgeagents.objects.ids import nanoid

__all__ = ["Continuation", "Pending"]

COALESCE_SECONDS = 0.05


@dataclass(slots=True)
class Pending:
    """A continuation that was asked for. ``owner`` is the connection that did, until it is gone."""

    request_id: str
    connection: Connection[Any] | None
    owner: str | None
    body: dict[str, Any] | None
    client_tools: list[dict[str, Any]] | None
    has_begun: bool = False


class Continuation:
    """The continuation of one agent: at most one is awaited, and one more after it.

    ``may_fire`` says whether the calls are settled and no reply runs. ``note`` is given the request id and the owner
    of what is awaited, or None: a person may take longer for the second of two answers than the agent stays in memory.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        audience: Audience,
        *,
        may_fire: Callable[[], bool],
        fire: Callable[[Pending], None],
        note: Callable[[tuple[str, str | None] | None], None],
    ) -> None:
        self._clock, self._rng, self._audience = clock, rng, audience
        self._may_fire, self._fire, self._note = may_fire, fire, note
        self._pending: Pending | None = None
        self._deferred: Pending | None = None
        self._waiting: dict[Connection[Any], None] = {}
        self._timer: Any = None
        self._active: tuple[str, str | None] | None = None

    @property
    def pending_id(self) -> str | None:
        """The request id of the continuation that is awaited."""
        return None if self._pending is None else self._pending.request_id

    @property
    def is_awaited(self) -> bool:
        """Whether one was asked for and has not begun to speak."""
        return self._pending is not None or self._deferred is not None

    @property
    def is_armed(self) -> bool:
        """Whether one will begin in a moment, without anything else happening."""
        return self._timer is not None

    def ask(
        self, connection: Connection[Any], body: dict[str, Any] | None, client_tools: list[dict[str, Any]] | None
    ) -> None:
        """A client answered and wants the conversation to go on."""
        pending = self._pending
        wanted = Pending(nanoid(self._rng), connection, connection.id, body, client_tools)
        if pending is not None and pending.has_begun:
            self._deferred = wanted
            self._note((wanted.request_id, wanted.owner))
            return
        if pending is not None:
            wanted.request_id = pending.request_id
        self._pending = wanted
        self._waiting[connection] = None
        self._note((wanted.request_id, wanted.owner))
        self._arm()

    def restore(self, pending: Pending) -> None:
        """The agent is back in memory, and this was awaited when it left."""
        self._pending = pending
        if pending.connection is not None:
            self._waiting[pending.connection] = None
        self._arm()

    def look_again(self) -> None:
        """Something was settled: what is awaited may begin now. Nothing is asked for by this."""
        if self._pending is not None and not self._pending.has_begun:
            self._arm()

    def answers_settled(self) -> None:
        """Answers whose calls had to be waited for are done with. If nothing else is, what is awaited begins."""
        if self._timer is None:
            self._try()

    def reply_started(self, request_id: str, offer: Callable[[Connection[Any]], None]) -> None:
        """A reply begins. If it is the one that is awaited, those who wait are offered it."""
        pending = self._pending
        if pending is None or pending.request_id != request_id:
            return
        self._active = (request_id, pending.owner)
        self._pending = None
        waiting, self._waiting = self._waiting, {}
        for connection in waiting:
            offer(connection)
        self._take_deferred()

    def reply_ended(self, request_id: str, *, is_stale: bool) -> None:
        """A reply has ended. With ``is_stale`` it has said what the continuation was wanted for."""
        if self._active is not None and self._active[0] == request_id:
            self._active = None
        if is_stale and self._pending is not None and not self._pending.has_begun:
            self._drop_pending()
        else:
            self.look_again()

    def turn_ended(self, request_id: str, *, failed: bool) -> None:
        """A turn is over, with or without a reply."""
        if self._pending is not None and self._pending.request_id == request_id:
            self._drop_pending()
        if failed and self._active is None and self._pending is not None and self._pending.has_begun:
            self._drop_pending()
        self._take_deferred()

    def park(self, connection: Connection[Any]) -> bool:
        """Let ``connection`` wait for the continuation that is awaited, if it may have it."""
        pending = self._pending
        if pending is None or pending.owner not in (None, connection.id):
            return False
        self._waiting[connection] = None
        return True

    def belongs_to_another(self, request_id: str, connection_id: str, is_connected: Callable[[str], bool]) -> bool:
        """Whether the reply to this request is a continuation of somebody else's, who is still there."""
        if self._active is None or self._active[0] != request_id:
            return False
        owner = self._active[1]
        return owner is not None and owner != connection_id and is_connected(owner)

    def leave(self, connection: Connection[Any]) -> None:
        """The connection is gone. What it asked for goes on, and is anybody's."""
        self._waiting.pop(connection, None)
        for each in (self._pending, self._deferred):
            if each is not None and each.owner == connection.id:
                each.owner = None
        if self._active is not None and self._active[1] == connection.id:
            self._active = (self._active[0], None)

    def reset(self) -> None:
        """Forget what is awaited. Those who wait are told that nothing comes."""
        self._deferred = None
        self._drop_pending()
        self._active = None

    def _take_deferred(self) -> None:
        deferred = self._deferred
        if deferred is None or self._pending is not None:
            return
        self._deferred, self._pending = None, deferred
        if deferred.owner is not None and deferred.connection is not None:
            self._waiting[deferred.connection] = None
        self._try()

    def _drop_pending(self) -> None:
        self._disarm()
        self._pending = None
        if self._deferred is None:
            self._note(None)
        waiting, self._waiting = self._waiting, {}
        for connection in waiting:
            self._audience.send(connection, protocol.resume_none_frame())

    def _arm(self) -> None:
        self._disarm()
        self._timer = self._clock.call_later(COALESCE_SECONDS, self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._try()

    def _try(self) -> None:
        pending = self._pending
        if pending is None or pending.has_begun or not self._may_fire():
            return
        self._disarm()
        pending.has_begun = True
        self._note(None)
        self._fire(pending)
