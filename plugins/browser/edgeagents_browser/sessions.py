"""Sessions: the browsers of one runtime, each a process. One that nobody has used for a while ends by itself."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edgeagents_browser.chromium import BrowserError, Chromium

if TYPE_CHECKING:
    from edgeagents.objects import Clock
    from edgeagents.objects.clock import TimerHandle

__all__ = ["MOST_SESSIONS", "Session", "Sessions", "TooManySessions"]

MOST_SESSIONS: Final = 6
KEEP_ALIVE_MS: Final = 60_000
LONGEST_KEEP_ALIVE_MS: Final = 600_000
_KEPT_HISTORY: Final = 100
_REASONS: Final = {"NormalClosure": 1, "BrowserIdle": 2, "BrowserCrashed": 3}

_log = logging.getLogger("edgeagents.browser")


class TooManySessions(BrowserError):
    """As many browsers run as may run at once."""

    def __init__(self) -> None:
        super().__init__(f"Unable to create new browser: code: 429: {MOST_SESSIONS} sessions run already.")


@dataclass
class Session:
    """One browser. ``connections`` are the ids of the clients that are connected to it, in order."""

    id: str
    browser: Chromium
    keep_alive_ms: int
    started: int
    connections: dict[str, int] = field(default_factory=dict[str, int])
    timer: TimerHandle | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        told: dict[str, Any] = {"sessionId": self.id, "startTime": self.started}
        if self.connections:
            told["connectionId"], told["connectionStartTime"] = next(iter(self.connections.items()))
        return told


class Sessions:
    """The browsers of one runtime."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._starting = 0
        self._history: list[dict[str, Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def acquire(self, keep_alive_ms: int = KEEP_ALIVE_MS) -> Session:
        """Start a browser. Raises ``TooManySessions``, or ``BrowserError`` when it does not start."""
        if len(self._sessions) + self._starting >= MOST_SESSIONS:
            raise TooManySessions
        self._starting += 1
        try:
            browser = await Chromium.start()
        finally:
            self._starting -= 1
        session = Session(str(uuid.uuid4()), browser, keep_alive_ms, self._now())
        self._sessions[session.id] = session
        self._spawn(self._watch(session))
        self._idle(session)
        return session

    def find(self, session_id: str) -> Session | None:
        """Return the session with this id, if it runs."""
        return self._sessions.get(session_id)

    def list(self) -> list[dict[str, Any]]:
        """Return what is told of each session, in the order in which they began."""
        return [session.to_json() for session in self._sessions.values()]

    def history(self) -> list[dict[str, Any]]:
        """Return what is told of sessions, also of those that have ended lately; the latest first."""
        return [*reversed(self.list()), *self._history]

    def limits(self) -> dict[str, Any]:
        """Return how many sessions there may be."""
        return {
            "activeSessions": [{"id": session_id} for session_id in self._sessions],
            "maxConcurrentSessions": MOST_SESSIONS,
            "allowedBrowserAcquisitions": max(MOST_SESSIONS - len(self._sessions) - self._starting, 0),
            "timeUntilNextAllowedBrowserAcquisition": 0,
        }

    def connect(self, session: Session) -> str:
        """Note that a client uses the session from now on; return its id."""
        connection = str(uuid.uuid4())
        session.connections[connection] = self._now()
        self._awake(session)
        return connection

    def disconnect(self, session: Session, connection: str) -> None:
        """Note that a client has gone."""
        session.connections.pop(connection, None)
        if not session.connections and session.id in self._sessions:
            self._idle(session)

    async def close(self, session: Session, reason: str = "NormalClosure") -> None:
        """End a session. Harmless when it has ended."""
        if self._sessions.pop(session.id, None) is None:
            return
        self._awake(session)
        ended = {**session.to_json(), "endTime": self._now()}
        ended |= {"closeReason": _REASONS[reason], "closeReasonText": reason}
        self._history = [ended, *self._history][:_KEPT_HISTORY]
        await session.browser.stop()

    async def stop(self) -> None:
        """End all of them."""
        for session in tuple(self._sessions.values()):
            await self.close(session)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _idle(self, session: Session) -> None:
        self._awake(session)
        session.timer = self._clock.call_later(
            session.keep_alive_ms / 1000, lambda: self._spawn(self.close(session, "BrowserIdle"))
        )

    def _awake(self, session: Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None

    async def _watch(self, session: Session) -> None:
        await session.browser.wait()
        if session.id not in self._sessions:
            return
        if session.browser.has_failed:
            _log.warning("The browser of the session %s has crashed.", session.id)
        await self.close(session, "BrowserCrashed" if session.browser.has_failed else "NormalClosure")

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def read_keep_alive(text: str | None) -> int:
    """Return the milliseconds that ``keep_alive`` asks for. Raises ValueError for those that may not be."""
    if not text:
        return KEEP_ALIVE_MS
    value = json.loads(text)
    if not isinstance(value, int) or not 10_000 <= value <= LONGEST_KEEP_ALIVE_MS:
        raise ValueError(f"keep_alive is in milliseconds, from 10000 to {LONGEST_KEEP_ALIVE_MS}, not {text}.")
    return value
