"""Long polling: an agent's WebSocket for clients that have only HTTP.

A request with ``transport=long-poll`` in its query, to the URL that a WebSocket would have:

* ``POST`` without ``session`` opens a connection and answers 201 with its ``session``.
* ``GET`` with ``session`` and ``cursor`` answers with the messages from ``cursor`` on, as soon as there is one. To
  ask from a cursor says that everything before it has arrived; to ask again brings the same messages again.
* ``POST`` with ``session`` sends its body as a message: text, or bytes for ``application/octet-stream``.
* ``DELETE`` with ``session`` closes.

It carries messages and reads none. The other end of the connection is an ordinary WebSocket in memory: the agent
cannot tell the difference.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from edgeagents.http import Request, Response
from edgeagents.objects import Clock, WebSocket

MARK = "transport=long-poll"
POLL_SECONDS = 25.0
IDLE_SECONDS = 60.0
MOST_MESSAGES = 1000


class Session:
    """One connection: what the agent sent and the client has not acknowledged."""

    def __init__(self, socket: WebSocket, limit: int) -> None:
        self.socket, self.limit = socket, limit
        self.messages: deque[str | bytes] = deque()
        self.first = 0
        self.closed: dict[str, Any] | None = None
        self.news = asyncio.Event()
        socket.attach(self)

    def send(self, message: str | bytes) -> None:
        """Keep a message of the agent until the client has it. A client that falls behind too far is dropped."""
        if self.closed is not None:
            return
        if len(self.messages) >= self.limit:
            self.lose("the client fell behind")
            return
        self.messages.append(message)
        self.news.set()

    def close(self, code: int | None, reason: str) -> None:
        """Keep the agent's close, after what it sent, and agree to it."""
        self.end(1005 if code is None else code, reason, was_clean=True)

    def lose(self, reason: str) -> None:
        """Tell both ends that the connection broke."""
        self.end(1006, reason, was_clean=False)

    def end(self, code: int, reason: str, *, was_clean: bool) -> None:
        if self.closed is None:
            self.closed = {"code": code, "reason": reason}
            self.socket.feed_close(code, reason, was_clean)
            self.news.set()

    def acknowledge(self, cursor: int) -> None:
        """Forget what stands before ``cursor``."""
        while self.first < cursor and self.messages:
            self.messages.popleft()
            self.first += 1

    def unread(self) -> dict[str, Any]:
        return {
            "messages": [_as_json(message) for message in self.messages],
            "cursor": self.first + len(self.messages),
            "closed": self.closed,
        }


def _as_json(message: str | bytes) -> dict[str, str]:
    return {"text": message} if isinstance(message, str) else {"base64": base64.b64encode(message).decode()}


class LongPoll:
    """The transport. Sessions live in this process, as the WebSockets behind them do."""

    name = "long-poll"

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        poll_seconds: float = POLL_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        limit: int = MOST_MESSAGES,
    ) -> None:
        self._clock, self._rng, self._limit = clock, rng, limit
        self._poll_seconds, self._idle_seconds = poll_seconds, idle_seconds
        self._sessions: dict[str, Session] = {}
        self._deadlines: dict[str, Any] = {}

    def claims(self, request: Request) -> bool:
        """Return whether the request says that it is a long poll."""
        return MARK in request.url and request.query.get("transport") == "long-poll"

    async def serve(self, request: Request, fetch: Callable[[Request], Awaitable[Response]]) -> Response:
        """Open, poll, send or close."""
        key = request.query.get("session")
        if key is None:
            return await self._open(request, fetch) if request.method == "POST" else _problem(400, "No session given.")
        session = self._sessions.get(key)
        if session is None:
            return _problem(404, "There is no such session, or it has ended. Open a new one.")
        self._expect(key)
        match request.method:
            case "GET":
                return await self._poll(key, session, request)
            case "POST":
                return await self._send(session, request)
            case "DELETE":
                session.end(1000, "", was_clean=True)
                self._forget(key)
                return Response(status=204)
            case _:
                return _problem(405, "A session takes GET, POST and DELETE.")

    async def _open(self, request: Request, fetch: Callable[[Request], Awaitable[Response]]) -> Response:
        headers = [*request.headers, ("upgrade", "websocket"), ("connection", "upgrade")]
        answer = await fetch(Request(request.url, headers=headers, client=request.client, scope=request.scope))
        if answer.websocket is None:
            # Whoever refuses a WebSocket refuses this too, in the same words.
            return answer
        key = f"{self._rng.getrandbits(128):032x}"
        self._sessions[key] = Session(answer.websocket, self._limit)
        self._expect(key)
        return Response.from_json({"session": key, "cursor": 0}, status=201)

    async def _poll(self, key: str, session: Session, request: Request) -> Response:
        cursor = request.query.get("cursor", "0")
        if not (cursor.isascii() and cursor.isdigit() and int(cursor) <= session.first + len(session.messages)):
            return _problem(400, f"{cursor!r} is not a cursor of this session.")
        session.acknowledge(int(cursor))
        if not session.messages and session.closed is None:
            session.news.clear()
            timer = self._clock.call_later(self._poll_seconds, session.news.set)
            await session.news.wait()
            timer.cancel()
        self._expect(key)
        unread = session.unread()
        if session.closed is not None and not session.messages:
            self._forget(key)
        return Response.from_json(unread, headers={"cache-control": "no-store"})

    async def _send(self, session: Session, request: Request) -> Response:
        is_binary = request.content_type.startswith("application/octet-stream")
        message = await request.bytes() if is_binary else await request.text()
        if session.closed is not None:
            return _problem(409, "The connection is closed.")
        handled = session.socket.feed(message)
        if handled is not None:
            await handled
        return Response(status=204)

    def _expect(self, key: str) -> None:
        """End the session unless its client comes again in time."""
        if (deadline := self._deadlines.pop(key, None)) is not None:
            deadline.cancel()
        if key in self._sessions:
            self._deadlines[key] = self._clock.call_later(self._idle_seconds, lambda: self._abandon(key))

    def _abandon(self, key: str) -> None:
        session = self._sessions.get(key)
        if session is not None:
            session.lose("the client did not come back")
            self._forget(key)

    def _forget(self, key: str) -> None:
        self._sessions.pop(key, None)
        if (deadline := self._deadlines.pop(key, None)) is not None:
            deadline.cancel()


def _problem(status: int, text: str) -> Response:
    return Response(text, status=status)
