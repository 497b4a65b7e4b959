"""Tickets: how a browser, which cannot send headers with a WebSocket or an event stream, says who it is.

The application, which knows its user, issues a ticket for one agent; the page connects with it in the query
(``?ticket=...``). It holds for seconds, and only to come in: how long the connection lasts is the identity's business.

A ticket is its content and an HMAC-SHA256 of it. Nothing but Python's own ``hmac`` is needed for that: there is one
algorithm and no header that names it, so nothing to confuse, and time is handed in. Who has several secrets signs with
the first and accepts all: so one is replaced without anybody being turned away.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import math
import os
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from edgeagents.agents.kebab import kebab_case
from edgeagents.agents.names_in_urls import in_url
from edgeagents.agents.sub_routing import find_sub_agent
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Identity, Request
from edgeagents.objects.clock import Clock, SystemClock
from edgeagents.objects.disk import sync_folder
from edgeagents.redaction import RedactingFilter

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

__all__ = ["Tickets"]

PARAMETER: Final = "ticket"
SHORTEST_SECRET: Final = 32
LONGEST_TICKET: Final = 8_192
SWEEP_SECONDS: Final = 60.0

_SERVERS_LOGS: Final = ("granian.access", "hypercorn.access", "uvicorn.access", "uvicorn.error")
_FILTER: Final = RedactingFilter()
_SPENT: Final = re.compile(r"([0-9]{1,15})-[0-9a-f]{64}")
_PURPOSE: Final = b"edgeagents ticket 1\0"

Secret = str | bytes
Way = Sequence[tuple[type | str, str]]


class Tickets:
    """Issues tickets and, as a plugin, lets in whoever has one: ``AgentsMiddleware(app, ..., plugins=[tickets])``.

    ``secret`` has at least 32 bytes; of several the first signs. A ticket that is for once is remembered in the
    runtime's state folder, for all processes that share it, and else in memory.
    """

    def __init__(self, secret: Secret | Sequence[Secret], *, clock: Clock | None = None) -> None:
        given = (secret,) if isinstance(secret, str | bytes) else tuple(secret)
        self._secrets = tuple(each.encode() if isinstance(each, str) else each for each in given)
        if not self._secrets or min(map(len, self._secrets)) < SHORTEST_SECRET:
            raise ConfigError(
                f"A secret for tickets has at least {SHORTEST_SECRET} bytes. Make one with secrets.token_urlsafe(32), "
                "and keep it where your other secrets are."
            )
        self._clock = clock or SystemClock()
        self._spent = _Spent()

    def issue(
        self,
        agent: type | str,
        name: str,
        identity: Identity | str,
        seconds: float = 60,
        *,
        once: bool = False,
        sub: Way = (),
    ) -> str:
        """Return a ticket with which ``identity`` may come to one agent within ``seconds``.

        ``agent`` is the class, or the name of its binding; ``name`` is what the page gives its client, or stands in the
        URL. The ticket does not lead to the agent's sub-agents: one for a sub-agent names the way to it,
        ``sub=[(Child, "name")]``. With ``once`` it lets in once only.

        The ticket for ``"a b"`` opens ``/agents/room/a%20b``, which is what a browser makes of that name. The agent
        there is called ``a%20b``, as on Cloudflare, and ``get_agent_by_name(Room, "a b")`` is another one.
        """
        if isinstance(identity, str):
            identity = Identity(identity)
        if not 0 < seconds < math.inf:
            raise ValueError(f"A ticket that holds for {seconds} seconds lets nobody in.")
        expires_at = identity.expires_at
        content: dict[str, Any] = {
            "to": _to(agent, name, sub),
            "until": round(self._clock.now().timestamp() + seconds, 3),
            "subject": identity.subject,
        }
        if identity.claims:
            content["claims"] = dict(identity.claims)
        if expires_at is not None:
            content["ends"] = expires_at.timestamp()
        if once:
            content["once"] = secrets.token_urlsafe(12)
        try:
            text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"The claims of an identity in a ticket are JSON: {error}.") from None
        ticket = f"{_encode(text)}.{_encode(_signature(self._secrets[0], text))}"
        if len(ticket) > LONGEST_TICKET:
            raise ConfigError("The claims of this identity are too large for a ticket. Let the agent look them up.")
        return ticket

    def accept(self, ticket: str, agent: type | str, name: str, *, sub: Way = ()) -> Identity | None:
        """Return who may come to this agent with ``ticket``; None when it is not for it, too old, used up or forged."""
        found = self._read(ticket, _to(agent, name, sub))
        if found is None:
            return None
        identity, once = found
        return identity if once is None or self._spent.spend(*once) else None

    def _read(self, ticket: str, way: list[list[str]]) -> tuple[Identity, tuple[str, float, float] | None] | None:
        """Return who may come with ``ticket``, and what is to be spent for that, if it is for once."""
        content = self._content(ticket)
        if content is None or content["to"] != way:
            return None
        now, until = self._clock.now().timestamp(), content["until"]
        if not now < until:
            return None
        ends = content.get("ends")
        identity = Identity(
            content["subject"], content.get("claims", {}), None if ends is None else datetime.fromtimestamp(ends, UTC)
        )
        if identity.has_ended(self._clock.now()):
            return None
        once = content.get("once")
        return identity, None if once is None else (once, until, now)

    @hookimpl
    async def authorise(self, runtime: Runtime, request: Request) -> Identity | None:
        """Let in a request with a ticket for the agent that it is to. The agent does not see the ticket."""
        if f"{PARAMETER}=" not in request.query_string:
            return None
        tickets = request.query.getlist(PARAMETER)
        way = _way(runtime, request)
        if len(tickets) != 1 or way is None:
            return None
        found = self._read(tickets[0], way)
        if found is None:
            return None
        identity, once = found
        if once is not None:
            if runtime.location is not None and self._spent.folder is None:
                self._spent.keep_in(Path(runtime.location))
            # Files are written, and wait for the disk; others need not wait for that.
            is_new = self._spent.spend(*once) if self._spent.folder is None else await self._spend_in_thread(once)
            if not is_new:
                return None
        request.forget_parameter(PARAMETER)
        return identity

    async def _spend_in_thread(self, once: tuple[str, float, float]) -> bool:
        return await asyncio.to_thread(self._spent.spend, *once)

    @hookimpl
    def startup(self) -> None:
        """Keep tickets out of the servers' own access logs, which have whole URLs."""
        for name in _SERVERS_LOGS:
            logging.getLogger(name).addFilter(_FILTER)

    def _content(self, ticket: str) -> dict[str, Any] | None:
        content, _, signature = ticket.partition(".")
        if len(ticket) > LONGEST_TICKET or not ticket.isascii():
            return None
        try:
            text, given = _decode(content), _decode(signature)
        except ValueError:
            return None
        # All of them, so that the time it takes does not tell which one it was.
        fits = [hmac.compare_digest(_signature(secret, text), given) for secret in self._secrets]
        return cast("dict[str, Any]", json.loads(text)) if any(fits) else None

    def __repr__(self) -> str:
        return f"<Tickets with {len(self._secrets)} secret{'s' * (len(self._secrets) > 1)}>"


class _Spent:
    """Which tickets have been used: files in a folder that several processes may share, or else a table in memory."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._until: dict[str, float] = {}
        self._swept = 0.0

    def keep_in(self, state: Path) -> None:
        """Remember in the state folder, which is there."""
        if state.is_dir():
            self.folder = state / "tickets"
            self.folder.mkdir(mode=0o700, exist_ok=True)

    def spend(self, id: str, until: float, now: float) -> bool:
        """Note that a ticket is used; return False when it was before."""
        if now - self._swept > SWEEP_SECONDS:
            self._swept = now
            self._sweep(now)
        if self.folder is None:
            if id in self._until:
                return False
            self._until[id] = until
            return True
        # Its own name made safe, though nobody but us can have made it: names are data and never paths.
        name = f"{int(until) + 1}-{hashlib.sha256(id.encode()).hexdigest()}"
        try:
            os.close(os.open(self.folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        # Once is once after a loss of power too.
        sync_folder(self.folder)
        return True

    def _sweep(self, now: float) -> None:
        self._until = {id: until for id, until in self._until.items() if until > now}
        if self.folder is not None:
            for file in self.folder.iterdir():
                # Whatever else somebody has put there is not ours to remove.
                spent = _SPENT.fullmatch(file.name)
                if spent is not None and int(spent[1]) < now:
                    file.unlink(missing_ok=True)


def _way(runtime: Runtime, request: Request) -> list[list[str]] | None:
    """Return which agent a request is to, and the sub-agents on the way or what might be some. None: to no agent."""
    found = runtime.router.find(request.path)
    if found is None:
        return None
    segment, name = found
    way = [[segment, in_url(name)]]
    rest = request.path
    # Whether a segment names a class only its parent knows. Here any could: who is in doubt needs a ticket for it.
    while (match := find_sub_agent(rest, str)) is not None:
        way.append([match.child_class, match.child_name])
        rest = match.remaining_path
    return way


def _to(agent: type | str, name: str, sub: Way) -> list[list[str]]:
    # A sub-agent's name is read decoded, the root's stays as it is in the URL.
    return [[_segment(agent), in_url(name)], *([_segment(cls), each] for cls, each in sub)]


def _segment(agent: type | str) -> str:
    return kebab_case(agent if isinstance(agent, str) else agent.__name__)


def _signature(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + text, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise ValueError("not the one way to write it")
    return data
